/* SPDX-License-Identifier: MIT */
/*
 * What can only be said of the whole file: what is missing, what does not fit together, and what
 * can be seen to fail for another reason than the one it was written for.
 */
#include <string.h>

#include "chaos/parser.h"
#include "harness/inject.h"

/* Where to say that something is missing: at the scenario, else at the top. */
static struct ch_place main_place(const struct ch_parser *parser)
{
    struct ch_place place = parser->scenario->place;
    return place.line != 0 ? place : (struct ch_place){1, 1};
}

/* The header and the statements that every scenario has. */
static void check_statements(struct ch_parser *parser)
{
    static const enum ch_statement wanted[] = {CH_STATEMENT_SCENARIO, CH_STATEMENT_POOL,
                                               CH_STATEMENT_EXPECT};
    bool any = false;
    for (size_t i = 0; i < CH_STATEMENTS; i++)
        any |= parser->first[i].line != 0;
    if (!any) {
        if (parser->complaints == 0)
            ch_complain_at(parser, (struct ch_place){1, 1},
                           "there is nothing in this file; a scenario begins with 'chaos 1'");
        return;
    }
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (parser->first[wanted[i]].line == 0)
            ch_complain_at(parser, main_place(parser), "there is no '%s'",
                           ch_vocabulary_name(CH_FAMILY_STATEMENT, (int)wanted[i]));
}

