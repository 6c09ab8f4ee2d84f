/* SPDX-License-Identifier: MIT */
/* "TRIGGER : ACTION": this file reads the trigger and hands the rest to parse_action.c. */
#include <string.h>

#include "chaos/parser.h"

#define TIME_LOW_US 0
#define TIME_HIGH_US UINT64_C(3600000000)

/* A time that has to stand alone in front of the colon or a word. */
static void read_time(struct ch_parser *parser, const struct ch_token **at, const char *text,
                      uint64_t low_us, const char *what, uint64_t *time_us)
{
    char shown[64];
    if ((*at)->kind != CH_TOKEN_WORD) {
        ch_complain(parser, *at, "expected %s, not %s", what,
                    ch_token_describe(*at, shown, sizeof(shown)));
        return;
    }
    ch_read_value(parser, *at, text != NULL ? text : (*at)->text, CH_VALUE_TIME, low_us,
                  TIME_HIGH_US, what, time_us);
    (*at)++;
}

static bool expect_word(struct ch_parser *parser, const struct ch_token **at, const char *word)
{
    char shown[64];
    if (ch_take_word(at, word))
        return true;
    ch_complain(parser, *at, "expected '%s', not %s", word,
                ch_token_describe(*at, shown, sizeof(shown)));
    return false;
}

static void read_then(struct ch_parser *parser, const struct ch_token *at,
                      struct ch_trigger *trigger)
{
    trigger->kind = CH_TRIGGER_THEN;
    if (parser->scenario->steps_count == 1)
        ch_complain(parser, at, "no step stands before this one; write 'at %.40s'", at->text + 1);
    read_time(parser, &at, at->text + 1, TIME_LOW_US, "the time behind '+'", &trigger->time_us);
    ch_expect_end(parser, at);
}

static void read_every(struct ch_parser *parser, const struct ch_token *at,
                       struct ch_trigger *trigger)
{
    read_time(parser, &at, NULL, 1000, "the interval", &trigger->time_us);
    if (!expect_word(parser, &at, "for"))
        return;
    read_time(parser, &at, NULL, 1000, "the time behind 'for'", &trigger->for_us);
    ch_expect_end(parser, at);
}

/* A gate in a callback that the pool does not have would never be reached. */
static void check_callback(struct ch_parser *parser, const struct ch_token *at,
                           const struct ch_trigger *trigger)
{
    const struct ch_pool *pool = &parser->scenario->pool;
    if (trigger->event == CH_EVENT_WORKER_INIT && pool->initializer == CH_CALLBACK_NONE)
        ch_complain(parser, at, "the pool has no initializer; 'initializer=ok' gives it one");
    if (trigger->event == CH_EVENT_WORKER_FINAL && pool->finalizer == CH_CALLBACK_NONE)
        ch_complain(parser, at, "the pool has no finalizer; 'finalizer=ok' gives it one");
}

static void read_on(struct ch_parser *parser, const struct ch_token *at, uint32_t step,
                    struct ch_trigger *trigger)
{
    const struct ch_token *event = at;
    struct ch_key_set set = {.keys = ch_keys_on, .target = trigger};
    parser->event = ch_read_word(parser, &at, CH_FAMILY_EVENT);
    parser->event_unknown = parser->event == NULL || strcmp(parser->event->word, event->text) != 0;
    if (parser->event_unknown) {
        parser->event = NULL;
    } else {
        trigger->event = (enum ch_event)parser->event->value;
        check_callback(parser, event, trigger);
    }
    ch_read_keys(parser, at, event, "on", &set, 1);
    trigger->name = ch_name_bind(parser, ch_given_value(&set, "as"),
                                 parser->event != NULL ? CH_NAME_EVENT : CH_NAME_BROKEN, step);
}

static void read_after(struct ch_parser *parser, const struct ch_token *at)
{
    if (expect_word(parser, &at, "load"))
        ch_expect_end(parser, at);
}

static void read_trigger(struct ch_parser *parser, const struct ch_token *at, uint32_t step,
                         struct ch_trigger *trigger)
{
    *trigger = (struct ch_trigger){.place = at->place,
                                   .of = CH_NOBODY,
                                   .slot_of = CH_NOBODY,
                                   .nth = 1,
                                   .within_us = CH_UNSET,
                                   .name = CH_NOBODY};
    parser->event = NULL;
    parser->event_unknown = false;
    if (at->kind == CH_TOKEN_WORD && at->text[0] == '+') {
        read_then(parser, at, trigger);
        return;
    }
    const struct ch_word *word = ch_read_word(parser, &at, CH_FAMILY_TRIGGER);
    if (word == NULL)
        return;
    trigger->kind = (enum ch_trigger_kind)word->value;
    switch (trigger->kind) {
    case CH_TRIGGER_AT:
        read_time(parser, &at, NULL, TIME_LOW_US, "the time behind 'at'", &trigger->time_us);
        ch_expect_end(parser, at);
        break;
    case CH_TRIGGER_ON: read_on(parser, at, step, trigger); break;
    case CH_TRIGGER_EVERY: read_every(parser, at, trigger); break;
    case CH_TRIGGER_AFTER_LOAD: read_after(parser, at); break;
    case CH_TRIGGER_THEN:
    case CH_TRIGGER_KINDS: break;
    }
}

/* The token of the colon, or NULL. */
static struct ch_token *find_colon(const struct ch_line *line)
{
    for (size_t i = 0; i < line->count; i++)
        if (line->tokens[i].kind == CH_TOKEN_COLON)
            return &line->tokens[i];
    return NULL;
}

static struct ch_step *add_step(struct ch_parser *parser)
{
    struct ch_scenario *scenario = parser->scenario;
    scenario->steps = ch_arena_grow(parser->arena, scenario->steps, scenario->steps_count,
                                    sizeof(scenario->steps[0]));
    struct ch_step *step = &scenario->steps[scenario->steps_count++];
    memset(step, 0, sizeof(*step));
    return step;
}

void ch_parse_timeline_line(struct ch_parser *parser, const struct ch_line *line)
{
    struct ch_token *colon = find_colon(line);
    if (colon == NULL) {
        ch_complain(parser, &line->tokens[line->count],
                    "expected ' : ' and an action behind the trigger");
        return;
    }
    struct ch_step *step = add_step(parser);
    uint32_t index = (uint32_t)parser->scenario->steps_count - 1;
    colon->kind = CH_TOKEN_END;
    colon->text = ":";
    read_trigger(parser, line->tokens, index, &step->trigger);
    colon->kind = CH_TOKEN_COLON;
    ch_parse_action(parser, colon + 1, step);
}
