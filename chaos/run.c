/* SPDX-License-Identifier: MIT */
/*
 * run: one scenario, from its needs to its verdict.
 *
 *     needs -> world, gates, guardian, target -> timeline -> heal -> settle -> counters -> probe
 *           -> close -> census -> quit -> checkers -> guardian gone
 *
 * The judge owns no thread and no child but the guardian. It reads the history, sleeps on its bell,
 * and moves the steps of the timeline on. When the watchdog ends a run, who stands where is written
 * down before anything is killed.
 */
#include "chaos/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/run_inner.h"
#include "harness/clock.h"
#include "harness/doctor.h"

#define HOST_DEATH_NS (1 * HN_S)       /* I4: after that nothing lives */
#define CLOSE_RESIDUE_NS (250 * HN_MS) /* what libpool_close left may be dying */
#define VICTIM_NS (1 * HN_S)           /* so long a step waits for somebody to hit */
#define UNSETTLED_NS (1 * HN_S)
#define STEP_NS (10 * HN_S) /* for one step of the end, whatever the limit */

static const struct ch_place nowhere;

static void harness_broke(struct ch_run *run, const char *what, int rc)
{
    ch_result_objectf(run->result, CH_ERROR, nowhere, "harness", "it works", what, "%d (%s)", rc,
                      strerror(rc < 0 ? -rc : rc));
}

/* ---- Needs ------------------------------------------------------------------------------------- */

static bool needs_are_met(struct ch_run *run)
{
    bool met = true;
    for (size_t i = 0; i < run->scenario->needs_count; i++) {
        const struct ch_need *need = &run->scenario->needs[i];
        char why[256];
        if (ch_capability_probe(need->capability, why, sizeof why) == 0)
            continue;
        ch_result_object(run->result, CH_SKIP, need->place, "needs", "the capability", why,
                         "chaos doctor");
        met = false;
    }
    return met;
}

/* ---- The timeline ------------------------------------------------------------------------------ */

static void bind_trigger(struct ch_run *run, uint32_t step)
{
    const struct ch_step_state *state = &run->steps[step];
    const struct hn_record *event = &state->event;
    struct ch_binding binding = {.bound = true,
                                 .since_ns = event->kind ? event->time_ns : state->fired_ns,
                                 .since_number = event->number,
                                 .slot = event->kind ? event->slot : HN_NONE,
                                 .task = event->kind ? event->task : HN_NONE,
                                 .group = event->kind ? event->group : HN_NONE,
                                 .process = {.pid = event->pid}};
    if (event->kind >= HN_POOL && event->a)
        binding.task = ch_watch_task_of(run, event->a);
    uint32_t line = hn_roster_slot_of(&run->roster, event->pid);
    if (binding.slot != HN_NONE && line != HN_NONE)
        binding.process = run->roster.slots[line].process;
    ch_run_bind(run, run->scenario->steps[step].trigger.name, &binding);
    ch_trigger_arm(run);
}

static void missed(struct ch_run *run, uint32_t step)
{
    const struct ch_step *what = &run->scenario->steps[step];
    struct ch_step_state *state = &run->steps[step];
    state->phase = CH_STEP_MISSED;
    uint32_t matches = ch_trigger_matches(run, step);
    ch_trigger_release(run, step, HN_ERRAND_NONE);
    if (what->action.optional)
        return;
    if (ch_action_is_fault(&what->action)) /* told of at the end */
        snprintf(state->trouble, sizeof state->trouble, "%u of %u events came in time", matches,
                 what->trigger.nth);
    else
        ch_result_objectf(run->result, CH_FAIL, what->trigger.place, "within", "the event in time",
                          "the event history", "%u of %u came", matches, what->trigger.nth);
}

/* The step's action holds: whoever waits at its gate goes on. */
static void take_effect(struct ch_run *run, uint32_t step)
{
    struct ch_step_state *state = &run->steps[step];
    state->effect_ns = hn_clock_ns();
    if (state->phase == CH_STEP_WAITING)
        state->phase = CH_STEP_DONE;
    ch_trigger_release(run, step, HN_ERRAND_NONE);
}

