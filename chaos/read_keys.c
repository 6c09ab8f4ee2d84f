/* SPDX-License-Identifier: MIT */
/*
 * Reads KEY=VALUE, KEY VALUE, KEY <= VALUE and bare words as the vocabulary has them, and puts the
 * values into the fields that the vocabulary names. No key is known to this file.
 */
#include <assert.h>
#include <string.h>

#include "chaos/parser.h"

static void *field(const struct ch_key_set *set, const struct ch_key *key)
{
    return (char *)set->target + key->offset;
}

/* Fields are bool, 32-bit numbers and enums, or 64-bit numbers. */
static void store(void *target, size_t width, uint64_t value)
{
    if (width == 1)
        *(bool *)target = value != 0;
    else if (width == sizeof(uint32_t))
        memcpy(target, &(uint32_t){(uint32_t)value}, width);
    else
        memcpy(target, &value, sizeof(value));
}

static const char *key_text(struct ch_parser *parser, const struct ch_key *key)
{
    size_t length = strlen(key->word);
    char *text = ch_arena_take(parser->arena, length + 3);
    text[0] = text[length + 1] = '\'';
    memcpy(text + 1, key->word, length);
    return text;
}

/* ---- Values ------------------------------------------------------------------------------ */

static void complain_choice(struct ch_parser *parser, const struct ch_key *key,
                            const struct ch_token *at)
{
    char shown[CH_DESCRIBED_KEY_MAX];
    const char *best = NULL;
    for (const struct ch_choice *choice = key->choices; choice->word != NULL; choice++)
        ch_nearer(at->text, choice->word, &best);
    struct ch_diagnostic *wrong = ch_complain(parser, at, "'%s' can't be '%.40s'%s", key->word,
                                              at->text, ch_did_you_mean(parser, best));
    ch_vocabulary_describe_key(key, shown, sizeof(shown));
    ch_note(parser, wrong, "%s", shown);
}

static bool read_choice(struct ch_parser *parser, const struct ch_key *key,
                        const struct ch_token *at, void *target)
{
    for (const struct ch_choice *choice = key->choices; choice->word != NULL; choice++) {
        if (strcmp(choice->word, at->text) != 0)
            continue;
        store(target, key->width, (uint64_t)choice->value);
        return true;
    }
    complain_choice(parser, key, at);
    return false;
}

/* A choice, or fail-N where the choices have it. */
static void read_callback(struct ch_parser *parser, const struct ch_key *key,
                          const struct ch_token *at, void *target)
{
    static_assert(offsetof(struct ch_pool, initializer_fails) ==
                      offsetof(struct ch_pool, initializer) + sizeof(enum ch_callback),
                  "fail-N fills two fields in a row");
    uint64_t times;
    bool counted = false;
    for (const struct ch_choice *choice = key->choices; choice->word != NULL; choice++)
        counted |= choice->value == CH_CALLBACK_FAIL;
    if (!counted || strncmp(at->text, "fail-", 5) != 0) {
        read_choice(parser, key, at, target);
        return;
    }
    if (!ch_read_value(parser, at, at->text + 5, CH_VALUE_NUMBER, key->low, key->high,
                       "the N of 'fail-N'", &times))
        return;
    store(target, key->width, CH_CALLBACK_FAIL);
    store((char *)target + key->width, sizeof(uint32_t), times);
}

static void read_time(struct ch_parser *parser, const struct ch_key *key, const struct ch_token *at,
                      void *target)
{
    uint64_t time_us;
    if (!ch_read_value(parser, at, at->text, CH_VALUE_TIME, key->low, key->high,
                       key_text(parser, key), &time_us))
        return;
    if (time_us % key->divisor != 0)
        ch_complain(parser, at, "%s has to be whole milliseconds", key_text(parser, key));
    else
        store(target, key->width, time_us / key->divisor);
}

static void read_time_range(struct ch_parser *parser, const struct ch_key *key,
                            const struct ch_token *at, void *target)
{
    static_assert(offsetof(struct ch_pool, backoff_max_ms) ==
                      offsetof(struct ch_pool, backoff_min_ms) + sizeof(uint32_t),
                  "T..T fills two fields in a row");
    static_assert(offsetof(struct ch_submit, retry_max_ms) ==
                      offsetof(struct ch_submit, retry_min_ms) + sizeof(uint32_t),
                  "here, too");
    uint64_t range[2];
    if (!ch_read_range(parser, at, CH_VALUE_TIME, key->low, key->high, key_text(parser, key),
                       range))
        return;
    store(target, key->width, range[0] / key->divisor);
    store((char *)target + key->width, key->width, range[1] / key->divisor);
}

