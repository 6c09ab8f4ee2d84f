/* SPDX-License-Identifier: MIT */
/* What has to hold: `expect` in the timeline, and the lines below `expect` at the end. */
#include <string.h>

#include "chaos/parser.h"

/* ---- expect in the timeline -------------------------------------------------------------- */

static bool event_has(const struct ch_parser *parser, enum ch_check_kind kind)
{
    const struct ch_word *event = parser->event;
    if (kind == CH_CHECK_COUNTER || parser->event_unknown)
        return true;
    if (event == NULL)
        return false;
    int value = event->value;
    switch (kind) {
    case CH_CHECK_CAUSE:
        return value == CH_EVENT_TASK_ENDED || value == CH_EVENT_WORKER_EXITED ||
               value == CH_EVENT_WORKER_KILLED;
    case CH_CHECK_SIGNAL: return value == CH_EVENT_TASK_ENDED || value == CH_EVENT_WORKER_EXITED;
    case CH_CHECK_CODE:
        return value == CH_EVENT_TASK_ENDED || value == CH_EVENT_WORKER_EXITED ||
               value == CH_EVENT_INIT_FAILED;
    case CH_CHECK_ERRNO: return value == CH_EVENT_SPAWN_FAILED || value == CH_EVENT_SHUTDOWN_DONE;
    case CH_CHECK_PID:
    case CH_CHECK_SLOT: return (event->traits & CH_EVENT_HAS_WORKER) != 0;
    case CH_CHECK_COUNTER:
    case CH_CHECK_KINDS: break;
    }
    return false;
}

static void read_slot(struct ch_parser *parser, const struct ch_token *value,
                      struct ch_check *check)
{
    bool dotted;
    check->reference = ch_name_of_dotted(parser, value, "slot", &dotted);
    if (!dotted)
        ch_read_value(parser, value, value->text, CH_VALUE_NUMBER, 0, 1023, "'slot'",
                      &check->bound.low);
}

static void read_pid(struct ch_parser *parser, const struct ch_token *value, struct ch_check *check)
{
    bool dotted;
    check->reference = ch_name_of_dotted(parser, value, "pid", &dotted);
    if (!dotted)
        ch_complain(parser, value, "a pid is compared with another's: NAME.pid, not '%.40s'",
                    value->text);
}

static void read_check_word(struct ch_parser *parser, const struct ch_token *value,
                            enum ch_family family, struct ch_check *check)
{
    const struct ch_word *word = ch_find_word(parser, value, family);
    if (word != NULL)
        check->bound.low = (uint64_t)word->value;
}

static void read_check_value(struct ch_parser *parser, const struct ch_token *value,
                             struct ch_check *check)
{
    int64_t code = 0;
    switch (check->kind) {
    case CH_CHECK_CAUSE: read_check_word(parser, value, CH_FAMILY_CAUSE, check); break;
    case CH_CHECK_SIGNAL: read_check_word(parser, value, CH_FAMILY_SIGNAL, check); break;
    case CH_CHECK_ERRNO: read_check_word(parser, value, CH_FAMILY_ERRNO, check); break;
    case CH_CHECK_CODE:
        ch_read_code(parser, value, "'code'", &code);
        check->bound.low = (uint64_t)code;
        break;
    case CH_CHECK_PID: read_pid(parser, value, check); break;
    case CH_CHECK_SLOT: read_slot(parser, value, check); break;
    case CH_CHECK_COUNTER:
    case CH_CHECK_KINDS: break;
    }
}

/* FIELD=VALUE or FIELD!=VALUE; *at stands behind the field. */
static void read_field(struct ch_parser *parser, const struct ch_token *field,
                       const struct ch_token **at, struct ch_check *check)
{
    char shown[64];
    const struct ch_token *sign = *at;
    if (sign->kind != CH_TOKEN_EQUALS && sign->kind != CH_TOKEN_NOT_EQUAL) {
        ch_complain(parser, sign, "expected '=' or '!=' behind '%s', not %s", field->text,
                    ch_token_describe(sign, shown, sizeof(shown)));
        *at += sign->kind != CH_TOKEN_END;
        return;
    }
    check->bound.operator= sign->kind == CH_TOKEN_EQUALS ? CH_EQUAL : CH_NOT_EQUAL;
    *at += 1;
    const struct ch_token *value = *at;
    if (value->kind != CH_TOKEN_WORD) {
        ch_complain(parser, value, "'%s' needs a value, not %s", field->text,
                    ch_token_describe(value, shown, sizeof(shown)));
        return;
    }
    *at += 1;
    read_check_value(parser, value, check);
}