/* `every`: the next turn, if there is one; its effect holds when there is none. */
static void await_next_turn(struct ch_run *run, uint32_t step)
{
    const struct ch_trigger *trigger = &run->scenario->steps[step].trigger;
    struct ch_step_state *state = &run->steps[step];
    bool again = state->next_ns <= state->fired_ns + trigger->for_us * HN_US;
    state->phase = again ? CH_STEP_WAITING : CH_STEP_DONE;
    state->effect_ns = again ? 0 : hn_clock_ns();
}

static void repeat(struct ch_run *run, uint32_t step)
{
    struct ch_step_state *state = &run->steps[step];
    if (state->fired_ns == 0) {
        state->fired_ns = hn_clock_ns();
        state->next_ns = state->fired_ns;
    }
    state->next_ns += run->scenario->steps[step].trigger.time_us * HN_US;
    ch_action_perform(run, step);
    if (state->phase != CH_STEP_ACTING)
        await_next_turn(run, step);
}

static void fire(struct ch_run *run, uint32_t step)
{
    const struct ch_step *what = &run->scenario->steps[step];
    struct ch_step_state *state = &run->steps[step];
    if (what->trigger.kind == CH_TRIGGER_EVERY) {
        repeat(run, step);
        return;
    }
    if (state->fired_ns == 0) {
        state->fired_ns = state->event.kind ? state->event.time_ns : hn_clock_ns();
        bind_trigger(run, step);
        if (ch_trigger_is_late(run, step))
            ch_result_objectf(run->result, CH_FAIL, what->trigger.place, "within",
                              "the event in time", "the event history", "it came too late");
    }
    if (!ch_action_perform(run, step)) {
        if (hn_clock_ns() - state->fired_ns > VICTIM_NS)
            missed(run, step);
        return;
    }
    /* A shutdown's effect is its begin, a submit's that it was asked for: both may wait long. */
    bool holds = state->phase != CH_STEP_ACTING || what->action.kind == CH_ACTION_SHUTDOWN ||
                 what->action.kind == CH_ACTION_SUBMIT;
    if (holds)
        take_effect(run, step);
}

static void advance(struct ch_run *run, uint32_t step)
{
    struct ch_step_state *state = &run->steps[step];
    switch (state->phase) {
    case CH_STEP_WAITING:
        if (ch_trigger_met(run, step))
            fire(run, step);
        else if (ch_trigger_is_late(run, step))
            missed(run, step);
        break;
    case CH_STEP_ACTING:
        if (!state->replied && !run->target_gone)
            break;
        ch_action_finish(run, step);
        if (run->scenario->steps[step].trigger.kind == CH_TRIGGER_EVERY)
            await_next_turn(run, step);
        else if (state->effect_ns == 0)
            take_effect(run, step);
        break;
    case CH_STEP_DONE:
    case CH_STEP_MISSED: break;
    }
}

static bool is_acting(const struct ch_run *run)
{
    for (size_t i = 0; i < run->scenario->steps_count; i++)
        if (run->steps[i].phase == CH_STEP_ACTING)
            return true;
    return false;
}

/* Steps that have to be done and are in that phase. */
static uint32_t count_steps(const struct ch_run *run, enum ch_step_phase phase)
{
    uint32_t count = 0;
    for (size_t i = 0; i < run->scenario->steps_count; i++)
        if (run->steps[i].phase == phase && !run->scenario->steps[i].action.optional)
            count++;
    return count;
}

/*
 * An optional step whose trigger has not come keeps nobody waiting once the load has ended. A step
 * that was missed ends the timeline: what was to follow has lost its meaning.
 */
static bool is_over(const struct ch_run *run)
{
    if (is_acting(run))
        return false;
    if (count_steps(run, CH_STEP_MISSED))
        return true;
    return count_steps(run, CH_STEP_WAITING) == 0 && (run->load_ended_ns != 0 || run->closed);
}

/* When the application is dead: what has not come by then does not come. */
static void judge_unfinished(struct ch_run *run)
{
    for (uint32_t i = 0; i < run->scenario->steps_count; i++)
        if (run->steps[i].phase == CH_STEP_WAITING &&
            !ch_action_is_fault(&run->scenario->steps[i].action))
            ch_expect_unjudged(run, i, "this step done",
                               "the application was dead before its trigger was met");
}

