/* SPDX-License-Identifier: MIT */
/* Finding a word and saying what it takes. The table itself is in words.c and keys.c. */
#include "chaos/vocabulary.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "chaos/diagnostic.h"
#include "chaos/words.h"

const struct ch_word *ch_vocabulary_words(enum ch_family family, size_t *count)
{
    *count = ch_words[family].count;
    return ch_words[family].words;
}

const char *ch_vocabulary_kind(enum ch_family family)
{
    return ch_words[family].kind;
}

const struct ch_word *ch_vocabulary_find(enum ch_family family, const char *text)
{
    const struct ch_word *word = ch_words[family].words;
    for (const struct ch_word *end = word + ch_words[family].count; word < end; word++)
        if (word->word[0] == text[0] && strcmp(word->word, text) == 0)
            return word;
    return NULL;
}

const char *ch_vocabulary_name(enum ch_family family, int value)
{
    for (size_t i = 0; i < ch_words[family].count; i++)
        if (ch_words[family].words[i].value == value)
            return ch_words[family].words[i].word;
    return "?";
}

unsigned ch_vocabulary_traits(enum ch_family family, int value)
{
    for (size_t i = 0; i < ch_words[family].count; i++)
        if (ch_words[family].words[i].value == value)
            return ch_words[family].words[i].traits;
    return 0;
}

const char *ch_vocabulary_suggest(enum ch_family family, const char *text)
{
    const char *best = NULL;
    for (size_t i = 0; i < ch_words[family].count; i++)
        ch_nearer(text, ch_words[family].words[i].word, &best);
    return best;
}

/* ---- Describing -------------------------------------------------------------------------- */

/* Appends to text, which stays terminated; what does not fit is cut, and that is seen. */
__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size,
                                                         const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length >= size - used)
        memcpy(text + size - sizeof("..."), "...", sizeof("..."));
}

/* The largest unit that divides the value. */
static void describe_unit(enum ch_family units, uint64_t value, char *text, size_t size)
{
    const struct ch_words *family = &ch_words[units];
    const struct ch_word *best = NULL;
    for (const struct ch_word *unit = family->words; unit < family->words + family->count; unit++) {
        bool fits = unit->value == 1 || (value != 0 && value % (uint64_t)unit->value == 0);
        if (fits && (best == NULL || unit->value > best->value))
            best = unit;
    }
    snprintf(text, size, "%" PRIu64 "%s", value / (uint64_t)best->value, best->word);
}

void ch_vocabulary_describe_value(enum ch_value_kind kind, uint64_t value, char *text, size_t size)
{
    bool time = kind == CH_VALUE_TIME || kind == CH_VALUE_TIME_RANGE ||
                kind == CH_VALUE_TIME_OR_FOREVER;
    if (time)
        describe_unit(CH_FAMILY_TIME_UNIT, value, text, size);
    else if (kind == CH_VALUE_SIZE)
        describe_unit(CH_FAMILY_SIZE_UNIT, value, text, size);
    else
        snprintf(text, size, "%" PRIu64, value);
}

static void append_range(const struct ch_key *key, char *text, size_t size)
{
    char low[32], high[32];
    ch_vocabulary_describe_value(key->kind, key->low, low, sizeof(low));
    ch_vocabulary_describe_value(key->kind, key->high, high, sizeof(high));
    append(text, size, "%s..%s", low, high);
}

static void append_choices(const struct ch_choice *choices, char *text, size_t size)
{
    for (size_t i = 0; choices[i].word != NULL; i++)
        append(text, size, "%s%s", i > 0 ? "|" : "", choices[i].word);
}

static void append_words(enum ch_family family, char *text, size_t size)
{
    for (size_t i = 0; i < ch_words[family].count; i++)
        append(text, size, "%s%s", i > 0 ? "|" : "", ch_words[family].words[i].word);
}

static void append_value(const struct ch_key *key, char *text, size_t size)
{
    switch (key->kind) {
    case CH_VALUE_NUMBER:
    case CH_VALUE_TIME:
    case CH_VALUE_SIZE:
    case CH_VALUE_WORKERS: append_range(key, text, size); break;
    case CH_VALUE_CHOICE:
    case CH_VALUE_CALLBACK: append_choices(key->choices, text, size); break;
    case CH_VALUE_FLAG: break;
    case CH_VALUE_TIME_RANGE: append(text, size, "T..T"); break;
    case CH_VALUE_TIME_OR_FOREVER:
        append_range(key, text, size);
        append(text, size, "|forever");
        break;
    case CH_VALUE_NUMBER_OR_CURRENT:
        append_range(key, text, size);
        append(text, size, "|current");
        break;
    case CH_VALUE_CODE: append(text, size, "N"); break;
    case CH_VALUE_SIGNAL: append(text, size, "SIGNAL"); break;
    case CH_VALUE_CAUSE: append(text, size, "CAUSE"); break;
    case CH_VALUE_SELECTOR: append_words(CH_FAMILY_SELECTOR, text, size); break;
    case CH_VALUE_OF: append(text, size, "NAME"); break;
    case CH_VALUE_SLOT: append(text, size, "N|NAME.slot"); break;
    case CH_VALUE_NEW_NAME: append(text, size, "NAME"); break;
    case CH_VALUE_TASK: append(text, size, "KIND"); break;
    case CH_VALUE_KINDS: break;
    }
}

void ch_vocabulary_describe_key(const struct ch_key *key, char *text, size_t size)
{
    static const char *const between[CH_FORMS] = {
        [CH_FORM_EQUALS] = "=",
        [CH_FORM_WORD] = " ",
        [CH_FORM_AT_MOST] = " <= ",
        [CH_FORM_BARE] = "",
    };
    snprintf(text, size, "%s%s", key->word, between[key->form]);
    append_value(key, text, size);
}

void ch_vocabulary_describe(const char *word, const struct ch_key *keys, const struct ch_key *more,
                            char *text, size_t size)
{
    const struct ch_key *lists[] = {keys, more};
    const char *before = " takes: ";
    snprintf(text, size, "%s", word);
    for (size_t i = 0; i < 2; i++) {
        for (const struct ch_key *key = lists[i]; key != NULL && key->word != NULL; key++) {
            char described[CH_DESCRIBED_KEY_MAX];
            ch_vocabulary_describe_key(key, described, sizeof(described));
            append(text, size, "%s%s", before, described);
            before = ", ";
        }
    }
    if (before[0] == ' ')
        append(text, size, " takes nothing");
}