static struct ch_check *add_check(struct ch_parser *parser, struct ch_expect_action *expect)
{
    expect->checks = ch_arena_grow(parser->arena, expect->checks, expect->checks_count,
                                   sizeof(expect->checks[0]));
    struct ch_check *check = &expect->checks[expect->checks_count++];
    *check = (struct ch_check){.reference = CH_NOBODY};
    return check;
}

/* The event of a shutdown has no error; the call has, so it has to be said which. */
static void check_errno(struct ch_parser *parser, const struct ch_token *field)
{
    const struct ch_step *step = &parser->scenario->steps[parser->scenario->steps_count - 1];
    if (parser->complaints == 0 && step->trigger.event == CH_EVENT_SHUTDOWN_DONE &&
        step->trigger.of == CH_NOBODY)
        ch_complain(
            parser, field,
            "'errno' is what a shutdown has returned: say which one, shutdown-done of=NAME");
}

/* False when the rest of the line can't be read. */
static bool read_check(struct ch_parser *parser, const struct ch_token **at,
                       struct ch_action *action)
{
    const struct ch_token *field = *at;
    const struct ch_word *word = ch_read_word(parser, at, CH_FAMILY_FIELD);
    if (word == NULL)
        return false;
    struct ch_check *check = add_check(parser, &action->expect);
    check->kind = (enum ch_check_kind)word->value;
    check->bound.place = field->place;
    if (!event_has(parser, check->kind)) {
        if (parser->event == NULL)
            ch_complain(parser, field, "'%s' is of an event, but the trigger is none", word->word);
        else
            ch_complain(parser, field, "'%s' has no '%s'", parser->event->word, word->word);
    } else if (check->kind == CH_CHECK_ERRNO)
        check_errno(parser, field);
    if (check->kind == CH_CHECK_COUNTER)
        return ch_read_counter(parser, at, &check->counter) &&
               ch_read_bound(parser, at, "the counter", &check->bound);
    read_field(parser, field, at, check);
    return true;
}

void ch_parse_check(struct ch_parser *parser, const struct ch_token *at, struct ch_action *action)
{
    if (at->kind == CH_TOKEN_END)
        ch_complain(parser, at, "'expect' needs something to look at: cause=oom, for example");
    while (at->kind != CH_TOKEN_END) {
        if (ch_take_word(&at, "optional"))
            action->optional = true;
        else if (!read_check(parser, &at, action))
            break;
    }
}

/* ---- Lines below expect ------------------------------------------------------------------ */

static bool any_action(const struct ch_scenario *scenario, enum ch_action_kind kind)
{
    for (size_t i = 0; i < scenario->steps_count; i++)
        if (scenario->steps[i].action.kind == kind)
            return true;
    return false;
}

static void read_fired(struct ch_parser *parser, const struct ch_token *at,
                       struct ch_fired_expectation *fired)
{
    char shown[64];
    const struct ch_token *token = at;
    *fired = (struct ch_fired_expectation){.name = CH_NOBODY, .kind = CH_ACTIONS};
    if (token->kind != CH_TOKEN_WORD) {
        ch_complain(parser, token, "expected an action or its name, not %s",
                    ch_token_describe(token, shown, sizeof(shown)));
        return;
    }
    at++;
    const struct ch_word *word = ch_vocabulary_find(CH_FAMILY_ACTION, token->text);
    if (word == NULL)
        fired->name = ch_name_of_action(parser, token, token->text, CH_ACTION_FAULT, "a fault");
    else if (!(word->traits & CH_ACTION_FAULT))
        ch_complain(parser, token, "'%s' is no fault: it does not fire", word->word);
    else if (!any_action(parser->scenario, (enum ch_action_kind)word->value))
        ch_complain(parser, token, "there is no '%s' in the timeline", word->word);
    else
        fired->kind = (enum ch_action_kind)word->value;
    if (ch_read_bound(parser, &at, "the count", &fired->bound))
        ch_expect_end(parser, at);
}

static void read_kernel(struct ch_parser *parser, const struct ch_token *at,
                        struct ch_kernel_expectation *kernel)
{
    const struct ch_word *word = ch_read_word(parser, &at, CH_FAMILY_KERNEL);
    if (word != NULL)
        kernel->counter = (enum ch_kernel_counter)word->value;
    if (ch_read_bound(parser, &at, "the counter", &kernel->bound))
        ch_expect_end(parser, at);
}