/* 0: all that had to happen has; -ETIMEDOUT; -EPIPE: the guardian is dead. */
static int follow_timeline(struct ch_run *run)
{
    for (;;) {
        ch_watch_drain(run);
        bool dead = run->target_gone; /* then all that it has ever done has been read */
        for (uint32_t i = 0; i < run->scenario->steps_count; i++)
            advance(run, i);
        ch_watch_drain(run);
        if (dead && count_steps(run, CH_STEP_MISSED) == 0)
            judge_unfinished(run);
        if (dead || is_over(run))
            return 0;
        uint64_t due_ns = ch_trigger_due_ns(run), now_ns = hn_clock_ns();
        if (now_ns >= run->limit_ns)
            return -ETIMEDOUT;
        if (due_ns > now_ns && !ch_watch_wait(run, due_ns < run->limit_ns ? due_ns : run->limit_ns))
            return -EPIPE;
    }
}

/* ---- The end ----------------------------------------------------------------------------------- */

static uint64_t step_deadline_ns(const struct ch_run *run)
{
    uint64_t soon_ns = hn_clock_ns() + STEP_NS;
    return soon_ns < run->limit_ns ? soon_ns : run->limit_ns;
}

static void liveness(struct ch_run *run, const char *read, const char *expected, int rc)
{
    hn_findings_add(&run->world->findings, HN_I3_LIVENESS, read, expected, "%d (%s)", rc,
                    rc < 0 ? strerror(-rc) : libpool_cause_name((libpool_cause)rc));
}

static struct hn_case case_of(const struct ch_run *run)
{
    const struct ch_pool *pool = &run->scenario->pool;
    struct hn_case of = {
        .world = run->world,
        .groups = run->groups,
        .groups_count = (uint32_t)run->scenario->submits_count,
        .shut_down = run->shut,
        .may_init_fail = pool->initializer > CH_CALLBACK_OK || pool->directory_late,
        .memory_limited = run->memory_limited,
        .host_killed = run->host_signal && run->target_gone,
        .settled = run->settled && !run->scenario->host.reader_stalls,
        .memory_limit_bytes = pool->memory_limit_bytes,
        .memory_sampled = pool->no_cgroup,
        .threads = pool->start == LIBPOOL_THREADS,
        .callbacks = pool->telling != CH_TELLING_NONE,
        .unserved = run->unserved,
    };
    if (pool->finalizer != CH_CALLBACK_NONE)
        of.finalizer_timeout_ms = pool->finalizer_timeout_ms ? pool->finalizer_timeout_ms : 5000;
    return of;
}

/* The most of any step: 0 where workers leave for other reasons, too. */
static uint32_t recycle_parallel(const struct ch_scenario *scenario)
{
    uint32_t most = 0;
    for (size_t i = 0; i < scenario->steps_count; i++) {
        const struct ch_action *action = &scenario->steps[i].action;
        if (action->kind == CH_ACTION_RECYCLE && action->recycle.parallel > most)
            most = action->recycle.parallel;
    }
    return scenario->pool.tasks_per_worker ? 0 : most;
}

/* The numbers that are judged are those of the settled pool, before the probe adds to them. */
static void read_numbers(struct ch_run *run)
{
    int32_t reply = 0;
    struct hn_command stats = {.kind = HN_COMMAND_STATS};
    struct hn_case of = case_of(run);
    int rc = ch_watch_ask(run, &stats, hn_clock_ns() + HN_S, &reply);
    if (rc || reply) {
        run->unread = "libpool_stats_read failed";
        hn_findings_add(&run->world->findings, rc == -ETIMEDOUT ? HN_I6_BOUNDED : HN_I2_BOOKS,
                        "libpool_stats_read in the target", "it returns 0", "%s",
                        strerror(rc ? -rc : -reply));
        return;
    }
    run->unread = NULL;
    run->numbers = run->world->answer;
    hn_check_accounts(&of, &run->numbers, &run->world->findings);
    if (run->scenario->pool.clients)
        hn_check_served(&of, &run->world->findings);
}

static bool is_waived(const struct ch_run *run, enum hn_clause clause)
{
    for (size_t i = 0; i < run->scenario->expectations_count; i++) {
        const struct ch_expectation *expectation = &run->scenario->expectations[i];
        if (expectation->kind == CH_EXPECT_INVARIANT &&
            (expectation->invariant.except >> (clause - 1) & 1))
            return true;
    }
    return false;
}