/* A section that is there but says nothing. */
static void check_sections(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    const struct {
        enum ch_statement statement;
        size_t count;
    } rows[] = {{CH_STATEMENT_LOAD, scenario->submits_in_load},
                {CH_STATEMENT_TIMELINE, scenario->steps_count},
                {CH_STATEMENT_EXPECT, scenario->expectations_count}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (parser->first[rows[i].statement].line != 0 && rows[i].count == 0 &&
            parser->complaints == 0)
            ch_complain_at(parser, parser->first[rows[i].statement], "'%s' has no lines below it",
                           ch_vocabulary_name(CH_FAMILY_STATEMENT, (int)rows[i].statement));
}

/* ---- Capabilities ------------------------------------------------------------------------ */

static void require(struct ch_parser *parser, struct ch_place place, const char *what,
                    enum ch_capability capability)
{
    const struct ch_scenario *scenario = parser->scenario;
    for (size_t i = 0; i < scenario->needs_count; i++)
        if (scenario->needs[i].capability == capability)
            return;
    ch_complain_at(parser, place, "'%s' takes a capability: write 'needs %s' below 'scenario'",
                   what, ch_vocabulary_name(CH_FAMILY_CAPABILITY, (int)capability));
}

/* Without it, a machine that can't do it would fail where it has to skip. */
static void check_needs(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    for (size_t i = 0; i < scenario->steps_count; i++) {
        const struct ch_action *action = &scenario->steps[i].action;
        if (action->kind == CH_ACTION_MEMCG)
            require(parser, action->place, "memcg", CH_NEEDS_MEMCG);
        if (action->kind == CH_ACTION_PIDS)
            require(parser, action->place, "pids", CH_NEEDS_PIDS_CGROUP);
        if (action->kind == CH_ACTION_PRESSURE)
            require(parser, action->place, "pressure", CH_NEEDS_STRESS_NG);
    }
    for (size_t i = 0; i < scenario->expectations_count; i++) {
        const struct ch_expectation *expectation = &scenario->expectations[i];
        if (expectation->kind != CH_EXPECT_KERNEL)
            continue;
        if (expectation->kernel.counter == CH_KERNEL_OOM_KILL)
            require(parser, expectation->place, "oom_kill", CH_NEEDS_MEMCG);
        else
            require(parser, expectation->place, "pids_max", CH_NEEDS_PIDS_CGROUP);
    }
}

static void check_host(struct ch_parser *parser)
{
    const struct ch_host *host = &parser->scenario->host;
    if (host->denied != CH_DENIED_NONE)
        require(parser, host->place, "deny", CH_NEEDS_SECCOMP);
    if (host->denied == CH_DENIED_NONE && host->denied_errno != 0)
        ch_complain_at(parser, host->place, "'deny-errno' means nothing without deny=...");
    if (host->sabotage != CH_SABOTAGE_NONE && parser->scenario->must_fail == NULL)
        ch_complain_at(parser, host->place, "'sabotage' is for scenarios with a 'must-fail' line");
}

/* One without the other would be refused by the pool, or mean nothing. */
static void check_retries(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    for (size_t i = 0; i < scenario->submits_count; i++) {
        const struct ch_submit *submit = &scenario->submits[i];
        if ((submit->retries == 0) != (submit->retry_causes == 0))
            ch_complain_at(parser, submit->place, "'retries' and 'retry-on' go together");
        else if (submit->retries == 0 && (submit->retry_min_ms || submit->works_at))
            ch_complain_at(parser, submit->place, "this means nothing without retries=...");
    }
}

static void check_user(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    const struct ch_need *root = NULL, *user = NULL;
    for (size_t i = 0; i < scenario->needs_count; i++) {
        if (scenario->needs[i].capability == CH_NEEDS_ROOT)
            root = &scenario->needs[i];
        if (scenario->needs[i].capability == CH_NEEDS_USER)
            user = &scenario->needs[i];
    }
    if (root != NULL && user != NULL)
        ch_complain_at(parser, root > user ? root->place : user->place,
                       "nobody is root and not root: this would always be skipped");
}

/* ---- Sizes ------------------------------------------------------------------------------- */

static void check_sizes(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    uint64_t tasks = 0;
    if (scenario->steps_count > CH_SCENARIO_STEPS)
        ch_complain_at(parser, scenario->steps[CH_SCENARIO_STEPS].trigger.place,
                       "a timeline has %d steps at most", CH_SCENARIO_STEPS);
    if (scenario->submits_count > CH_SCENARIO_SUBMITS)
        ch_complain_at(parser, scenario->submits[CH_SCENARIO_SUBMITS].place,
                       "a scenario has %d submits at most", CH_SCENARIO_SUBMITS);
    if (scenario->names_count > CH_SCENARIO_NAMES)
        ch_complain_at(parser, scenario->names[CH_SCENARIO_NAMES].place,
                       "a scenario has %d names at most", CH_SCENARIO_NAMES);
    for (size_t i = 0; i < scenario->submits_count; i++) {
        tasks += scenario->submits[i].count;
        if (tasks <= CH_SCENARIO_TASKS)
            continue;
        ch_complain_at(parser, scenario->submits[i].place,
                       "a scenario has %d tasks at most: up to here there are %llu",
                       CH_SCENARIO_TASKS, (unsigned long long)tasks);
        break;
    }
}

/* ---- Numbers that contradict each other -------------------------------------------------- */

static void check_group(struct ch_parser *parser, const struct ch_expectation *last, uint32_t group)
{
    const struct ch_scenario *scenario = parser->scenario;
    uint64_t sum = 0;
    for (const struct ch_expectation *at = scenario->expectations; at <= last; at++) {
        if (at->kind != CH_EXPECT_TASK || at->task.submit != group)
            continue;
        uint32_t all = scenario->submits[group].count;
        uint64_t count = at->task.count == CH_UNSET ? all : at->task.count;
        if (sum + count > all && sum <= all && at == last)
            ch_complain_at(parser, at->place,
                           "the lines about this group name more tasks than its %u", all);
        sum += count;
    }
}

static void check_groups(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    for (size_t i = 0; i < scenario->expectations_count; i++)
        if (scenario->expectations[i].kind == CH_EXPECT_TASK)
            check_group(parser, &scenario->expectations[i], scenario->expectations[i].task.submit);
}

/* A time trigger behind the watchdog can't come. */
static void check_times(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    uint64_t limit_us = scenario->limit_us != 0 ? scenario->limit_us : 30000000;
    for (size_t i = 0; i < scenario->steps_count; i++) {
        const struct ch_trigger *trigger = &scenario->steps[i].trigger;
        bool timed = trigger->kind == CH_TRIGGER_AT || trigger->kind == CH_TRIGGER_THEN ||
                     trigger->kind == CH_TRIGGER_EVERY;
        if (timed && trigger->time_us + trigger->for_us >= limit_us)
            ch_complain_at(parser, trigger->place, "this is later than the scenario's limit");
    }
}

/* ---- What nobody could answer ------------------------------------------------------------ */

/* Of a dead application there is its last sample, taken at no moment in particular. */
static bool is_exact(const struct ch_expectation *expectation)
{
    return expectation->kind == CH_EXPECT_COUNTER && expectation->counter.bound.operator!= CH_IN;
}

static bool is_recovery(const struct ch_expectation *expectation)
{
    return expectation->kind == CH_EXPECT_RECOVERY;
}

static void complain_of(struct ch_parser *parser, bool (*is_meant)(const struct ch_expectation *),
                        const char *text)
{
    const struct ch_scenario *scenario = parser->scenario;
    for (size_t i = 0; i < scenario->expectations_count; i++)
        if (is_meant(&scenario->expectations[i]))
            ch_complain_at(parser, scenario->expectations[i].place, "%s", text);
}

static bool is_fault(const struct ch_action *action)
{
    return (ch_vocabulary_traits(CH_FAMILY_ACTION, (int)action->kind) & CH_ACTION_FAULT) != 0;
}

static bool ends_host(const struct ch_action *action)
{
    return action->kind == CH_ACTION_KILL && action->signal.process == CH_PROCESS_HOST &&
           !action->optional && hn_signal_ends(action->signal.signal);
}

static void check_answers(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    bool any_fault = false, ends = false;
    for (size_t i = 0; i < scenario->steps_count; i++) {
        any_fault |= is_fault(&scenario->steps[i].action);
        ends |= ends_host(&scenario->steps[i].action);
    }
    if (parser->complaints != 0) /* one of them may be about the fault */
        return;
    if (!any_fault)
        complain_of(parser, is_recovery, "there is no fault in the timeline to recover from");
    if (!ends)
        return;
    complain_of(parser, is_exact,
                "the application is killed: nobody can read its numbers, only 'in A..B' can be "
                "judged, by its last sample");
    complain_of(parser, is_recovery, "the application is killed: nothing recovers");
}

/* What can't be done with a pool that is closed. */
static bool takes_pool(const struct ch_action *action)
{
    switch (action->kind) {
    case CH_ACTION_KILL:
    case CH_ACTION_STOP:
    case CH_ACTION_CONT: return action->signal.process != CH_PROCESS_HOST;
    case CH_ACTION_MEMCG:
    case CH_ACTION_CANCEL:
    case CH_ACTION_SHUTDOWN:
    case CH_ACTION_SUBMIT:
    case CH_ACTION_CLOSE:
    case CH_ACTION_EXPECT:
    case CH_ACTION_RECYCLE:
    case CH_ACTION_DRESS:
    case CH_ACTION_DRAIN:
    case CH_ACTION_UNSERVE:
    case CH_ACTION_NOISE:
    case CH_ACTION_SETTLE: return true;
    case CH_ACTION_PIDS:
    case CH_ACTION_FILL_FDS:
    case CH_ACTION_PRESSURE:
    case CH_ACTION_UNDO:
    case CH_ACTION_NOTE:
    case CH_ACTION_RELEASE:
    case CH_ACTIONS: break;
    }
    return false;
}

/* Only steps that count from the close, or from one that does, are sure to come behind it. */
static void check_closed(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    bool closed = false;
    for (size_t i = 0; i < scenario->steps_count; i++) {
        const struct ch_step *step = &scenario->steps[i];
        closed = closed && step->trigger.kind == CH_TRIGGER_THEN;
        if (closed && takes_pool(&step->action))
            ch_complain_at(parser, step->action.place, "the pool is closed by then");
        closed |= step->action.kind == CH_ACTION_CLOSE && !step->action.optional;
    }
}

static bool is_awaited(const struct ch_scenario *scenario, size_t group)
{
    for (size_t i = 0; i < scenario->expectations_count; i++) {
        const struct ch_expectation *expectation = &scenario->expectations[i];
        if (expectation->kind == CH_EXPECT_TASK && expectation->task.submit == group &&
            expectation->task.late_us != CH_UNSET)
            return true;
    }
    return scenario->submits[group].kind == CH_TASK_EMIT;
}

/* There are no futures: nobody could take parts, wait for one, or be called. */
static void check_batches(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    for (size_t i = 0; i < scenario->submits_count; i++) {
        const struct ch_submit *submit = &scenario->submits[i];
        if (submit->batch && (is_awaited(scenario, i) || scenario->pool.telling))
            ch_complain_at(parser, submit->place,
                           "a batch takes no parts, no 'late' and no callbacks");
    }
}

/* A part waits with some bytes beside it; more of them than these hold up their task. */
#define BESIDE_A_PART 64

static bool may_be_ended(const struct ch_scenario *scenario, const struct ch_submit *submit)
{
    bool ends = submit->run_timeout_ms != 0 || submit->heartbeat_timeout_ms != 0;
    for (size_t i = 0; i < scenario->steps_count && !ends; i++) {
        const struct ch_action *action = &scenario->steps[i].action;
        ends = action->kind == CH_ACTION_CANCEL || action->kind == CH_ACTION_SHUTDOWN ||
               action->kind == CH_ACTION_CLOSE ||
               (action->kind == CH_ACTION_KILL && action->signal.process != CH_PROCESS_ZYGOTE);
    }
    return ends;
}

/* Who waits for the end before it takes anything waits for ever, when the task waits for it. */
static void check_parts(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    for (size_t i = 0; i < scenario->submits_count; i++) {
        const struct ch_submit *submit = &scenario->submits[i];
        uint64_t most = (LIBPOOL_PARTS_BYTES - 1) / (submit->bytes + BESIDE_A_PART);
        if (submit->take_late && submit->parts > most && !may_be_ended(scenario, submit))
            ch_complain_at(
                parser, submit->place,
                "with take=at-the-end, parts=%u would wait for ever for somebody to take "
                "them: %llu of these at most, or a run-timeout",
                submit->parts, (unsigned long long)most);
    }
}

static bool may_be_released(const struct ch_scenario *scenario, size_t group)
{
    for (size_t i = 0; i < scenario->steps_count; i++) {
        const struct ch_action *action = &scenario->steps[i].action;
        if (action->kind == CH_ACTION_RELEASE &&
            scenario->names[action->release.name].index == group)
            return true;
        if (action->kind == CH_ACTION_MEMCG || action->kind == CH_ACTION_RECYCLE)
            return true; /* these can end it, too */
    }
    return false;
}

/* It would only be ended by the scenario's limit. A client's may end with its session. */
static void check_held(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    if (parser->complaints != 0) /* one of them may be about what releases it */
        return;
    for (size_t i = 0; i < scenario->submits_count; i++) {
        const struct ch_submit *submit = &scenario->submits[i];
        if (submit->kind == CH_TASK_HELD && submit->client == 0 && submit->queue_timeout_ms == 0 &&
            !may_be_ended(scenario, submit) && !may_be_released(scenario, i))
            ch_complain_at(parser, submit->place,
                           "'held' is never released: write 'release' in the timeline, or a "
                           "run-timeout");
    }
}

/* What each kind of worker can't be given; a call is of a function of the target's. */
static void check_starts(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    bool spawn = scenario->pool.start == LIBPOOL_SPAWN;
    bool threads = scenario->pool.start == LIBPOOL_THREADS;
    for (size_t i = 0; i < scenario->submits_count; i++) {
        const struct ch_submit *submit = &scenario->submits[i];
        if (submit->kind == CH_TASK_CALL && spawn)
            ch_complain_at(parser, submit->place,
                           "'task=call' is for start=fork and start=threads");
        bool file = submit->input == CH_INPUT_FILE || submit->input == CH_INPUT_FILE_SHARED;
        if (threads && (submit->soft_signal != 0 || submit->memory_limit_bytes != 0 || file))
            ch_complain_at(parser, submit->place,
                           "'soft-signal', 'memory-limit' and a file as 'input' are for start=fork "
                           "and start=spawn");
    }
    for (size_t i = 0; i < scenario->steps_count; i++)
        if (scenario->steps[i].action.kind == CH_ACTION_DRESS && (spawn || threads))
            ch_complain_at(parser, scenario->steps[i].action.place, "'dress' is for start=fork");
}

/* What a client's future can't do, or nobody does for it. */
static bool is_local(const struct ch_scenario *scenario, size_t group)
{
    const struct ch_submit *submit = &scenario->submits[group];
    return submit->batch || submit->many || submit->gathered || submit->input ||
           submit->kind == CH_TASK_CALL || is_awaited(scenario, group);
}

/* Which client a step is about; 0: none, or all. False: it has nothing to do with them. */
static bool names_client(const struct ch_action *action, uint32_t *client)
{
    *client = action->kind == CH_ACTION_KILL || action->kind == CH_ACTION_STOP ||
                      action->kind == CH_ACTION_CONT
                  ? action->signal.client
                  : 0;
    return *client || action->kind == CH_ACTION_UNSERVE || action->kind == CH_ACTION_NOISE;
}

static void check_client_steps(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    for (size_t i = 0; i < scenario->steps_count; i++) {
        const struct ch_action *action = &scenario->steps[i].action;
        uint32_t client;
        if (names_client(action, &client) &&
            (scenario->pool.clients == 0 || client > scenario->pool.clients))
            ch_complain_at(parser, action->place, "the pool has %u clients",
                           scenario->pool.clients);
        if (action->kind == CH_ACTION_CANCEL && action->cancel.name != CH_NOBODY &&
            scenario->submits[scenario->names[action->cancel.name].index].client)
            ch_complain_at(parser, action->place, "a client's tasks are not the application's");
    }
}

static void check_clients(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    const struct ch_pool *pool = &scenario->pool;
    bool any = false;
    if (parser->complaints != 0) /* one of them may be about their number */
        return;
    for (size_t i = 0; i < scenario->submits_count; i++) {
        const struct ch_submit *submit = &scenario->submits[i];
        any |= submit->client != 0;
        if (submit->client > pool->clients)
            ch_complain_at(parser, submit->place, "the pool has %u clients", pool->clients);
        else if (submit->client && is_local(scenario, i))
            ch_complain_at(parser, submit->place,
                           "a client submits one by one: no batch, many, gather, input, parts, "
                           "calls or 'late'");
    }
    if (pool->clients && (pool->telling || pool->driven))
        ch_complain_at(parser, pool->place, "'clients' is for pools that their own thread drives");
    if (pool->clients && !any)
        ch_complain_at(parser, pool->place, "no client submits a task: write client=N");
    if (!pool->clients && (pool->client_policy || pool->client_stall_ms || pool->client_window))
        ch_complain_at(parser, pool->place, "this means nothing without clients=...");
    check_client_steps(parser);
}

/* Each of them has a thread that waits for it, or takes its parts. */
static void check_awaited(struct ch_parser *parser)
{
    const struct ch_scenario *scenario = parser->scenario;
    uint64_t awaited = 0;
    for (size_t i = 0; i < scenario->submits_count; i++) {
        if (!is_awaited(scenario, i))
            continue;
        awaited += scenario->submits[i].count;
        if (awaited > CH_SCENARIO_AWAITED)
            ch_complain_at(parser, scenario->submits[i].place,
                           "a scenario has %d tasks that emit or are in groups with 'late' at most",
                           CH_SCENARIO_AWAITED);
    }
}

/* All its runs would be the same, whatever the title says. */
static void check_matrix(struct ch_parser *parser)
{
    if (parser->matrix.name != NULL && !parser->matrix_used && parser->complaints == 0)
        ch_complain_at(parser, parser->first[CH_STATEMENT_MATRIX],
                       "no line does anything with the matrix: write $%s where its value is meant",
                       parser->matrix.name);
}

/* The group that must-fail names has to be there. */
static void check_must_fail(struct ch_parser *parser)
{
    const char *text = parser->scenario->must_fail;
    if (text == NULL || strncmp(text, "task ", 5) != 0 || strcmp(text, "task late") == 0)
        return;
    int name = ch_name_look(parser, text + 5);
    if (name == CH_NOBODY || parser->scenario->names[name].kind != CH_NAME_TASKS)
        ch_complain_at(parser, parser->scenario->must_fail_place,
                       "no group of tasks is called '%.40s'", text + 5);
}

void ch_check_scenario(struct ch_parser *parser)
{
    check_statements(parser);
    check_sections(parser);
    check_needs(parser);
    check_host(parser);
    check_user(parser);
    check_retries(parser);
    check_sizes(parser);
    check_groups(parser);
    check_times(parser);
    check_must_fail(parser);
    check_closed(parser);
    check_awaited(parser);
    check_batches(parser);
    check_starts(parser);
    check_parts(parser);
    check_held(parser);
    check_clients(parser);
    check_answers(parser);
    check_matrix(parser);
}
