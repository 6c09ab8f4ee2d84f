/* SPDX-License-Identifier: MIT */
/*
 * run_action: what a step of the timeline does.
 *
 * An action that hits processes chooses its victims, binds its name, arms the gates that wait for
 * that name, and only then strikes. It counts as fired when its effect was seen: the victim is dead
 * or stopped, the limit is written, the reply has come.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "chaos/run_inner.h"
#include "chaos/vocabulary.h"
#include "harness/clock.h"
#include "harness/inject.h"

#define EFFECT_NS (2 * HN_S)

static bool has_trait(const struct ch_action *action, unsigned trait)
{
    return (ch_vocabulary_traits(CH_FAMILY_ACTION, (int)action->kind) & trait) != 0;
}

bool ch_action_is_fault(const struct ch_action *action)
{
    return has_trait(action, CH_ACTION_FAULT);
}

/* begun_ns: when it was begun; now it is in force. */
static void note_since(struct ch_run *run, enum hn_kind kind, uint32_t step,
                       const struct hn_process *victim, uint32_t slot, int number,
                       uint64_t begun_ns)
{
    struct hn_record record = hn_record_of(kind);
    record.a = step;
    record.slot = slot;
    record.signal = number;
    record.pid = victim ? victim->pid : HN_NOBODY;
    record.b = begun_ns;
    hn_history_append(&run->world->history, &record);
}

static void note_fault(struct ch_run *run, enum hn_kind kind, uint32_t step,
                       const struct hn_process *victim, uint32_t slot, int number)
{
    note_since(run, kind, step, victim, slot, number, 0);
}

/* ---- Victims ----------------------------------------------------------------------------------- */

struct victims {
    uint32_t count;
    uint32_t slots[HN_SLOTS_MAX];
};

static const enum hn_selection selections[CH_SELECTORS] = {
    [CH_WORKER_ONE] = HN_SELECT_ONE,           [CH_WORKER_ALL] = HN_SELECT_ALL,
    [CH_WORKER_BUSY] = HN_SELECT_BUSY,         [CH_WORKER_IDLE] = HN_SELECT_IDLE,
    [CH_WORKER_STARTING] = HN_SELECT_STARTING, [CH_WORKER_RETIRING] = HN_SELECT_RETIRING,
    [CH_WORKER_OLDEST] = HN_SELECT_OLDEST,     [CH_WORKER_SLOT] = HN_SELECT_SLOT,
    [CH_WORKER_PERCENT] = HN_SELECT_PERCENT,   [CH_WORKER_NAME] = HN_SELECTIONS,
};

/* Workers that run a task of that group now. */
static void choose_group(const struct ch_run *run, uint32_t group, struct victims *victims)
{
    for (uint32_t slot = 0; slot < HN_SLOTS_MAX; slot++) {
        const struct hn_worker *worker = &run->roster.slots[slot];
        if (worker->state == HN_WORKER_BUSY && worker->task < HN_TASKS_MAX &&
            run->world->rows[worker->task].group == group)
            victims->slots[victims->count++] = slot;
    }
}

static void choose_named(const struct ch_run *run, int name, struct victims *victims)
{
    const struct ch_name *word = &run->scenario->names[name];
    const struct ch_binding *binding = &run->names[name];
    if (word->kind == CH_NAME_TASKS) {
        choose_group(run, word->index, victims);
        return;
    }
    uint32_t line = hn_roster_slot_of(&run->roster, binding->process.pid);
    if (binding->bound && binding->slot != HN_NONE && line != HN_NONE)
        victims->slots[victims->count++] = line;
}

static void choose(struct ch_run *run, const struct ch_selector *selector, struct victims *victims)
{
    victims->count = 0;
    if (selector->kind == CH_WORKER_NAME)
        choose_named(run, selector->name, victims);
    else
        victims->count = hn_roster_select(&run->roster, selections[selector->kind],
                                          selector->number, &run->random, victims->slots,
                                          HN_SLOTS_MAX);
}

/* The name of an action stands for its first victim. */
static void bind_victim(struct ch_run *run, uint32_t step, const struct hn_process *victim,
                        uint32_t slot)
{
    struct ch_binding binding = {
        .bound = true, .since_ns = hn_clock_ns(), .slot = slot, .task = HN_NONE, .group = HN_NONE};
    if (victim)
        binding.process = *victim;
    ch_run_bind(run, run->scenario->steps[step].action.name, &binding);
    ch_trigger_arm(run);
}