/* Where nobody expects it to settle, it is only given the time for its tasks to end. */
static uint64_t settle_deadline_ns(const struct ch_run *run)
{
    uint64_t deadline_ns = step_deadline_ns(run);
    if (is_waived(run, HN_I3_LIVENESS) && hn_clock_ns() + UNSETTLED_NS < deadline_ns)
        deadline_ns = hn_clock_ns() + UNSETTLED_NS;
    return deadline_ns;
}

static void settle(struct ch_run *run)
{
    int32_t reply = 0;
    struct hn_command settle = {.kind = HN_COMMAND_SETTLE, .deadline_ns = settle_deadline_ns(run)};
    int rc = ch_watch_ask(run, &settle, settle.deadline_ns + HN_S, &reply);
    run->settled = rc == 0 && reply == 0;
    if (!run->settled)
        liveness(run, "libpool_stats_read when all faults are undone",
                 "nothing under way, full strength", rc ? rc : reply);
    read_numbers(run);
}

static void probe(struct ch_run *run)
{
    int32_t reply = 0;
    struct hn_command probe = {.kind = HN_COMMAND_PROBE, .deadline_ns = step_deadline_ns(run)};
    int rc = ch_watch_ask(run, &probe, probe.deadline_ns + HN_S, &reply);
    if (rc || reply != LIBPOOL_COMPLETED)
        liveness(run, "a probe task when all faults are undone", "completed", rc ? rc : reply);
}

static void close_pool(struct ch_run *run)
{
    int32_t reply = 0;
    struct hn_command close = {.kind = HN_COMMAND_CLOSE};
    int rc = ch_watch_ask(run, &close, step_deadline_ns(run), &reply);
    if (rc || reply)
        hn_findings_add(&run->world->findings, HN_I6_BOUNDED, "libpool_close in the target",
                        "it returns", "%s", strerror(rc ? -rc : -reply));
}

static void look_for_residue(struct ch_run *run, uint64_t grace_ns, const char *when)
{
    char first[HN_PATH_MAX] = "";
    int census = hn_guardian_census(&run->guardian, hn_clock_ns() + grace_ns);
    hn_check_census(&run->world->census, when, &run->world->findings);
    int foreign = hn_guardian_foreign_cgroups(&run->guardian, first, sizeof first);
    if (census < 0 && census != -ETIMEDOUT)
        harness_broke(run, "the guardian's census", census);
    if (foreign < 0)
        harness_broke(run, "the guardian's look for cgroups", foreign);
    if (foreign > 0)
        hn_findings_add(&run->world->findings, HN_I4_RESIDUE, "the cgroups below the target's",
                        "none", "%d, such as %s, %s", foreign, first, when);
    hn_check_sentinel(&run->world->sentinel, &run->world->findings);
}

/* The target takes its second snapshot and leaves in order. */
static void quit_target(struct ch_run *run)
{
    struct hn_command quit = {.kind = HN_COMMAND_QUIT};
    uint64_t deadline_ns = step_deadline_ns(run);
    ch_watch_command(run, &quit);
    while (!run->target_gone && hn_clock_ns() < deadline_ns && ch_watch_wait(run, deadline_ns))
        ch_watch_drain(run);
    if (run->target_gone && run->target_end.code == 0 && run->target_end.signal == 0)
        return;
    hn_findings_add(&run->world->findings, HN_I11_HOST, "the application's own exit", "exit code 0",
                    "%s, code %d, signal %d", run->target_gone ? "it ended" : "it hangs",
                    run->target_end.code, run->target_end.signal);
}

static void count_kernel(struct ch_run *run)
{
    int rc = hn_guardian_count(&run->guardian);
    if (rc)
        harness_broke(run, "the kernel's counters", rc);
}

static void end_alive(struct ch_run *run)
{
    ch_action_heal(run);
    if (!run->closed) {
        settle(run);
        if (!run->shut && !run->target_gone)
            probe(run);
        if (!run->target_gone)
            close_pool(run);
    }
    count_kernel(run);
    if (!run->target_gone) {
        look_for_residue(run, CLOSE_RESIDUE_NS, "after libpool_close");
        quit_target(run);
    }
}

static void end_dead(struct ch_run *run)
{
    if (!run->closed)
        run->unread = "the application is dead: nobody can be asked";
    uint64_t since_ns = hn_clock_ns() - run->target_end.time_ns;
    count_kernel(run);
    look_for_residue(run, since_ns < HOST_DEATH_NS ? HOST_DEATH_NS - since_ns : 0,
                     "1 s after the application's death");
}