static void read_counter(struct ch_parser *parser, const struct ch_token *at,
                         struct ch_counter_expectation *counter)
{
    ch_read_counter(parser, &at, &counter->counter);
    if (ch_read_bound(parser, &at, "the counter", &counter->bound))
        ch_expect_end(parser, at);
}

/* Late is who ends by a timeout that the tasks have. */
static void check_late(struct ch_parser *parser, const struct ch_key_set *set,
                       const struct ch_submit *submit, libpool_cause cause)
{
    const struct ch_token *late = ch_given(set, "late");
    if (late == NULL || ch_given(set, "cause") == NULL)
        return;
    bool may_overrun = submit->run_timeout_ms != 0 || submit->heartbeat_timeout_ms != 0;
    if (!may_overrun && submit->queue_timeout_ms == 0)
        ch_complain(parser, late, "these tasks have no timeout to be late for");
    else if (!(cause == LIBPOOL_TIMEOUT && may_overrun) &&
             !(cause == LIBPOOL_QUEUE_TIMEOUT && submit->queue_timeout_ms != 0))
        ch_complain(parser, late,
                    "late is who ends as timeout with a run-timeout, or as "
                    "queue-timeout with a queue-timeout");
}

static void check_count(struct ch_parser *parser, const struct ch_key_set *set,
                        const struct ch_submit *submit, uint64_t count)
{
    const struct ch_token *given = ch_given_value(set, "count");
    if (given != NULL && count > submit->count)
        ch_complain(parser, given, "the group has %u tasks only", submit->count);
}

static void read_task(struct ch_parser *parser, const struct ch_token *statement,
                      struct ch_task_expectation *task)
{
    char shown[64];
    const struct ch_token *at = statement + 1;
    struct ch_key_set set = {.keys = ch_keys_task, .target = task};
    *task = (struct ch_task_expectation){.count = CH_UNSET,
                                         .code = CH_UNSET,
                                         .late_us = CH_UNSET,
                                         .certainty = -1,
                                         .parts = CH_UNSET};
    int name = CH_NOBODY;
    if (at->kind == CH_TOKEN_WORD && at[1].kind != CH_TOKEN_EQUALS) {
        name = ch_name_of_tasks(parser, at, at->text);
        at++;
    } else {
        ch_complain(parser, at, "expected the name of a group of tasks, not %s",
                    ch_token_describe(at, shown, sizeof(shown)));
    }
    ch_read_keys(parser, at, statement, "task", &set, 1);
    if (name == CH_NOBODY)
        return;
    task->submit = parser->scenario->names[name].index;
    check_late(parser, &set, &parser->scenario->submits[task->submit], task->cause);
    check_count(parser, &set, &parser->scenario->submits[task->submit], task->count);
}

static void read_recovery(struct ch_parser *parser, const struct ch_token *at,
                          struct ch_recovery_expectation *recovery)
{
    char shown[64];
    if (at->kind != CH_TOKEN_AT_MOST || at[1].kind != CH_TOKEN_WORD) {
        ch_complain(parser, at, "expected '<= T', not %s",
                    ch_token_describe(at, shown, sizeof(shown)));
        return;
    }
    ch_read_value(parser, at + 1, at[1].text, CH_VALUE_TIME, 1000, UINT64_C(3600000000), "the time",
                  &recovery->within_us);
    ch_expect_end(parser, at + 2);
}

static void read_host(struct ch_parser *parser, const struct ch_token *at,
                      struct ch_host_expectation *host)
{
    char shown[64];
    host->dead = ch_take_word(&at, "dead");
    if (!host->dead && !ch_take_word(&at, "alive"))
        ch_complain(parser, at, "expected 'alive' or 'dead', not %s",
                    ch_token_describe(at, shown, sizeof(shown)));
    else
        ch_expect_end(parser, at);
}

/* I1..I11; 0 when the token is none. */
static uint32_t invariant_bit(const struct ch_token *at)
{
    const struct ch_word *word = at->kind == CH_TOKEN_WORD
                                     ? ch_vocabulary_find(CH_FAMILY_CHECKER, at->text)
                                     : NULL;
    return word != NULL && word->value > 0 ? 1u << (word->value - 1) : 0;
}