static bool no_victim(struct ch_run *run, uint32_t step, const char *why)
{
    snprintf(run->steps[step].trouble, sizeof run->steps[step].trouble, "%s", why);
    return false;
}

/* ---- Signals ----------------------------------------------------------------------------------- */

static void strike(struct ch_run *run, uint32_t step, const struct hn_process *victim,
                   uint32_t slot, int number)
{
    struct ch_step_state *state = &run->steps[step];
    bool sham = run->target.sabotage == HN_SABOTAGE_SHAM_FAULT;
    uint64_t begun_ns = hn_clock_ns();
    int rc = sham ? 0 : hn_inject_signal(victim, number, hn_clock_ns() + EFFECT_NS);
    if (rc == 0) {
        note_since(run, HN_FAULT, step, victim, slot, number, begun_ns);
        state->fired++;
    } else {
        snprintf(state->trouble, sizeof state->trouble, "pid %d: %s", victim->pid,
                 rc == -EALREADY    ? "the signal would change nothing there"
                 : rc == -ETIMEDOUT ? "the signal has changed nothing there"
                                    : strerror(-rc));
    }
}

static bool signal_workers(struct ch_run *run, uint32_t step, const struct ch_selector *selector,
                           int number)
{
    struct victims victims;
    uint32_t hit = run->steps[step].fired;
    choose(run, selector, &victims);
    if (victims.count == 0)
        return no_victim(run, step, "no worker is of that kind");
    bind_victim(run, step, &run->roster.slots[victims.slots[0]].process, victims.slots[0]);
    for (uint32_t i = 0; i < victims.count; i++) {
        struct hn_process victim = run->roster.slots[victims.slots[i]].process;
        strike(run, step, &victim, victims.slots[i], number);
    }
    return run->steps[step].fired > hit;
}

static bool signal_zygote(struct ch_run *run, uint32_t step, int number)
{
    struct hn_process zygote = run->roster.zygote;
    if (zygote.pid == 0)
        return no_victim(run, step, "there is no zygote");
    bind_victim(run, step, &zygote, HN_NONE);
    strike(run, step, &zygote, HN_NONE, number);
    return run->steps[step].fired > 0;
}

static bool signal_host(struct ch_run *run, uint32_t step, int number)
{
    struct hn_process host = run->world->target;
    bind_victim(run, step, &host, HN_NONE);
    strike(run, step, &host, HN_NONE, number);
    if (run->steps[step].fired && hn_signal_ends(number))
        run->host_signal = number;
    return run->steps[step].fired > 0;
}

static bool signal_client(struct ch_run *run, uint32_t step, int number)
{
    uint32_t client = run->scenario->steps[step].action.signal.client;
    struct hn_process victim = run->world->clients[client - 1].process;
    bind_victim(run, step, &victim, HN_NONE);
    strike(run, step, &victim, HN_NONE, number);
    return run->steps[step].fired > 0;
}

static bool do_signal(struct ch_run *run, uint32_t step, int number)
{
    const struct ch_signal_action *action = &run->scenario->steps[step].action.signal;
    switch (action->process) {
    case CH_PROCESS_WORKER: return signal_workers(run, step, &action->worker, number);
    case CH_PROCESS_ZYGOTE: return signal_zygote(run, step, number);
    case CH_PROCESS_HOST: return signal_host(run, step, number);
    case CH_PROCESS_CLIENT: return signal_client(run, step, number);
    case CH_PROCESSES: break;
    }
    return true;
}

/* ---- Limits and pressure ----------------------------------------------------------------------- */

static bool fault_done(struct ch_run *run, uint32_t step, const struct hn_process *victim,
                       uint32_t slot, int rc, const char *what)
{
    struct ch_step_state *state = &run->steps[step];
    if (rc) {
        snprintf(state->trouble, sizeof state->trouble, "%s: %s", what, strerror(-rc));
        return true;
    }
    note_fault(run, HN_FAULT, step, victim, slot, 0);
    state->fired++;
    return true;
}

static bool do_memcg(struct ch_run *run, uint32_t step)
{
    const struct ch_memcg_action *action = &run->scenario->steps[step].action.memcg;
    struct victims victims;
    choose(run, &action->worker, &victims);
    if (victims.count == 0)
        return no_victim(run, step, "no worker is of that kind");
    bind_victim(run, step, &run->roster.slots[victims.slots[0]].process, victims.slots[0]);
    run->memory_limited = true;
    for (uint32_t i = 0; i < victims.count; i++) {
        const struct hn_process *victim = &run->roster.slots[victims.slots[i]].process;
        char path[HN_PATH_MAX];
        int rc = hn_inject_own_memcg(victim->pid, run->world->target.pid, path, sizeof path);
        if (rc == 0)
            rc = hn_guardian_limit_memory(&run->guardian, step, path, action->limit_bytes);
        fault_done(run, step, victim, victims.slots[i], rc, "the worker's own memory cgroup");
    }
    return true;
}