/* ---- Judging ----------------------------------------------------------------------------------- */

static void check(struct ch_run *run)
{
    struct hn_findings *findings = &run->world->findings;
    struct hn_case of = case_of(run);
    hn_check_tasks(&of, findings);
    hn_check_order(&of, findings);
    hn_check_callbacks(&of, findings);
    hn_check_bounds(&of, findings);
    hn_check_containment(&of, findings);
    hn_check_finalizers(&of, findings);
    of.strength = run->scenario->pool.min_workers;
    of.recycle_parallel = recycle_parallel(run->scenario);
    hn_check_recycle(&of, findings);
    hn_check_harness(run->world, findings);
    if (run->world->after.taken_ns) {
        hn_check_residue(&run->world->before, &run->world->after, findings);
        hn_check_host(&run->world->before, &run->world->after, findings);
    } else if (run->target_gone && !run->target_end.signal && !run->target_end.code) {
        harness_broke(run, "the target's second snapshot: there is none", -ENODATA);
    }
}

static void finish_guardian(struct ch_run *run)
{
    bool lived = hn_guardian_lives(&run->guardian);
    int left = hn_guardian_finish(&run->guardian);
    if (lived && left)
        harness_broke(run, "what the guardian could not remove", left);
}

static void judge_hang(struct ch_run *run)
{
    run->timed_out = true;
    ch_result_objectf(run->result, CH_FAIL, run->scenario->place, "limit", "the end in time",
                      "the watchdog", "it was not over after %llu ms",
                      (unsigned long long)(run->scenario->limit_us / 1000));
    ch_evidence_hang(run);
    hn_gates_open(&run->world->gates);
}

/* A host that was hit is given the time to die of it. */
static void await_host(struct ch_run *run)
{
    uint64_t deadline_ns = step_deadline_ns(run);
    ch_watch_drain(run);
    while (!run->target_gone && hn_clock_ns() < deadline_ns && ch_watch_wait(run, deadline_ns))
        ch_watch_drain(run);
}

static void execute(struct ch_run *run)
{
    int rc = follow_timeline(run);
    if (rc == 0 && run->host_signal)
        await_host(run);
    if (rc == -ETIMEDOUT)
        judge_hang(run);
    else if (rc == 0 && run->target_gone)
        end_dead(run);
    else if (rc == 0)
        end_alive(run);
    ch_watch_drain(run);
    if (!hn_guardian_lives(&run->guardian)) { /* what was seen since is of our own making */
        harness_broke(run, "the guardian", -ESRCH);
        return;
    }
    check(run);
    ch_expect_all(run);
}

/* ---- Begin ------------------------------------------------------------------------------------- */

static int live_target(const void *context, int command_fd)
{
    return hn_target_live(context, command_fd);
}

static void init(struct ch_run *run)
{
    run->random = run->options->seed;
    run->unread = "the run did not get that far";
    run->begun_ns = hn_clock_ns();
    run->limit_ns = run->begun_ns + run->scenario->limit_us * HN_US;
    for (int i = 0; i < CH_STEPS_MAX; i++)
        run->steps[i].gate = -1;
    ch_trigger_arm(run);
}

static int start(struct ch_run *run)
{
    char name[64];
    struct hn_guardian_options options = {
        .world = run->world, .name = name, .live = live_target, .context = &run->target};
    snprintf(name, sizeof name, "%u-%u", run->result->index, run->result->repeat);
    return hn_guardian_start(&run->guardian, &options);
}

static int run_prepared(struct ch_run *run)
{
    int rc = ch_convert(run);
    if (rc)
        return rc;
    init(run);
    rc = start(run);
    if (rc)
        return rc;
    execute(run);
    finish_guardian(run);
    if (ch_result_verdict(run->result) != CH_PASS)
        ch_evidence_keep(run);
    return 0;
}

int ch_run_scenario(const struct ch_scenario *scenario, const struct ch_run_options *options,
                    struct ch_result *result)
{
    struct ch_run *run = calloc(1, sizeof *run);
    if (!run)
        return -ENOMEM;
    run->scenario = scenario;
    run->options = options;
    run->result = result;
    int rc = 0;
    if (needs_are_met(run)) {
        run->world = hn_world_new();
        rc = run->world ? run_prepared(run) : -ENOMEM;
        hn_world_free(run->world);
    }
    free(run);
    return rc;
}
