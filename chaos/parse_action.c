/* SPDX-License-Identifier: MIT */
/* What a step of the timeline does. */
#include <signal.h>
#include <string.h>

#include "chaos/parser.h"

static uint32_t step_index(const struct ch_parser *parser)
{
    return (uint32_t)parser->scenario->steps_count - 1;
}

/* ---- Actions that need a look at their keys ----------------------------------------------- */

/* Exactly one of worker=, zygote, host, client=. */
static void check_victim(struct ch_parser *parser, const struct ch_token *statement,
                         const struct ch_key_set *set)
{
    static const char *const victims[] = {"worker", "zygote", "host", "client"};
    const struct ch_token *seen = NULL;
    for (size_t i = 0; i < sizeof(victims) / sizeof(victims[0]); i++) {
        const struct ch_token *given = ch_given(set, victims[i]);
        if (given != NULL && seen != NULL)
            ch_complain(parser, given, "'%s' takes one victim: '%s' is given already",
                        statement->text, seen->text);
        seen = given != NULL ? given : seen;
    }
    if (seen == NULL)
        ch_complain(parser, statement, "'%s' needs a victim: worker=... or zygote%s",
                    statement->text, strcmp(statement->text, "kill") == 0 ? " or host" : "");
}

static void check_fill_fds(struct ch_parser *parser, const struct ch_token *statement,
                           const struct ch_step *step)
{
    bool gated = parser->event_unknown ||
                 (parser->event != NULL && (parser->event->traits & CH_EVENT_GATE));
    if (step->action.fill_fds.process == CH_PROCESS_WORKER && !gated)
        ch_complain(parser, statement,
                    "proc=worker needs a worker held at a gate: "
                    "on task-start, worker-init or worker-final");
}

static void check_pressure(struct ch_parser *parser, const struct ch_token *statement,
                           const struct ch_pressure_action *pressure)
{
    if (pressure->cpu_workers == 0 && pressure->vm_workers == 0)
        ch_complain(parser, statement, "'pressure' needs cpu=N or vm=N");
    if ((pressure->vm_workers != 0) != (pressure->vm_bytes != 0))
        ch_complain(parser, statement, "vm=N and bytes=SIZE go together");
}

/* ---- Actions with a word of their own in front of the keys -------------------------------- */

static bool any_before(const struct ch_parser *parser, enum ch_action_kind kind)
{
    for (uint32_t i = 0; i < step_index(parser); i++)
        if (parser->scenario->steps[i].action.kind == kind)
            return true;
    return false;
}

static void read_undo(struct ch_parser *parser, const struct ch_token **at,
                      struct ch_undo_action *undo)
{
    char shown[64];
    const struct ch_token *token = *at;
    *undo = (struct ch_undo_action){.name = CH_NOBODY, .kind = CH_ACTIONS};
    if (token->kind != CH_TOKEN_WORD) {
        ch_complain(parser, token, "expected what to undo, a name or a kind of fault, not %s",
                    ch_token_describe(token, shown, sizeof(shown)));
        return;
    }
    (*at)++;
    const struct ch_word *word = ch_vocabulary_find(CH_FAMILY_ACTION, token->text);
    if (word == NULL)
        undo->name = ch_name_of_action(parser, token, token->text, CH_ACTION_UNDONE,
                                       "a fault that can be undone");
    else if (!(word->traits & CH_ACTION_UNDONE))
        ch_complain(parser, token, "'%s' can't be undone; memcg, pids, fill-fds and pressure can",
                    word->word);
    else if (!any_before(parser, (enum ch_action_kind)word->value))
        ch_complain(parser, token, "there is no '%s' before this line to undo", word->word);
    else
        undo->kind = (enum ch_action_kind)word->value;
}

/* The name of a group of tasks; CH_NOBODY. */
static int read_group(struct ch_parser *parser, const struct ch_token **at)
{
    char shown[64];
    const struct ch_token *token = *at;
    if (token->kind != CH_TOKEN_WORD || token[1].kind == CH_TOKEN_EQUALS) {
        ch_complain(parser, token, "expected the name of a group of tasks, not %s",
                    ch_token_describe(token, shown, sizeof(shown)));
        return CH_NOBODY;
    }
    (*at)++;
    return ch_name_of_tasks(parser, token, token->text);
}

static void read_cancel(struct ch_parser *parser, const struct ch_token **at,
                        struct ch_cancel_action *cancel)
{
    *cancel = (struct ch_cancel_action){.name = CH_NOBODY};
    cancel->name = read_group(parser, at);
}

static void read_release(struct ch_parser *parser, const struct ch_token **at,
                         struct ch_release_action *release)
{
    const struct ch_token *token = *at;
    const struct ch_scenario *scenario = parser->scenario;
    release->name = read_group(parser, at);
    if (release->name != CH_NOBODY &&
        scenario->submits[scenario->names[release->name].index].kind != CH_TASK_HELD)
        ch_complain(parser, token, "'%s' are no tasks that are held", token->text);
}

static void check_cancel(struct ch_parser *parser, const struct ch_key_set *set,
                         const struct ch_cancel_action *cancel)
{
    const struct ch_scenario *scenario = parser->scenario;
    if (cancel->name == CH_NOBODY)
        return;
    uint32_t count = scenario->submits[scenario->names[cancel->name].index].count;
    if (cancel->nth > count)
        ch_complain(parser, ch_given_value(set, "nth"), "the group '%s' has %u tasks only",
                    scenario->names[cancel->name].text, count);
}