static bool do_pids(struct ch_run *run, uint32_t step)
{
    const struct ch_pids_action *action = &run->scenario->steps[step].action.pids;
    uint64_t limit = action->current ? HN_PIDS_CURRENT : action->limit;
    bind_victim(run, step, NULL, HN_NONE);
    int rc = hn_guardian_limit_pids(&run->guardian, step, limit);
    return fault_done(run, step, NULL, HN_NONE, rc, "pids.max of the target's cgroup");
}

static bool do_pressure(struct ch_run *run, uint32_t step)
{
    const struct ch_pressure_action *action = &run->scenario->steps[step].action.pressure;
    bind_victim(run, step, NULL, HN_NONE);
    int rc = hn_guardian_press(&run->guardian, step, action->cpu_workers, action->vm_workers,
                               action->vm_bytes);
    return fault_done(run, step, NULL, HN_NONE, rc, "stress-ng");
}

/* ---- Commands to the target -------------------------------------------------------------------- */

static bool command(struct ch_run *run, uint32_t step, struct hn_command *what)
{
    struct ch_step_state *state = &run->steps[step];
    state->replied = false;
    state->command = ch_watch_command(run, what);
    if (state->command)
        state->phase = CH_STEP_ACTING;
    else
        ch_action_finish(run, step);
    return true;
}

static bool do_fill_fds(struct ch_run *run, uint32_t step)
{
    struct ch_step_state *state = &run->steps[step];
    if (run->scenario->steps[step].action.fill_fds.process == CH_PROCESS_HOST) {
        bind_victim(run, step, &run->world->target, HN_NONE);
        return command(run, step, &(struct hn_command){.kind = HN_COMMAND_FILL_FDS});
    }
    uint32_t slot = state->event.slot;
    bind_victim(run, step, slot < HN_SLOTS_MAX ? &run->roster.slots[slot].process : NULL, slot);
    if (ch_trigger_release(run, step, HN_ERRAND_FILL_FDS))
        state->phase = CH_STEP_ACTING;
    else
        snprintf(state->trouble, sizeof state->trouble, "no worker is held at a gate");
    return true;
}

/* Both ways have an answer: how many descriptors were opened. */
static void finish_fill_fds(struct ch_run *run, uint32_t step, int opened)
{
    struct ch_step_state *state = &run->steps[step];
    bool host = run->scenario->steps[step].action.fill_fds.process == CH_PROCESS_HOST;
    struct hn_process worker = {.pid = state->event.pid};
    if (opened > 0)
        fault_done(run, step, host ? &run->world->target : &worker, HN_NONE, 0, "");
    else
        snprintf(state->trouble, sizeof state->trouble, "not a single descriptor was opened");
}

static bool do_cancel(struct ch_run *run, uint32_t step)
{
    const struct ch_cancel_action *action = &run->scenario->steps[step].action.cancel;
    struct hn_command what = {.kind = HN_COMMAND_CANCEL,
                              .group = run->scenario->names[action->name].index,
                              .nth = action->nth,
                              .flags = action->at_once};
    bind_victim(run, step, NULL, HN_NONE);
    return command(run, step, &what);
}

static uint32_t shutdown_flags(enum ch_shutdown_mode mode)
{
    switch (mode) {
    case CH_SHUTDOWN_WAIT: return LIBPOOL_WAIT;
    case CH_SHUTDOWN_WAIT_CANCEL: return LIBPOOL_WAIT | LIBPOOL_CANCEL;
    case CH_SHUTDOWN_BACKGROUND: return 0;
    case CH_SHUTDOWN_KILL: return LIBPOOL_CANCEL;
    case CH_SHUTDOWN_MODES: break;
    }
    return 0;
}

static bool do_shutdown(struct ch_run *run, uint32_t step)
{
    const struct ch_shutdown_action *action = &run->scenario->steps[step].action.shutdown;
    bool unserves = run->scenario->steps[step].action.kind == CH_ACTION_UNSERVE;
    struct hn_command what = {.kind = unserves ? HN_COMMAND_UNSERVE : HN_COMMAND_SHUTDOWN,
                              .flags = shutdown_flags(action->mode),
                              .deadline_ms = -1};
    if (action->deadline_us != CH_UNSET)
        what.deadline_ms = (int)(action->deadline_us / 1000);
    run->unserved |= unserves;
    run->shut |= !unserves;
    bind_victim(run, step, NULL, HN_NONE);
    return command(run, step, &what);
}