static void read_number(struct ch_parser *parser, const struct ch_key *key,
                        const struct ch_token *at, enum ch_value_kind kind, void *target)
{
    uint64_t value;
    if (ch_read_value(parser, at, at->text, kind, key->low, key->high, key_text(parser, key),
                      &value))
        store(target, key->width, value);
}

static void read_workers(struct ch_parser *parser, const struct ch_key *key,
                         const struct ch_token *at, void *target)
{
    static_assert(offsetof(struct ch_pool, max_workers) ==
                      offsetof(struct ch_pool, min_workers) + sizeof(uint32_t),
                  "workers fills two fields in a row");
    read_number(parser, key, at, CH_VALUE_NUMBER, target);
    memcpy((char *)target + key->width, target, key->width);
}

static void read_pids(struct ch_parser *parser, const struct ch_key *key, const struct ch_token *at,
                      struct ch_pids_action *target)
{
    uint64_t value;
    target->current = strcmp(at->text, "current") == 0;
    if (!target->current && ch_read_value(parser, at, at->text, CH_VALUE_NUMBER, key->low,
                                          key->high, key_text(parser, key), &value))
        target->limit = (uint32_t)value;
}

/* N% and slot:N. False when the text is neither. */
static bool read_counted_selector(struct ch_parser *parser, const struct ch_token *at,
                                  struct ch_selector *selector)
{
    uint64_t number = 0;
    size_t length = strlen(at->text);
    if (strncmp(at->text, "slot:", 5) == 0) {
        selector->kind = CH_WORKER_SLOT;
        ch_read_value(parser, at, at->text + 5, CH_VALUE_NUMBER, 0, 1023, "the slot", &number);
    } else if (length > 1 && at->text[length - 1] == '%') {
        selector->kind = CH_WORKER_PERCENT;
        const char *digits = ch_arena_text(parser->arena, at->text, length - 1);
        ch_read_value(parser, at, digits, CH_VALUE_NUMBER, 1, 100, "the percentage", &number);
    } else {
        return false;
    }
    selector->number = (uint32_t)number;
    return true;
}

static void read_selector(struct ch_parser *parser, const struct ch_token *at,
                          struct ch_selector *selector)
{
    *selector = (struct ch_selector){.place = at->place, .name = CH_NOBODY};
    if (read_counted_selector(parser, at, selector))
        return;
    const struct ch_word *word = ch_vocabulary_find(CH_FAMILY_SELECTOR, at->text);
    if (word != NULL && word->value <= CH_WORKER_OLDEST) {
        selector->kind = (enum ch_selector_kind)word->value;
        return;
    }
    const char *suggestion = ch_vocabulary_suggest(CH_FAMILY_SELECTOR, at->text);
    if (ch_name_look(parser, at->text) == CH_NOBODY && suggestion != NULL) {
        ch_complain(parser, at, "'%.40s' is no choice of workers and no name%s", at->text,
                    ch_did_you_mean(parser, suggestion));
        return;
    }
    selector->kind = CH_WORKER_NAME;
    selector->name = ch_name_of_worker(parser, at, at->text, false);
}

static void read_of(struct ch_parser *parser, const struct ch_token *at, int *name)
{
    unsigned traits = parser->event != NULL ? parser->event->traits : 0;
    if (parser->event == NULL)
        return;
    if (traits & CH_EVENT_OF_TASKS)
        *name = ch_name_of_tasks(parser, at, at->text);
    else if (traits & CH_EVENT_OF_WORKER)
        *name = ch_name_of_worker(parser, at, at->text, false);
    else if (traits & CH_EVENT_OF_SHUTDOWN)
        *name = ch_name_of_shutdown(parser, at, at->text);
    else
        ch_complain(parser, at, "'%s' is of nobody in particular: it takes no 'of'",
                    parser->event->word);
}

static void read_slot(struct ch_parser *parser, const struct ch_key *key, const struct ch_token *at,
                      struct ch_trigger *trigger)
{
    bool dotted;
    uint64_t slot;
    trigger->slot_of = ch_name_of_dotted(parser, at, "slot", &dotted);
    if (dotted) {
        trigger->slot_kind = CH_SLOT_OF_NAME;
        return;
    }
    trigger->slot_kind = CH_SLOT_NUMBER;
    if (ch_read_value(parser, at, at->text, CH_VALUE_NUMBER, key->low, key->high, "'slot'", &slot))
        trigger->slot = (uint32_t)slot;
}