static void read_note(struct ch_parser *parser, const struct ch_token **at,
                      struct ch_action *action)
{
    const char *note = ch_read_text(parser, at, "the note");
    action->note = note != NULL ? note : "";
}

/* ---- One action -------------------------------------------------------------------------- */

/* Sets what holds without keys and reads what stands in front of them. */
static void read_front(struct ch_parser *parser, const struct ch_token **at,
                       struct ch_action *action)
{
    switch (action->kind) {
    case CH_ACTION_KILL: break;
    case CH_ACTION_STOP: action->signal.signal = SIGSTOP; break;
    case CH_ACTION_CONT: action->signal.signal = SIGCONT; break;
    case CH_ACTION_UNDO: read_undo(parser, at, &action->undo); break;
    case CH_ACTION_CANCEL: read_cancel(parser, at, &action->cancel); break;
    case CH_ACTION_UNSERVE:
    case CH_ACTION_SHUTDOWN: action->shutdown.deadline_us = CH_UNSET; break;
    case CH_ACTION_DRAIN:
    case CH_ACTION_SETTLE: action->settle.within_us = CH_UNSET; break;
    case CH_ACTION_NOTE: read_note(parser, at, action); break;
    case CH_ACTION_RELEASE: read_release(parser, at, &action->release); break;
    case CH_ACTION_MEMCG:
    case CH_ACTION_PIDS:
    case CH_ACTION_FILL_FDS:
    case CH_ACTION_PRESSURE:
    case CH_ACTION_SUBMIT:
    case CH_ACTION_CLOSE:
    case CH_ACTION_EXPECT:
    case CH_ACTION_RECYCLE:
    case CH_ACTION_DRESS:
    case CH_ACTION_NOISE:
    case CH_ACTIONS: break;
    }
}

static void check_back(struct ch_parser *parser, const struct ch_token *statement,
                       const struct ch_key_set *set, const struct ch_step *step)
{
    switch (step->action.kind) {
    case CH_ACTION_KILL:
    case CH_ACTION_STOP:
    case CH_ACTION_CONT: check_victim(parser, statement, set); break;
    case CH_ACTION_FILL_FDS: check_fill_fds(parser, statement, step); break;
    case CH_ACTION_PRESSURE: check_pressure(parser, statement, &step->action.pressure); break;
    case CH_ACTION_CANCEL: check_cancel(parser, set, &step->action.cancel); break;
    case CH_ACTION_MEMCG:
    case CH_ACTION_PIDS:
    case CH_ACTION_UNDO:
    case CH_ACTION_SHUTDOWN:
    case CH_ACTION_SUBMIT:
    case CH_ACTION_CLOSE:
    case CH_ACTION_EXPECT:
    case CH_ACTION_RECYCLE:
    case CH_ACTION_SETTLE:
    case CH_ACTION_DRAIN:
    case CH_ACTION_NOTE:
    case CH_ACTION_RELEASE:
    case CH_ACTION_DRESS:
    case CH_ACTION_UNSERVE:
    case CH_ACTION_NOISE:
    case CH_ACTIONS: break;
    }
}

static bool is_signal(enum ch_action_kind kind)
{
    return kind == CH_ACTION_KILL || kind == CH_ACTION_STOP || kind == CH_ACTION_CONT;
}

static void read_action(struct ch_parser *parser, const struct ch_token *statement,
                        const struct ch_word *word, struct ch_step *step)
{
    struct ch_action *action = &step->action;
    const struct ch_token *at = statement + 1;
    read_front(parser, &at, action);
    struct ch_key_set sets[] = {{.keys = word->keys, .target = &action->signal},
                                {.keys = ch_keys_action, .target = action}};
    ch_read_keys(parser, at, statement, word->word, sets, 2);
    if (is_signal(action->kind) && action->signal.client)
        action->signal.process = CH_PROCESS_CLIENT;
    check_back(parser, statement, &sets[0], step);
    action->name = ch_name_bind(parser, ch_given_value(&sets[1], "as"), CH_NAME_ACTION,
                                step_index(parser));
}

void ch_parse_action(struct ch_parser *parser, const struct ch_token *at, struct ch_step *step)
{
    const struct ch_token *statement = at;
    step->action = (struct ch_action){.place = at->place, .name = CH_NOBODY, .kind = CH_ACTIONS};
    const struct ch_word *word = ch_read_word(parser, &at, CH_FAMILY_ACTION);
    if (word == NULL) {
        for (; at->kind != CH_TOKEN_END; at++)
            if (strcmp(at->text, "as") == 0 && at[1].kind == CH_TOKEN_WORD)
                ch_name_bind(parser, at + 1, CH_NAME_BROKEN, 0);
        return;
    }
    step->action.kind = (enum ch_action_kind)word->value;
    if (step->action.kind == CH_ACTION_SUBMIT)
        ch_parse_submit(parser, statement, &step->action.submit);
    else if (step->action.kind == CH_ACTION_EXPECT)
        ch_parse_check(parser, at, &step->action);
    else
        read_action(parser, statement, word, step);
}
