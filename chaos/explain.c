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

static void print_word(const struct ch_word *word, enum ch_family family, FILE *out)
{
    fprintf(out, "%s is %s\n", word->word, ch_words[family].kind);
    print_synopsis(word, family, out);
    fprintf(out, "    %s\n", word->help);
    if (word->keys == NULL)
        return;
    fputc('\n', out);
    print_keys(word->keys, out);
    if (family == CH_FAMILY_ACTION && word->keys != ch_keys_submit)
        print_keys(ch_keys_action, out);
}

/* Keys by name: in each statement that takes them. */
static size_t explain_key(const char *text, FILE *out)
{
    size_t found = 0;
    for (size_t i = 0; i < CH_FAMILIES; i++)
        for (size_t j = 0; j < ch_words[i].count; j++) {
            const struct ch_key *key = ch_words[i].words[j].keys;
            for (; key != NULL && key->word != NULL; key++) {
                if (strcmp(key->word, text) != 0)
                    continue;
                fprintf(out, "%s is a key of %s\n", text, ch_words[i].words[j].word);
                print_key(key, out);
                found++;
            }
        }
    return found;
}

static size_t explain_words(const char *text, FILE *out)
{
    size_t found = 0;
    for (size_t i = 0; i < CH_FAMILIES; i++)
        for (size_t j = 0; j < ch_words[i].count; j++)
            if (strcmp(ch_words[i].words[j].word, text) == 0) {
                print_word(&ch_words[i].words[j], (enum ch_family)i, out);
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
