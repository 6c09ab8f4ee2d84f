/* SPDX-License-Identifier: MIT */
/*
 * Single values. Strict on purpose: a number has no sign, no fraction, no leading zero and, where
 * it measures something, a unit. A tool whose counters are exact must not guess what was meant.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "chaos/parser.h"

/* ---- Complaints -------------------------------------------------------------------------- */

static struct ch_diagnostic *add(struct ch_parser *parser, struct ch_place place, uint32_t length,
                                 const char *format, va_list arguments)
{
    char message[400];
    vsnprintf(message, sizeof(message), format, arguments);
    parser->complaints++;
    return ch_diagnostic_add(parser->diagnostics, place, length, "%s", message);
}

struct ch_diagnostic *ch_complain(struct ch_parser *parser, const struct ch_token *at,
                                  const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct ch_diagnostic *diagnostic = add(parser, at->place, at->length, format, arguments);
    va_end(arguments);
    if (at->substituted)
        ch_note(parser, diagnostic, "with %s=%s", parser->matrix.name, parser->matrix.value);
    return diagnostic;
}

struct ch_diagnostic *ch_complain_at(struct ch_parser *parser, struct ch_place place,
                                     const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct ch_diagnostic *diagnostic = add(parser, place, 1, format, arguments);
    va_end(arguments);
    return diagnostic;
}

void ch_note(struct ch_parser *parser, struct ch_diagnostic *diagnostic, const char *format, ...)
{
    if (diagnostic == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *note = ch_arena_take(parser->arena, (size_t)length + 1);
    va_start(arguments, format);
    vsnprintf(note, (size_t)length + 1, format, arguments);
    va_end(arguments);
    diagnostic->note = note;
}

const char *ch_did_you_mean(struct ch_parser *parser, const char *suggestion)
{
    if (suggestion == NULL)
        return "";
    return ch_arena_format(parser->arena, ", did you mean '%s'?", suggestion);
}

/* ---- Words and texts --------------------------------------------------------------------- */

bool ch_take_word(const struct ch_token **at, const char *word)
{
    if ((*at)->kind != CH_TOKEN_WORD || strcmp((*at)->text, word) != 0)
        return false;
    (*at)++;
    return true;
}

bool ch_expect_end(struct ch_parser *parser, const struct ch_token *at)
{
    char shown[64];
    if (at->kind == CH_TOKEN_END)
        return true;
    ch_complain(parser, at, "expected the end of the line, not %s",
                ch_token_describe(at, shown, sizeof(shown)));
    return false;
}

const char *ch_read_text(struct ch_parser *parser, const struct ch_token **at, const char *what)
{
    char shown[64];
    const struct ch_token *token = *at;
    if (token->kind != CH_TOKEN_STRING) {
        ch_complain(parser, token, "expected %s in quotes, not %s", what,
                    ch_token_describe(token, shown, sizeof(shown)));
        while ((*at)->kind != CH_TOKEN_END)
            (*at)++;
        return NULL;
    }
    (*at)++;
    size_t length = strlen(token->text);
    if (length > CH_TEXT_MAX)
        ch_complain(parser, token, "%s is longer than %d bytes", what, CH_TEXT_MAX);
    else if (strspn(token->text, " ") == length)
        ch_complain(parser, token, "%s is empty", what);
    else
        return token->text;
    return NULL;
}

/* Lists the family's words. */
static void note_words(struct ch_parser *parser, struct ch_diagnostic *diagnostic,
                       enum ch_family family)
{
    const char *list = "";
    size_t count;
    const struct ch_word *words = ch_vocabulary_words(family, &count);
    for (size_t i = 0; i < count; i++)
        list = ch_arena_format(parser->arena, "%s%s%s", list, i > 0 ? ", " : "", words[i].word);
    ch_note(parser, diagnostic, "known: %s", list);
}

const struct ch_word *ch_find_word(struct ch_parser *parser, const struct ch_token *at,
                                   enum ch_family family)
{
    char shown[64];
    const char *kind = ch_vocabulary_kind(family);
    if (at->kind != CH_TOKEN_WORD) {
        struct ch_diagnostic *wrong = ch_complain(parser, at, "expected %s, not %s", kind,
                                                  ch_token_describe(at, shown, sizeof(shown)));
        note_words(parser, wrong, family);
        return NULL;
    }
    const struct ch_word *word = ch_vocabulary_find(family, at->text);
    if (word != NULL)
        return word;
    const char *suggestion = ch_vocabulary_suggest(family, at->text);
    struct ch_diagnostic *wrong = ch_complain(parser, at, "'%.40s' is not %s%s", at->text, kind,
                                              ch_did_you_mean(parser, suggestion));
    note_words(parser, wrong, family);
    return suggestion != NULL ? ch_vocabulary_find(family, suggestion) : NULL;
}

const struct ch_word *ch_read_word(struct ch_parser *parser, const struct ch_token **at,
                                   enum ch_family family)
{
    const struct ch_word *word = ch_find_word(parser, *at, family);
    if ((*at)->kind != CH_TOKEN_END)
        (*at)++;
    return word;
}

/* ---- Numbers ----------------------------------------------------------------------------- */

/* Digits at the front: how many; *value saturates. */
static size_t read_digits(const char *text, uint64_t *value)
{
    size_t length = 0;
    *value = 0;
    for (; text[length] >= '0' && text[length] <= '9'; length++) {
        uint64_t digit = (uint64_t)(text[length] - '0');
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, digit, value))
            *value = UINT64_MAX;
    }
    return length;
}