static void read_word_of(struct ch_parser *parser, enum ch_family family, const struct ch_token *at,
                         const struct ch_key *key, void *target)
{
    const struct ch_word *word = ch_find_word(parser, at, family);
    if (word != NULL)
        store(target, key->width, (uint64_t)word->value);
}

static void read_code(struct ch_parser *parser, const struct ch_key *key, const struct ch_token *at,
                      void *target)
{
    int64_t code;
    if (ch_read_code(parser, at, key_text(parser, key), &code))
        store(target, key->width, (uint64_t)code);
}

static void read_value(struct ch_parser *parser, const struct ch_key_set *set,
                       const struct ch_key *key, const struct ch_token *at)
{
    void *target = field(set, key);
    switch (key->kind) {
    case CH_VALUE_NUMBER: read_number(parser, key, at, CH_VALUE_NUMBER, target); break;
    case CH_VALUE_SIZE: read_number(parser, key, at, CH_VALUE_SIZE, target); break;
    case CH_VALUE_TIME: read_time(parser, key, at, target); break;
    case CH_VALUE_CHOICE: read_choice(parser, key, at, target); break;
    case CH_VALUE_FLAG: break;
    case CH_VALUE_WORKERS: read_workers(parser, key, at, target); break;
    case CH_VALUE_TIME_RANGE: read_time_range(parser, key, at, target); break;
    case CH_VALUE_CALLBACK: read_callback(parser, key, at, target); break;
    case CH_VALUE_TIME_OR_FOREVER:
        if (strcmp(at->text, "forever") == 0)
            store(target, key->width, CH_FOR_EVER);
        else
            read_time(parser, key, at, target);
        break;
    case CH_VALUE_NUMBER_OR_CURRENT: read_pids(parser, key, at, target); break;
    case CH_VALUE_CODE: read_code(parser, key, at, target); break;
    case CH_VALUE_SIGNAL: read_word_of(parser, CH_FAMILY_SIGNAL, at, key, target); break;
    case CH_VALUE_CAUSE: read_word_of(parser, CH_FAMILY_CAUSE, at, key, target); break;
    case CH_VALUE_SELECTOR: read_selector(parser, at, target); break;
    case CH_VALUE_OF: read_of(parser, at, target); break;
    case CH_VALUE_SLOT: read_slot(parser, key, at, set->target); break;
    case CH_VALUE_NEW_NAME:
    case CH_VALUE_TASK:
    case CH_VALUE_KINDS: break;
    }
}

/* ---- Keys -------------------------------------------------------------------------------- */

static const struct ch_key *find_key(struct ch_key_set *sets, size_t sets_count, const char *word,
                                     struct ch_key_set **set, size_t *index)
{
    for (size_t i = 0; i < sets_count; i++)
        for (size_t j = 0; sets[i].keys != NULL && sets[i].keys[j].word != NULL; j++)
            if (strcmp(sets[i].keys[j].word, word) == 0) {
                *set = &sets[i];
                *index = j;
                return &sets[i].keys[j];
            }
    return NULL;
}

/* Returns the key that was probably meant, or NULL. */
static const char *complain_unknown(struct ch_parser *parser, const struct ch_token *at,
                                    const char *name, const struct ch_key_set *sets,
                                    size_t sets_count)
{
    char described[CH_DESCRIBED_MAX];
    const char *best = NULL;
    for (size_t i = 0; i < sets_count; i++)
        for (size_t j = 0; sets[i].keys != NULL && sets[i].keys[j].word != NULL; j++)
            ch_nearer(at->text, sets[i].keys[j].word, &best);
    struct ch_diagnostic *wrong = ch_complain(parser, at, "'%s' has no key '%.40s'%s", name,
                                              at->text, ch_did_you_mean(parser, best));
    ch_vocabulary_describe(name, sets[0].keys, sets_count > 1 ? sets[1].keys : NULL, described,
                           sizeof(described));
    ch_note(parser, wrong, "%s", described);
    return best;
}

