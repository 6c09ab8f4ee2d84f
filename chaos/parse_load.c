/* SPDX-License-Identifier: MIT */
/* `submit`: in the load, and as an action of the timeline. */
#include <string.h>

#include "chaos/parser.h"

/* task=KIND has to be known before the other keys: they depend on it. */
static const struct ch_word *find_task(struct ch_parser *parser, const struct ch_token *at)
{
    for (; at->kind != CH_TOKEN_END; at++)
        if (at->kind == CH_TOKEN_WORD && strcmp(at->text, "task") == 0 &&
            at[1].kind == CH_TOKEN_EQUALS && at[2].kind == CH_TOKEN_WORD)
            return ch_find_word(parser, &at[2], CH_FAMILY_TASK);
    return NULL;
}

static void read_count(struct ch_parser *parser, const struct ch_token **at,
                       struct ch_submit *submit)
{
    char shown[64];
    uint64_t count;
    if ((*at)->kind != CH_TOKEN_WORD || (*at)[1].kind == CH_TOKEN_EQUALS) {
        ch_complain(parser, *at, "expected how many tasks, not %s: submit 10 task=noop",
                    ch_token_describe(*at, shown, sizeof(shown)));
        return;
    }
    if (ch_read_value(parser, *at, (*at)->text, CH_VALUE_NUMBER, 1, CH_SCENARIO_TASKS,
                      "the number of tasks", &count))
        submit->count = (uint32_t)count;
    (*at)++;
}

static struct ch_submit *add_submit(struct ch_parser *parser, uint32_t *index)
{
    struct ch_scenario *scenario = parser->scenario;
    scenario->submits = ch_arena_grow(parser->arena, scenario->submits, scenario->submits_count,
                                      sizeof(scenario->submits[0]));
    *index = (uint32_t)scenario->submits_count++;
    return &scenario->submits[*index];
}

void ch_parse_submit(struct ch_parser *parser, const struct ch_token *statement, uint32_t *index)
{
    struct ch_submit *submit = add_submit(parser, index);
    *submit = (struct ch_submit){
        .place = statement->place, .name = CH_NOBODY, .count = 1, .wait_ms = CH_FOR_EVER};
    const struct ch_token *at = statement + 1;
    read_count(parser, &at, submit);
    const struct ch_word *task = find_task(parser, at);
    struct ch_key_set sets[] = {{.keys = ch_keys_submit, .target = submit},
                                {.keys = task != NULL ? task->keys : NULL, .target = submit}};
    if (task != NULL)
        submit->kind = (enum ch_task_kind)task->value;
    const char *name = task == NULL ? "submit"
                                    : ch_arena_format(parser->arena, "submit task=%s", task->word);
    ch_read_keys(parser, at, statement, name, sets, 2);
    ch_check_submit_keys(parser, &sets[0]);
    submit->name = ch_name_bind(parser, ch_given_value(&sets[0], "as"), CH_NAME_TASKS, *index);
}

void ch_parse_load_line(struct ch_parser *parser, const struct ch_line *line)
{
    uint32_t index;
    const struct ch_token *at = line->tokens;
    if (ch_read_word(parser, &at, CH_FAMILY_LOAD) != NULL)
        ch_parse_submit(parser, line->tokens, &index);
    parser->scenario->submits_in_load = parser->scenario->submits_count;
}