static void complain_range(struct ch_parser *parser, const struct ch_token *at, const char *text,
                           enum ch_value_kind kind, uint64_t low, uint64_t high, const char *what)
{
    char from[32], to[32];
    ch_vocabulary_describe_value(kind, low, from, sizeof(from));
    ch_vocabulary_describe_value(kind, high, to, sizeof(to));
    ch_complain(parser, at, "%s has to be %s..%s, not %.40s", what, from, to, text);
}

static void complain_unit(struct ch_parser *parser, const struct ch_token *at, const char *text,
                          const char *unit, enum ch_value_kind kind, const char *what)
{
    bool time = kind == CH_VALUE_TIME;
    enum ch_family family = time ? CH_FAMILY_TIME_UNIT : CH_FAMILY_SIZE_UNIT;
    const char *units = time ? "us, ms, s or min" : "B, KiB, MiB or GiB";
    if (*unit == '\0')
        ch_complain(parser, at, "%s needs a unit: %s%s, for example", what, text,
                    time ? "ms" : "MiB");
    else if (*unit == '.')
        ch_complain(parser, at, "%s has to be a whole number of %s", what, units);
    else
        ch_note(parser,
                ch_complain(parser, at, "'%.20s' is not %s%s", unit, ch_vocabulary_kind(family),
                            ch_did_you_mean(parser, ch_vocabulary_suggest(family, unit))),
                "known: %s", units);
}

/* Multiplies by the unit that the text ends with. */
static bool apply_unit(struct ch_parser *parser, const struct ch_token *at, const char *text,
                       const char *unit, enum ch_value_kind kind, const char *what, uint64_t *value)
{
    enum ch_family family = kind == CH_VALUE_TIME ? CH_FAMILY_TIME_UNIT : CH_FAMILY_SIZE_UNIT;
    const struct ch_word *word = ch_vocabulary_find(family, unit);
    if (word == NULL) {
        complain_unit(parser, at, text, unit, kind, what);
        return false;
    }
    if (__builtin_mul_overflow(*value, (uint64_t)word->value, value))
        *value = UINT64_MAX;
    return true;
}

bool ch_read_value(struct ch_parser *parser, const struct ch_token *at, const char *text,
                   enum ch_value_kind kind, uint64_t low, uint64_t high, const char *what,
                   uint64_t *value)
{
    size_t digits = read_digits(text, value);
    if (digits == 0) {
        const char *wanted = kind == CH_VALUE_TIME   ? "a time"
                             : kind == CH_VALUE_SIZE ? "a size"
                                                     : "a number";
        ch_complain(parser, at, "%s has to be %s, not '%.40s'", what, wanted, text);
        return false;
    }
    if (text[0] == '0' && digits > 1) {
        ch_complain(parser, at, "%s has a leading zero", what);
        return false;
    }
    if (kind == CH_VALUE_NUMBER && text[digits] != '\0') {
        ch_complain(parser, at, "%s has to be a plain number, not '%.40s'", what, text);
        return false;
    }
    if (kind != CH_VALUE_NUMBER && !apply_unit(parser, at, text, text + digits, kind, what, value))
        return false;
    if (*value >= low && *value <= high)
        return true;
    complain_range(parser, at, text, kind, low, high, what);
    return false;
}

bool ch_read_code(struct ch_parser *parser, const struct ch_token *at, const char *what,
                  int64_t *value)
{
    bool negative = at->text[0] == '-';
    uint64_t number;
    if (!ch_read_value(parser, at, at->text + negative, CH_VALUE_NUMBER, 0, INT32_MAX, what,
                       &number))
        return false;
    *value = negative ? -(int64_t)number : (int64_t)number;
    return true;
}

bool ch_read_range(struct ch_parser *parser, const struct ch_token *at, enum ch_value_kind kind,
                   uint64_t low, uint64_t high, const char *what, uint64_t range[2])
{
    const char *dots = at->kind == CH_TOKEN_WORD ? strstr(at->text, "..") : NULL;
    char shown[64];
    if (dots == NULL) {
        ch_complain(parser, at, "%s has to be a range LOW..HIGH, not %s", what,
                    ch_token_describe(at, shown, sizeof(shown)));
        return false;
    }
    const char *front = ch_arena_text(parser->arena, at->text, (size_t)(dots - at->text));
    struct ch_token back = *at;
    if (!at->substituted) {
        uint32_t skipped = (uint32_t)(dots + 2 - at->text);
        back.place.column += skipped;
        back.length -= skipped;
    }
    if (!ch_read_value(parser, at, front, kind, low, high, what, &range[0]) ||
        !ch_read_value(parser, &back, dots + 2, kind, low, high, what, &range[1]))
        return false;
    if (range[0] <= range[1])
        return true;
    ch_complain(parser, at, "the range %.40s ends before it begins", at->text);
    return false;
}