static bool do_recycle(struct ch_run *run, uint32_t step)
{
    struct hn_command what = {.kind = HN_COMMAND_RECYCLE,
                              .nth = run->scenario->steps[step].action.recycle.parallel};
    return command(run, step, &what);
}

static bool do_noise(struct ch_run *run, uint32_t step)
{
    struct hn_command what = {.kind = HN_COMMAND_NOISE,
                              .nth = run->scenario->steps[step].action.noise.connections};
    bind_victim(run, step, NULL, HN_NONE);
    return command(run, step, &what);
}

static bool do_settle(struct ch_run *run, uint32_t step)
{
    uint64_t within_us = run->scenario->steps[step].action.settle.within_us;
    bool drains = run->scenario->steps[step].action.kind == CH_ACTION_DRAIN;
    struct hn_command what = {.kind = drains ? HN_COMMAND_DRAIN : HN_COMMAND_SETTLE,
                              .deadline_ns = run->limit_ns};
    if (within_us != CH_UNSET)
        what.deadline_ns = hn_clock_ns() + within_us * HN_US;
    return command(run, step, &what);
}

static bool do_submit(struct ch_run *run, uint32_t step)
{
    struct hn_command what = {.kind = HN_COMMAND_SUBMIT,
                              .group = run->scenario->steps[step].action.submit};
    run->load_ended_ns = 0;
    return command(run, step, &what);
}

static bool do_close(struct ch_run *run, uint32_t step)
{
    run->closed = true;
    run->shut = true;
    return command(run, step, &(struct hn_command){.kind = HN_COMMAND_CLOSE});
}

/* What an `expect` with counters looks at has to be fetched first. */
static bool do_expect(struct ch_run *run, uint32_t step)
{
    const struct ch_expect_action *action = &run->scenario->steps[step].action.expect;
    for (size_t i = 0; i < action->checks_count; i++)
        if (action->checks[i].kind == CH_CHECK_COUNTER)
            return command(run, step, &(struct hn_command){.kind = HN_COMMAND_STATS});
    ch_expect_checks(run, step);
    run->steps[step].fired++;
    return true;
}

/* ---- Undo -------------------------------------------------------------------------------------- */

static bool undoes(const struct ch_undo_action *undo, const struct ch_action *other)
{
    return has_trait(other, CH_ACTION_UNDONE) &&
           (undo->name != CH_NOBODY ? other->name == undo->name : other->kind == undo->kind);
}

bool ch_action_is_early(const struct ch_run *run, const struct ch_action *action)
{
    for (uint32_t i = 0; action->kind == CH_ACTION_UNDO && i < run->scenario->steps_count; i++)
        if (run->steps[i].phase == CH_STEP_ACTING &&
            undoes(&action->undo, &run->scenario->steps[i].action))
            return true;
    return false;
}

static void undo_step(struct ch_run *run, uint32_t step)
{
    struct ch_step_state *state = &run->steps[step];
    const struct ch_action *action = &run->scenario->steps[step].action;
    int32_t reply;
    if (state->undone || state->fired == 0)
        return;
    state->undone = true;
    if (action->kind == CH_ACTION_FILL_FDS) {
        struct hn_command what = {.kind = HN_COMMAND_EMPTY_FDS};
        if (action->fill_fds.process == CH_PROCESS_HOST && !run->target_gone)
            ch_watch_ask(run, &what, hn_clock_ns() + EFFECT_NS, &reply);
    } else {
        int rc = hn_guardian_undo(&run->guardian, step);
        if (rc == -ESRCH)
            ch_result_object(run->result, CH_INCONCLUSIVE, action->place, "fired",
                             "in force until it is undone", "it had ended by itself", "stress-ng");
        else if (rc)
            hn_findings_add(&run->world->findings, HN_HARNESS, "the guardian",
                            "the fault is undone", "%s", strerror(-rc));
    }
    note_fault(run, HN_FAULT_UNDONE, step, NULL, HN_NONE, 0);
}

static bool do_undo(struct ch_run *run, uint32_t step)
{
    const struct ch_undo_action *action = &run->scenario->steps[step].action.undo;
    for (uint32_t i = 0; i < run->scenario->steps_count; i++)
        if (undoes(action, &run->scenario->steps[i].action))
            undo_step(run, i);
    run->steps[step].fired++;
    return true;
}