static void read_invariant(struct ch_parser *parser, const struct ch_token *at,
                           struct ch_invariant_expectation *invariant)
{
    char shown[64];
    if (!ch_take_word(&at, "all")) {
        ch_complain(parser, at, "expected 'all', not %s",
                    ch_token_describe(at, shown, sizeof(shown)));
        return;
    }
    if (!ch_take_word(&at, "except")) {
        ch_expect_end(parser, at);
        return;
    }
    for (; invariant_bit(at) != 0; at++)
        invariant->except |= invariant_bit(at);
    if (invariant->except == 0) {
        ch_complain(parser, at, "expected I1..I%d behind 'except', not %s", CH_INVARIANTS,
                    ch_token_describe(at, shown, sizeof(shown)));
        return;
    }
    if (!ch_take_word(&at, "because")) {
        ch_complain(parser, at, "an exception needs a reason: except I3 because \"...\"");
        return;
    }
    invariant->because = ch_read_text(parser, &at, "the reason");
    ch_expect_end(parser, at);
}

/* ---- Said twice -------------------------------------------------------------------------- */

static bool same_counter(struct ch_counter one, struct ch_counter other)
{
    return one.kind == other.kind && one.cause == other.cause;
}

static bool same(const struct ch_expectation *one, const struct ch_expectation *other)
{
    if (one->kind != other->kind)
        return false;
    switch (one->kind) {
    case CH_EXPECT_FIRED:
        return one->fired.kind == other->fired.kind && one->fired.name == other->fired.name &&
               (one->fired.kind != CH_ACTIONS || one->fired.name != CH_NOBODY);
    case CH_EXPECT_KERNEL: return one->kernel.counter == other->kernel.counter;
    case CH_EXPECT_COUNTER: return same_counter(one->counter.counter, other->counter.counter);
    case CH_EXPECT_TASK:
        return one->task.submit == other->task.submit && one->task.cause == other->task.cause;
    case CH_EXPECT_RECOVERY:
    case CH_EXPECT_HOST:
    case CH_EXPECT_INVARIANT: return true;
    case CH_EXPECTATION_KINDS: break;
    }
    return false;
}

/* Two lines about one thing: either one is superfluous, or they contradict each other. */
static void check_same(struct ch_parser *parser, const struct ch_token *statement,
                       const struct ch_expectation *last)
{
    const struct ch_scenario *scenario = parser->scenario;
    for (size_t i = 0; i + 1 < scenario->expectations_count; i++)
        if (same(&scenario->expectations[i], last)) {
            ch_complain(parser, statement, "this is said already in line %u",
                        scenario->expectations[i].place.line);
            return;
        }
}

static struct ch_expectation *add_expectation(struct ch_parser *parser, struct ch_place place)
{
    struct ch_scenario *scenario = parser->scenario;
    scenario->expectations = ch_arena_grow(parser->arena, scenario->expectations,
                                           scenario->expectations_count,
                                           sizeof(scenario->expectations[0]));
    struct ch_expectation *expectation = &scenario->expectations[scenario->expectations_count++];
    *expectation = (struct ch_expectation){.place = place, .kind = CH_EXPECTATION_KINDS};
    return expectation;
}

void ch_parse_expect_line(struct ch_parser *parser, const struct ch_line *line)
{
    const struct ch_token *at = line->tokens;
    const struct ch_word *word = ch_read_word(parser, &at, CH_FAMILY_EXPECTATION);
    struct ch_expectation *expectation = add_expectation(parser, line->tokens->place);
    size_t before = parser->complaints;
    if (word == NULL)
        return;
    switch ((enum ch_expectation_kind)word->value) {
    case CH_EXPECT_FIRED: read_fired(parser, at, &expectation->fired); break;
    case CH_EXPECT_KERNEL: read_kernel(parser, at, &expectation->kernel); break;
    case CH_EXPECT_COUNTER: read_counter(parser, at, &expectation->counter); break;
    case CH_EXPECT_TASK: read_task(parser, line->tokens, &expectation->task); break;
    case CH_EXPECT_RECOVERY: read_recovery(parser, at, &expectation->recovery); break;
    case CH_EXPECT_HOST: read_host(parser, at, &expectation->host); break;
    case CH_EXPECT_INVARIANT: read_invariant(parser, at, &expectation->invariant); break;
    case CH_EXPECTATION_KINDS: break;
    }
    if (parser->complaints != before)
        return;
    expectation->kind = (enum ch_expectation_kind)word->value;
    check_same(parser, line->tokens, expectation);
}