/* ---- Bounds ------------------------------------------------------------------------------ */

static bool read_range_because(struct ch_parser *parser, const struct ch_token **at,
                               const char *what, struct ch_bound *bound)
{
    uint64_t range[2];
    const struct ch_token *token = (*at)++;
    bound->operator= CH_IN;
    if (!ch_read_range(parser, token, CH_VALUE_NUMBER, 0, UINT32_MAX, what, range))
        return false;
    bound->low = range[0];
    bound->high = range[1];
    if (!ch_take_word(at, "because")) {
        ch_complain(parser, token, "a range needs a reason: in %.40s because \"...\"", token->text);
        return false;
    }
    bound->because = ch_read_text(parser, at, "the reason");
    return bound->because != NULL;
}

bool ch_read_bound(struct ch_parser *parser, const struct ch_token **at, const char *what,
                   struct ch_bound *bound)
{
    char shown[64];
    const struct ch_token *token = *at;
    bound->place = token->place;
    if (ch_take_word(at, "in"))
        return read_range_because(parser, at, what, bound);
    if (token->kind != CH_TOKEN_EQUAL) {
        ch_complain(parser, token, "expected '== N' or 'in A..B because \"...\"', not %s",
                    ch_token_describe(token, shown, sizeof(shown)));
        return false;
    }
    const struct ch_token *number = *at + 1;
    *at += 1;
    if (number->kind != CH_TOKEN_WORD) {
        ch_complain(parser, number, "%s has to be a number, not %s", what,
                    ch_token_describe(number, shown, sizeof(shown)));
        return false;
    }
    *at += 1;
    return ch_read_value(parser, number, number->text, CH_VALUE_NUMBER, 0, UINT32_MAX, what,
                         &bound->low);
}

/* ---- Counters ---------------------------------------------------------------------------- */

/* ended.CAUSE, workers_ended.CAUSE */
static bool read_dotted_counter(struct ch_parser *parser, const struct ch_token *token,
                                const char *dot, struct ch_counter *counter)
{
    const char *front = ch_arena_text(parser->arena, token->text, (size_t)(dot - token->text));
    const struct ch_word *word = ch_vocabulary_find(CH_FAMILY_COUNTER, front);
    if (word == NULL || !(word->traits & CH_COUNTER_BY_CAUSE)) {
        const char *suggestion = ch_vocabulary_suggest(CH_FAMILY_COUNTER, front);
        ch_complain(parser, token, "'%.40s' is not a counter%s", token->text,
                    ch_did_you_mean(parser, suggestion));
        return false;
    }
    struct ch_token cause = *token;
    cause.text = dot + 1;
    if (!token->substituted) {
        cause.place.column += (uint32_t)(dot + 1 - token->text);
        cause.length -= (uint32_t)(dot + 1 - token->text);
    }
    const struct ch_word *found = ch_find_word(parser, &cause, CH_FAMILY_CAUSE);
    if (found == NULL)
        return false;
    counter->kind = (enum ch_counter_kind)word->value;
    counter->cause = (libpool_cause)found->value;
    return true;
}

bool ch_read_counter(struct ch_parser *parser, const struct ch_token **at,
                     struct ch_counter *counter)
{
    const struct ch_token *token = *at;
    const char *dot = token->kind == CH_TOKEN_WORD ? strchr(token->text, '.') : NULL;
    if (dot != NULL) {
        (*at)++;
        return read_dotted_counter(parser, token, dot, counter);
    }
    const struct ch_word *word = ch_read_word(parser, at, CH_FAMILY_COUNTER);
    if (word == NULL)
        return false;
    if (word->traits & CH_COUNTER_BY_CAUSE) {
        ch_complain(parser, token, "'%s' is counted by cause: %s.completed, for example",
                    word->word, word->word);
        return false;
    }
    *counter = (struct ch_counter){.kind = (enum ch_counter_kind)word->value};
    return true;
}

const char *ch_counter_text(struct ch_parser *parser, struct ch_counter counter)
{
    const char *name = ch_vocabulary_name(CH_FAMILY_COUNTER, (int)counter.kind);
    if (counter.kind != CH_TASKS_ENDED && counter.kind != CH_WORKERS_ENDED)
        return name;
    return ch_arena_format(parser->arena, "%s.%s", name,
                           ch_vocabulary_name(CH_FAMILY_CAUSE, (int)counter.cause));
}