static void wake_stopped(struct ch_run *run, const struct hn_process *process, uint32_t slot)
{
    struct hn_process now;
    if (process->pid && hn_process_look(process->pid, &now) == 0 &&
        now.started == process->started && now.state == 'T' &&
        hn_inject_signal(process, SIGCONT, hn_clock_ns() + EFFECT_NS) == 0)
        note_fault(run, HN_FAULT_UNDONE, 0, process, slot, SIGCONT);
}

/* Nothing stays in force when the pool has to show that it recovers. */
void ch_action_heal(struct ch_run *run)
{
    for (uint32_t i = 0; i < run->scenario->steps_count; i++)
        if (has_trait(&run->scenario->steps[i].action, CH_ACTION_UNDONE))
            undo_step(run, i);
    wake_stopped(run, &run->roster.zygote, HN_NONE);
    for (uint32_t i = 0; i < HN_CLIENTS_MAX; i++)
        wake_stopped(run, &run->world->clients[i].process, HN_NONE);
    for (uint32_t slot = 0; slot < HN_SLOTS_MAX; slot++)
        if (run->roster.slots[slot].state != HN_WORKER_ABSENT &&
            run->roster.slots[slot].state != HN_WORKER_BUSY)
            wake_stopped(run, &run->roster.slots[slot].process, slot);
}

/* ---- All of them ------------------------------------------------------------------------------- */

static bool do_note(struct ch_run *run, uint32_t step)
{
    struct hn_record record = hn_record_of(HN_NOTE);
    record.a = step;
    hn_history_append(&run->world->history, &record);
    run->steps[step].fired++;
    return true;
}

static bool do_release(struct ch_run *run, uint32_t step)
{
    int name = run->scenario->steps[step].action.release.name;
    _Atomic uint32_t *released = &run->world->released[run->scenario->names[name].index];
    atomic_store(released, 1);
    hn_futex_wake(released);
    run->steps[step].fired++;
    return true;
}

bool ch_action_perform(struct ch_run *run, uint32_t step)
{
    const struct ch_action *action = &run->scenario->steps[step].action;
    switch (action->kind) {
    case CH_ACTION_KILL: return do_signal(run, step, action->signal.signal);
    case CH_ACTION_STOP: return do_signal(run, step, SIGSTOP);
    case CH_ACTION_CONT: return do_signal(run, step, SIGCONT);
    case CH_ACTION_MEMCG: return do_memcg(run, step);
    case CH_ACTION_PIDS: return do_pids(run, step);
    case CH_ACTION_FILL_FDS: return do_fill_fds(run, step);
    case CH_ACTION_PRESSURE: return do_pressure(run, step);
    case CH_ACTION_UNDO: return do_undo(run, step);
    case CH_ACTION_CANCEL: return do_cancel(run, step);
    case CH_ACTION_UNSERVE:
    case CH_ACTION_SHUTDOWN: return do_shutdown(run, step);
    case CH_ACTION_NOISE: return do_noise(run, step);
    case CH_ACTION_SUBMIT: return do_submit(run, step);
    case CH_ACTION_CLOSE: return do_close(run, step);
    case CH_ACTION_EXPECT: return do_expect(run, step);
    case CH_ACTION_DRAIN:
    case CH_ACTION_SETTLE: return do_settle(run, step);
    case CH_ACTION_RECYCLE: return do_recycle(run, step);
    case CH_ACTION_NOTE: return do_note(run, step);
    case CH_ACTION_RELEASE: return do_release(run, step);
    case CH_ACTION_DRESS: return command(run, step, &(struct hn_command){.kind = HN_COMMAND_DRESS});
    case CH_ACTIONS: break;
    }
    return true;
}

/* ---- Replies ----------------------------------------------------------------------------------- */

/* Somebody asks what this shutdown returned. */
static bool is_asked_for(const struct ch_run *run, int name)
{
    for (size_t i = 0; name != CH_NOBODY && i < run->scenario->steps_count; i++) {
        const struct ch_step *step = &run->scenario->steps[i];
        if (step->action.kind != CH_ACTION_EXPECT || step->trigger.of != name)
            continue;
        for (size_t k = 0; k < step->action.expect.checks_count; k++)
            if (step->action.expect.checks[k].kind == CH_CHECK_ERRNO)
                return true;
    }
    return false;
}

