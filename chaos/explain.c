/* SPDX-License-Identifier: MIT */
/* `chaos explain`: the vocabulary for people, straight from the table that the parser obeys. */
#include <errno.h>
#include <string.h>

#include "chaos/vocabulary.h"
#include "chaos/words.h"

/* The first sentence. */
static int brief_length(const char *help)
{
    const char *end = strstr(help, ". ");
    return end != NULL ? (int)(end - help) + 1 : (int)strlen(help);
}

static void print_brief(const struct ch_word *word, FILE *out)
{
    fprintf(out, "  %-30s %.*s\n", word->word, brief_length(word->help), word->help);
}

static void print_family(const struct ch_words *family, FILE *out)
{
    fprintf(out, "%s\n", family->name);
    for (size_t i = 0; i < family->count; i++)
        print_brief(&family->words[i], out);
}

static void print_key(const struct ch_key *key, FILE *out)
{
    char described[CH_DESCRIBED_KEY_MAX];
    ch_vocabulary_describe_key(key, described, sizeof(described));
    fprintf(out, "    %s\n        %s", described, key->help);
    if (key->required)
        fputs("; required", out);
    else if (key->standard != NULL)
        fprintf(out, "; default: %s", key->standard);
    fputc('\n', out);
}

static void print_keys(const struct ch_key *keys, FILE *out)
{
    for (; keys != NULL && keys->word != NULL; keys++)
        print_key(keys, out);
}

/* Word and keys in one line, for words without a synopsis of their own. */
static void print_synopsis(const struct ch_word *word, enum ch_family family, FILE *out)
{
    if (word->synopsis != NULL) {
        fprintf(out, "    %s\n", word->synopsis);
        return;
    }
    fprintf(out, "    %s%s", family == CH_FAMILY_TASK ? "submit N task=" : "", word->word);
    for (const struct ch_key *key = word->keys; key != NULL && key->word != NULL; key++) {
        const char *sign = key->form == CH_FORM_EQUALS ? "=..."
                           : key->form == CH_FORM_BARE ? ""
                                                       : " ...";
        fprintf(out, key->required ? " %s%s" : " [%s%s]", key->word, sign);
    }
    fputc('\n', out);
}

static void print_word(const struct ch_word *word, enum ch_family family, bool with_keys, FILE *out)
{
    fprintf(out, "%s is %s\n", word->word, ch_words[family].kind);
    print_synopsis(word, family, out);
    fprintf(out, "    %s\n", word->help);
    if (word->keys == NULL || !with_keys)
        return;
    fputc('\n', out);
    print_keys(word->keys, out);
    if (family == CH_FAMILY_ACTION && word->keys != ch_keys_submit)
        print_keys(ch_keys_action, out);
}

#define TAKERS_MAX 64

/* Who takes a key: a word, or all actions. */
struct taker {
    const char *word;
    const struct ch_key *key;
};

static void add_taker(const char *word, const struct ch_key *keys, const char *text,
                      struct taker *takers, size_t *count)
{
    for (; keys != NULL && keys->word != NULL; keys++)
        if (strcmp(keys->word, text) == 0 && *count < TAKERS_MAX)
            takers[(*count)++] = (struct taker){.word = word, .key = keys};
}

static size_t find_takers(const char *text, struct taker *takers)
{
    size_t count = 0;
    for (size_t i = 0; i < CH_FAMILIES; i++)
        for (size_t j = 0; j < ch_words[i].count; j++)
            add_taker(ch_words[i].words[j].word, ch_words[i].words[j].keys, text, takers, &count);
    add_taker("every action", ch_keys_action, text, takers, &count);
    return count;
}

static bool same_key(const struct ch_key *one, const struct ch_key *other)
{
    char this[CH_DESCRIBED_KEY_MAX], that[CH_DESCRIBED_KEY_MAX];
    ch_vocabulary_describe_key(one, this, sizeof(this));
    ch_vocabulary_describe_key(other, that, sizeof(that));
    return strcmp(this, that) == 0 && strcmp(one->help, other->help) == 0 &&
           one->required == other->required;
}

static bool has_word(const struct taker *first, const struct taker *end, const char *word)
{
    for (; first < end; first++)
        if (strcmp(first->word, word) == 0)
            return true;
    return false;
}

static bool has_key(const struct taker *first, const struct taker *end, const struct ch_key *key)
{
    for (; first < end; first++)
        if (same_key(first->key, key))
            return true;
    return false;
}

/* Keys by name: one that several words take alike is printed once, with all of them. */
static size_t explain_key(const char *text, FILE *out)
{
    struct taker takers[TAKERS_MAX];
    const struct taker *end = takers + find_takers(text, takers);
    for (const struct taker *first = takers; first < end; first++) {
        if (has_key(takers, first, first->key))
            continue;
        fprintf(out, "%s is a key of %s", text, first->word);
        for (const struct taker *at = first + 1; at < end; at++)
            if (same_key(first->key, at->key) && !has_word(first, at, at->word))
                fprintf(out, ", %s", at->word);
        fputc('\n', out);
        print_key(first->key, out);
    }
    return (size_t)(end - takers);
}

/* The same keys in the load and in the timeline are printed once. */
static size_t explain_words(const char *text, FILE *out)
{
    const struct ch_key *printed = NULL;
    size_t found = 0;
    for (size_t i = 0; i < CH_FAMILIES; i++)
        for (size_t j = 0; j < ch_words[i].count; j++) {
            const struct ch_word *word = &ch_words[i].words[j];
            if (strcmp(word->word, text) != 0)
                continue;
            print_word(word, (enum ch_family)i, word->keys != printed, out);
            printed = word->keys != NULL ? word->keys : printed;
            found++;
        }
    return found;
}

int ch_explain(const char *word, FILE *out)
{
    size_t found = 0;
    if (word == NULL) {
        fputs("A scenario file is a list of statements; `chaos explain WORD` says more about any "
              "of these.\n",
              out);
        for (size_t i = 0; i < CH_FAMILIES; i++) {
            fputc('\n', out);
            print_family(&ch_words[i], out);
        }
        return 0;
    }
    found = explain_words(word, out);
    for (size_t i = 0; i < CH_FAMILIES; i++)
        if (strcmp(ch_words[i].name, word) == 0) {
            print_family(&ch_words[i], out);
            found++;
        }
    found += explain_key(word, out);
    return found > 0 ? 0 : -ENOENT;
}