/* The sign between a key and its value, in front of *at. */
static bool take_sign(struct ch_parser *parser, const struct ch_key *key,
                      const struct ch_token **at)
{
    char shown[64], described[CH_DESCRIBED_KEY_MAX];
    enum ch_token_kind wanted = key->form == CH_FORM_EQUALS    ? CH_TOKEN_EQUALS
                                : key->form == CH_FORM_AT_MOST ? CH_TOKEN_AT_MOST
                                                               : CH_TOKEN_WORD;
    const struct ch_token *sign = *at;
    if (sign->kind != wanted) {
        ch_vocabulary_describe_key(key, described, sizeof(described));
        ch_note(parser,
                ch_complain(parser, sign, "expected %s behind '%s', not %s",
                            wanted == CH_TOKEN_EQUALS    ? "'='"
                            : wanted == CH_TOKEN_AT_MOST ? "'<='"
                                                         : "a value",
                            key->word, ch_token_describe(sign, shown, sizeof(shown))),
                "%s", described);
        return false;
    }
    if (wanted == CH_TOKEN_EQUALS && (!sign->touches || !sign[1].touches) &&
        sign[1].kind == CH_TOKEN_WORD)
        ch_complain(parser, sign, "no spaces around the '=': %s=%.40s", key->word, sign[1].text);
    if (wanted != CH_TOKEN_WORD)
        (*at)++;
    return true;
}

static bool is_sign(const struct ch_token *at)
{
    return at->kind == CH_TOKEN_EQUALS || at->kind == CH_TOKEN_EQUAL ||
           at->kind == CH_TOKEN_NOT_EQUAL || at->kind == CH_TOKEN_AT_MOST ||
           at->kind == CH_TOKEN_AT_LEAST;
}

/* Skips the value of a key that could not be read: a sign, if there is one, and a word. */
static void skip_value(const struct ch_token **at)
{
    if (!is_sign(*at))
        return;
    (*at)++;
    if ((*at)->kind == CH_TOKEN_WORD || (*at)->kind == CH_TOKEN_STRING)
        (*at)++;
}

static void read_known(struct ch_parser *parser, struct ch_key_set *set, size_t index,
                       const struct ch_token **at)
{
    char shown[64];
    const struct ch_key *key = &set->keys[index];
    const struct ch_token *token = (*at)++;
    if (set->given[index] != NULL)
        ch_complain(parser, token, "'%s' is given twice", key->word);
    set->given[index] = token;
    if (key->form == CH_FORM_BARE) {
        store(field(set, key), key->width, key->low);
        return;
    }
    if (!take_sign(parser, key, at)) {
        skip_value(at);
        return;
    }
    const struct ch_token *value = *at;
    if (value->kind != CH_TOKEN_WORD) {
        ch_complain(parser, value, "'%s' needs a value, not %s", key->word,
                    ch_token_describe(value, shown, sizeof(shown)));
        return;
    }
    (*at)++;
    read_value(parser, set, key, value);
}

static void complain_missing(struct ch_parser *parser, const struct ch_token *statement,
                             const char *name, const struct ch_key_set *set)
{
    for (size_t i = 0; set->keys != NULL && set->keys[i].word != NULL; i++) {
        if (!set->keys[i].required || set->given[i] != NULL)
            continue;
        char described[256];
        ch_vocabulary_describe_key(&set->keys[i], described, sizeof(described));
        ch_complain(parser, statement, "'%s' needs %s", name, described);
    }
}

void ch_read_keys(struct ch_parser *parser, const struct ch_token *at,
                  const struct ch_token *statement, const char *name, struct ch_key_set *sets,
                  size_t sets_count)
{
    char shown[64];
    while (at->kind != CH_TOKEN_END) {
        struct ch_key_set *set;
        size_t index;
        if (at->kind != CH_TOKEN_WORD) {
            ch_complain(parser, at, "expected a key of '%s', not %s", name,
                        ch_token_describe(at, shown, sizeof(shown)));
            at++;
            continue;
        }
        const char *word = at->text;
        if (find_key(sets, sets_count, word, &set, &index) == NULL)
            word = complain_unknown(parser, at, name, sets, sets_count);
        if (word != NULL && find_key(sets, sets_count, word, &set, &index) != NULL) {
            read_known(parser, set, index, &at);
        } else {
            at++;
            skip_value(&at);
        }
    }
    for (size_t i = 0; i < sets_count; i++)
        complain_missing(parser, statement, name, &sets[i]);
}

const struct ch_token *ch_given(const struct ch_key_set *set, const char *word)
{
    for (size_t i = 0; set->keys != NULL && set->keys[i].word != NULL; i++)
        if (strcmp(set->keys[i].word, word) == 0)
            return set->given[i];
    return NULL;
}

const struct ch_token *ch_given_value(const struct ch_key_set *set, const char *word)
{
    const struct ch_token *key = ch_given(set, word);
    if (key == NULL)
        return NULL;
    const struct ch_token *value = is_sign(key + 1) ? key + 2 : key + 1;
    return value->kind == CH_TOKEN_WORD ? value : NULL;
}