static void finish_shutdown(struct ch_run *run, const struct ch_action *action, int reply)
{
    if (reply && !is_asked_for(run, action->name))
        ch_result_object(
            run->result, CH_FAIL, action->place, "expect errno", "none", strerror(-reply),
            action->kind == CH_ACTION_UNSERVE ? "libpool_remote_server_close" : "libpool_shutdown");
}

static void finish_noise(struct ch_run *run, uint32_t step, int ended)
{
    if (ended == (int)run->scenario->steps[step].action.noise.connections)
        fault_done(run, step, NULL, HN_NONE, 0, "");
    else
        snprintf(run->steps[step].trouble, sizeof run->steps[step].trouble,
                 "the server has ended %d of them", ended);
}

static void finish_settle(struct ch_run *run, const struct ch_action *action, int reply)
{
    if (reply)
        ch_result_object(run->result, CH_FAIL, action->place,
                         action->kind == CH_ACTION_DRAIN ? "drain" : "settle", "a settled pool",
                         strerror(-reply),
                         action->kind == CH_ACTION_DRAIN ? "libpool_drain"
                                                         : "libpool_stats_read in the target");
}

static void finish_change(struct ch_run *run, const struct ch_action *action, int reply)
{
    bool dresses = action->kind == CH_ACTION_DRESS;
    if (reply)
        ch_result_object(run->result, CH_FAIL, action->place, dresses ? "dress" : "recycle", "0",
                         strerror(-reply), dresses ? "libpool_set_outfit" : "libpool_recycle");
}

static void finish_submit(struct ch_run *run, uint32_t step, int left)
{
    if (left)
        ch_expect_unjudged(run, step, "every task offered", "the pool was closed before that");
}

static void finish_cancel(struct ch_run *run, uint32_t step, int cancelled)
{
    if (cancelled <= 0)
        ch_expect_unjudged(run, step, "a task cancelled", "none was there that had not ended");
}

/* The numbers of a pool that is closed are those that it had then. */
static void finish_close(struct ch_run *run, uint32_t step, int reply)
{
    if (reply) {
        ch_expect_unjudged(run, step, "a pool to close", strerror(-reply));
        return;
    }
    run->numbers = run->world->answer;
    run->unread = NULL;
}

static void finish_expect(struct ch_run *run, uint32_t step, int reply)
{
    if (reply)
        ch_expect_unjudged(run, step, "the pool's numbers", strerror(-reply));
    else
        ch_expect_checks(run, step);
}

static void take_reply(struct ch_run *run, uint32_t step, int reply)
{
    const struct ch_action *action = &run->scenario->steps[step].action;
    switch (action->kind) {
    case CH_ACTION_FILL_FDS: finish_fill_fds(run, step, reply); break;
    case CH_ACTION_EXPECT: finish_expect(run, step, reply); break;
    case CH_ACTION_DRAIN:
    case CH_ACTION_SETTLE: finish_settle(run, action, reply); break;
    case CH_ACTION_CANCEL: finish_cancel(run, step, reply); break;
    case CH_ACTION_UNSERVE:
    case CH_ACTION_SHUTDOWN: finish_shutdown(run, action, reply); break;
    case CH_ACTION_NOISE: finish_noise(run, step, reply); break;
    case CH_ACTION_SUBMIT: finish_submit(run, step, reply); break;
    case CH_ACTION_DRESS:
    case CH_ACTION_RECYCLE: finish_change(run, action, reply); break;
    case CH_ACTION_CLOSE: finish_close(run, step, reply); break;
    case CH_ACTION_KILL:
    case CH_ACTION_STOP:
    case CH_ACTION_CONT:
    case CH_ACTION_MEMCG:
    case CH_ACTION_PIDS:
    case CH_ACTION_PRESSURE:
    case CH_ACTION_UNDO:
    case CH_ACTION_NOTE:
    case CH_ACTION_RELEASE:
    case CH_ACTIONS: break;
    }
}

void ch_action_finish(struct ch_run *run, uint32_t step)
{
    struct ch_step_state *state = &run->steps[step];
    const struct ch_action *action = &run->scenario->steps[step].action;
    state->phase = CH_STEP_DONE;
    if (state->replied)
        take_reply(run, step, state->reply);
    else if (ch_action_is_fault(action)) /* told as one that never fired */
        snprintf(state->trouble, sizeof state->trouble,
                 "the application was dead before it answered");
    else if (!action->optional)
        ch_expect_unjudged(run, step, "this step done",
                           "the application was dead before it answered");
}
