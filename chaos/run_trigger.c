/* SPDX-License-Identifier: MIT */
/*
 * run_trigger: when a step of the timeline is due.
 *
 * Steps don't wait for each other in general: each has its own trigger. What orders them:
 *   - `+T` counts from the effect of the step before;
 *   - a name (`of=w`, `slot=w.slot`) counts events from the moment when it was bound;
 *   - an event without such a name counts from the firing of the step before, so that
 *     `kill ...` and then `on worker-ready` means the worker that comes after the kill; without a
 *     step before, from the run's begin;
 *   - gates that name a group of tasks or nobody are armed before the pool is opened, and count
 *     from there: their nth is the nth of the run;
 *   - an undo waits until what it undoes is in force, when that is under way already.
 * "The step before" is the nearest one that has to fire: no optional one.
 * `within` counts from the effect of the step before. All this is of event times, not of the time
 * when the judge got to read them: the history keeps.
 */
#include "chaos/run_inner.h"
#include "harness/clock.h"

#define PATIENCE_NS (20 * HN_S)

/* ---- Events and gates -------------------------------------------------------------------------- */

static uint32_t kind_of(enum ch_event event)
{
    static const uint32_t kinds[CH_EVENTS] = {
        [CH_EVENT_TASK_START] = HN_TASK_START,
        [CH_EVENT_TASK_END] = HN_TASK_END,
        [CH_EVENT_WORKER_INIT] = HN_WORKER_INIT,
        [CH_EVENT_WORKER_FINAL] = HN_WORKER_FINAL,
        [CH_EVENT_TASK_RECEIVED] = HN_POOL + LIBPOOL_EVENT_TASK_RECEIVED,
        [CH_EVENT_TASK_LAUNCHED] = HN_POOL + LIBPOOL_EVENT_TASK_LAUNCHED,
        [CH_EVENT_TASK_RETURNED] = HN_POOL + LIBPOOL_EVENT_TASK_RETURNED,
        [CH_EVENT_TASK_ENDED] = HN_POOL + LIBPOOL_EVENT_TASK_ENDED,
        [CH_EVENT_WORKER_SPAWNED] = HN_POOL + LIBPOOL_EVENT_WORKER_SPAWNED,
        [CH_EVENT_WORKER_READY] = HN_POOL + LIBPOOL_EVENT_WORKER_READY,
        [CH_EVENT_WORKER_RETIRED] = HN_POOL + LIBPOOL_EVENT_WORKER_RETIRED,
        [CH_EVENT_WORKER_KILLED] = HN_POOL + LIBPOOL_EVENT_WORKER_KILLED,
        [CH_EVENT_WORKER_EXITED] = HN_POOL + LIBPOOL_EVENT_WORKER_EXITED,
        [CH_EVENT_SPAWN_FAILED] = HN_POOL + LIBPOOL_EVENT_SPAWN_FAILED,
        [CH_EVENT_INIT_FAILED] = HN_POOL + LIBPOOL_EVENT_INIT_FAILED,
        [CH_EVENT_ZYGOTE_STARTED] = HN_POOL + LIBPOOL_EVENT_ZYGOTE_STARTED,
        [CH_EVENT_ZYGOTE_LOST] = HN_POOL + LIBPOOL_EVENT_ZYGOTE_LOST,
        [CH_EVENT_SHUTDOWN_BEGUN] = HN_POOL + LIBPOOL_EVENT_SHUTDOWN_BEGUN,
        [CH_EVENT_SHUTDOWN_DONE] = HN_POOL + LIBPOOL_EVENT_SHUTDOWN_DONE,
        [CH_EVENT_TASK_ASKED] = HN_POOL + LIBPOOL_EVENT_TASK_ASKED,
        [CH_EVENT_RECYCLE_BEGUN] = HN_POOL + LIBPOOL_EVENT_RECYCLE_BEGUN,
        [CH_EVENT_DRAINED] = HN_POOL + LIBPOOL_EVENT_DRAINED,
        [CH_EVENT_TASK_RETRIED] = HN_POOL + LIBPOOL_EVENT_TASK_RETRIED,
        [CH_EVENT_KIND_QUARANTINED] = HN_POOL + LIBPOOL_EVENT_KIND_QUARANTINED,
        [CH_EVENT_ADMISSION_PAUSED] = HN_POOL + LIBPOOL_EVENT_ADMISSION_PAUSED,
        [CH_EVENT_ADMISSION_RESUMED] = HN_POOL + LIBPOOL_EVENT_ADMISSION_RESUMED,
        [CH_EVENT_PART_TAKEN] = HN_PART,
        [CH_EVENT_TASK_REFUSED] = HN_REFUSED,
        [CH_EVENT_TASK_SUBMITTED] = HN_SUBMITTED,
        [CH_EVENT_POOL_CLOSED] = HN_CALL,
    };
    return kinds[event];
}

static bool is_gate(const struct ch_trigger *trigger)
{
    return trigger->kind == CH_TRIGGER_ON &&
           (trigger->event == CH_EVENT_TASK_START || trigger->event == CH_EVENT_WORKER_INIT ||
            trigger->event == CH_EVENT_WORKER_FINAL);
}

static const struct ch_name *name_at(const struct ch_run *run, int name)
{
    return name == CH_NOBODY ? NULL : &run->scenario->names[name];
}

static bool is_group(const struct ch_run *run, int name)
{
    return name != CH_NOBODY && name_at(run, name)->kind == CH_NAME_TASKS;
}

/* The binding that a name needs before the trigger means anything; NULL: none. */
static const struct ch_binding *needed(const struct ch_run *run, int name)
{
    return name == CH_NOBODY || is_group(run, name) ? NULL : &run->names[name];
}

static uint32_t slot_wanted(const struct ch_run *run, const struct ch_trigger *trigger)
{
    switch (trigger->slot_kind) {
    case CH_SLOT_ANY: return HN_NONE;
    case CH_SLOT_NUMBER: return trigger->slot;
    case CH_SLOT_OF_NAME: /* who had none is not everybody */
        return run->names[trigger->slot_of].slot == HN_NONE ? HN_SLOTS_MAX
                                                            : run->names[trigger->slot_of].slot;
    case CH_SLOT_KINDS: break;
    }
    return HN_NONE;
}

static bool names_are_bound(const struct ch_run *run, const struct ch_trigger *trigger)
{
    const struct ch_binding *of = needed(run, trigger->of);
    const struct ch_binding *slot = trigger->slot_kind == CH_SLOT_OF_NAME
                                        ? needed(run, trigger->slot_of)
                                        : NULL;
    return (!of || of->bound) && (!slot || slot->bound);
}

static uint32_t gate_slot(const struct ch_run *run, const struct ch_trigger *trigger)
{
    const struct ch_binding *of = needed(run, trigger->of);
    return of ? of->slot : slot_wanted(run, trigger);
}

/* Arms every gate whose names are bound and that has none yet. Called before the pool is opened, */
/* and whenever a name was bound: before the action that follows from it. */
void ch_trigger_arm(struct ch_run *run)
{
    for (size_t i = 0; i < run->scenario->steps_count; i++) {
        const struct ch_trigger *trigger = &run->scenario->steps[i].trigger;
        struct ch_step_state *state = &run->steps[i];
        if (!is_gate(trigger) || state->gate >= 0 || !names_are_bound(run, trigger))
            continue;
        uint32_t group = is_group(run, trigger->of) ? name_at(run, trigger->of)->index : HN_NONE;
        int gate = hn_gate_arm(&run->world->gates, (enum hn_kind)kind_of(trigger->event), group,
                               gate_slot(run, trigger), trigger->nth, PATIENCE_NS);
        if (gate < 0)
            hn_findings_add(&run->world->findings, HN_HARNESS, "the gates", "room for one more",
                            "none");
        state->gate = gate;
    }
}

/* A gate counts by itself. */
uint32_t ch_trigger_matches(const struct ch_run *run, uint32_t step)
{
    const struct ch_step_state *state = &run->steps[step];
    return state->gate >= 0 ? atomic_load(&run->world->gates.list[state->gate].arrivals)
                            : state->matches;
}

bool ch_trigger_release(struct ch_run *run, uint32_t step, enum hn_errand errand)
{
    struct ch_step_state *state = &run->steps[step];
    return state->gate >= 0 && hn_gate_release(&run->world->gates, (uint32_t)state->gate, errand);
}

/* ---- The step before --------------------------------------------------------------------------- */

/* The nearest step before that has to fire; NULL: the load's begin. */
static const struct ch_step_state *before(const struct ch_run *run, uint32_t step)
{
    while (step-- > 0)
        if (!run->scenario->steps[step].action.optional)
            return &run->steps[step];
    return NULL;
}

static uint64_t effect_before_ns(const struct ch_run *run, uint32_t step)
{
    const struct ch_step_state *previous = before(run, step);
    return previous ? previous->effect_ns : run->load_ns;
}

/* Events after it are meant. The pool tells several things of one moment: number tells them apart. */
struct origin {
    uint64_t time_ns; /* 0: not known yet */
    uint64_t number;  /* of the record that fired the step before or bound the name; 0: none did */
};

static struct origin origin_of(const struct ch_run *run, uint32_t step)
{
    const struct ch_trigger *trigger = &run->scenario->steps[step].trigger;
    const struct ch_step_state *previous = before(run, step);
    const struct ch_binding *of = needed(run, trigger->of);
    const struct ch_binding *slot = trigger->slot_kind == CH_SLOT_OF_NAME
                                        ? needed(run, trigger->slot_of)
                                        : NULL;
    if (!names_are_bound(run, trigger))
        return (struct origin){0};
    if (slot && (!of || slot->since_ns > of->since_ns))
        of = slot;
    if (of)
        return (struct origin){of->since_ns, of->since_number};
    if (is_group(run, trigger->of) || !previous)
        return (struct origin){run->begun_ns, 0};
    return (struct origin){previous->fired_ns, previous->event.number};
}

static bool is_after(const struct hn_record *record, const struct origin *origin)
{
    if (record->time_ns != origin->time_ns)
        return record->time_ns > origin->time_ns;
    return record->number > origin->number;
}

/* ---- Does a record match? ---------------------------------------------------------------------- */

enum match {
    NO,
    YES,
    NOT_KNOWN_YET
};

static bool is_about_task(enum ch_event event)
{
    return event == CH_EVENT_TASK_RECEIVED || event == CH_EVENT_TASK_LAUNCHED ||
           event == CH_EVENT_TASK_RETURNED || event == CH_EVENT_TASK_ENDED ||
           event == CH_EVENT_TASK_RETRIED || event == CH_EVENT_KIND_QUARANTINED ||
           event == CH_EVENT_TASK_END || event == CH_EVENT_TASK_START ||
           event == CH_EVENT_TASK_ASKED || event == CH_EVENT_PART_TAKEN ||
           event == CH_EVENT_TASK_REFUSED || event == CH_EVENT_TASK_SUBMITTED;
}

/* True when that process has run a task of the group. */
static bool ran_group(const struct ch_run *run, int32_t pid, uint32_t group)
{
    const struct hn_history *history = &run->world->history;
    for (uint64_t number = 1; number <= run->cursor.passed; number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (record && record->kind == HN_TASK_START && record->pid == pid && record->group == group)
            return true;
    }
    return false;
}

static enum match match_group(const struct ch_run *run, const struct ch_trigger *trigger,
                              const struct hn_record *record, uint32_t group)
{
    if (!is_about_task(trigger->event))
        return ran_group(run, record->pid, group) ? YES : NO;
    if (record->kind < HN_POOL)
        return record->group == group ? YES : NO;
    uint32_t task = ch_watch_task_of(run, record->a);
    if (task == HN_NONE)
        return NOT_KNOWN_YET;
    return run->world->rows[task].group == group ? YES : NO;
}

static enum match match_binding(const struct ch_run *run, const struct ch_trigger *trigger,
                                const struct hn_record *record, const struct ch_binding *binding)
{
    if (!is_about_task(trigger->event) || binding->task == HN_NONE) {
        if (trigger->event == CH_EVENT_SHUTDOWN_BEGUN || trigger->event == CH_EVENT_SHUTDOWN_DONE)
            return YES; /* there is only one */
        return binding->process.pid && record->pid == binding->process.pid ? YES : NO;
    }
    uint32_t task = record->kind < HN_POOL ? record->task : ch_watch_task_of(run, record->a);
    if (task == HN_NONE)
        return NOT_KNOWN_YET;
    return task == binding->task ? YES : NO;
}

static enum match match(const struct ch_run *run, uint32_t step, const struct hn_record *record)
{
    const struct ch_trigger *trigger = &run->scenario->steps[step].trigger;
    uint32_t slot = slot_wanted(run, trigger);
    struct origin origin = origin_of(run, step);
    if (record->kind != kind_of(trigger->event) || !is_after(record, &origin))
        return NO;
    if (slot != HN_NONE && record->slot != slot)
        return NO;
    if (trigger->event == CH_EVENT_POOL_CLOSED && record->a != HN_CALL_CLOSE)
        return NO;
    if (is_group(run, trigger->of))
        return match_group(run, trigger, record, name_at(run, trigger->of)->index);
    if (trigger->of != CH_NOBODY)
        return match_binding(run, trigger, record, &run->names[trigger->of]);
    return YES;
}

/* Goes on through the history, up to the nth match. */
static bool find_event(struct ch_run *run, uint32_t step)
{
    struct ch_step_state *state = &run->steps[step];
    while (state->scanned < run->cursor.passed) {
        const struct hn_record *record = hn_history_at(&run->world->history, state->scanned + 1);
        enum match found = record ? match(run, step, record) : NO;
        if (found == NOT_KNOWN_YET)
            return false;
        state->scanned++;
        if (found == NO || ++state->matches < run->scenario->steps[step].trigger.nth)
            continue;
        state->event = *record;
        return true;
    }
    return false;
}

/* A shutdown's event is met when the call has returned, too: what it returned can be asked for. */
static bool call_has_returned(const struct ch_run *run, const struct ch_trigger *trigger)
{
    const struct ch_name *name = name_at(run, trigger->of);
    if (trigger->event != CH_EVENT_SHUTDOWN_DONE || !name || name->kind != CH_NAME_ACTION)
        return true;
    const struct ch_step_state *state = &run->steps[name->index];
    return state->command == 0 || state->replied;
}

static bool event_met(struct ch_run *run, uint32_t step)
{
    const struct ch_trigger *trigger = &run->scenario->steps[step].trigger;
    struct ch_step_state *state = &run->steps[step];
    if (is_gate(trigger))
        return state->parked;
    if (state->event.kind == 0 && (origin_of(run, step).time_ns == 0 || !find_event(run, step)))
        return false;
    return call_has_returned(run, trigger);
}

/* ---- Time -------------------------------------------------------------------------------------- */

/* When the trigger is due by the clock; HN_NEVER: the clock has no say, or not yet. */
static uint64_t clock_due_ns(const struct ch_run *run, uint32_t step)
{
    const struct ch_trigger *trigger = &run->scenario->steps[step].trigger;
    const struct ch_step_state *state = &run->steps[step];
    uint64_t previous_ns = effect_before_ns(run, step);
    if (run->load_ns == 0)
        return HN_NEVER;
    switch (trigger->kind) {
    case CH_TRIGGER_AT: return run->load_ns + trigger->time_us * HN_US;
    case CH_TRIGGER_THEN: return previous_ns ? previous_ns + trigger->time_us * HN_US : HN_NEVER;
    case CH_TRIGGER_EVERY:
        if (state->next_ns)
            return state->next_ns;
        return previous_ns ? previous_ns + trigger->time_us * HN_US : HN_NEVER;
    case CH_TRIGGER_ON:
    case CH_TRIGGER_AFTER_LOAD:
    case CH_TRIGGER_KINDS: break;
    }
    return HN_NEVER;
}

static bool has_come(struct ch_run *run, uint32_t step)
{
    const struct ch_trigger *trigger = &run->scenario->steps[step].trigger;
    switch (trigger->kind) {
    case CH_TRIGGER_AT:
    case CH_TRIGGER_THEN:
    case CH_TRIGGER_EVERY: return hn_clock_ns() >= clock_due_ns(run, step);
    case CH_TRIGGER_ON: return event_met(run, step);
    case CH_TRIGGER_AFTER_LOAD: return run->load_ended_ns != 0;
    case CH_TRIGGER_KINDS: break;
    }
    return false;
}

/* The event is looked for all the same: if it came in time, the step is not late. */
bool ch_trigger_met(struct ch_run *run, uint32_t step)
{
    return has_come(run, step) && !ch_action_is_early(run, &run->scenario->steps[step].action);
}

static uint64_t late_ns(const struct ch_run *run, uint32_t step)
{
    const struct ch_trigger *trigger = &run->scenario->steps[step].trigger;
    uint64_t previous_ns = effect_before_ns(run, step);
    if (trigger->kind != CH_TRIGGER_ON || trigger->within_us == CH_UNSET || previous_ns == 0)
        return HN_NEVER;
    return previous_ns + trigger->within_us * HN_US;
}

/* Late are an event that came late, and a time that passed without one. */
bool ch_trigger_is_late(const struct ch_run *run, uint32_t step)
{
    const struct ch_step_state *state = &run->steps[step];
    uint64_t limit_ns = late_ns(run, step);
    if (limit_ns == HN_NEVER)
        return false;
    return state->event.kind ? state->event.time_ns > limit_ns : hn_clock_ns() > limit_ns;
}

uint64_t ch_trigger_due_ns(const struct ch_run *run)
{
    uint64_t due_ns = HN_NEVER;
    for (uint32_t i = 0; i < run->scenario->steps_count; i++) {
        if (run->steps[i].phase != CH_STEP_WAITING ||
            ch_action_is_early(run, &run->scenario->steps[i].action))
            continue; /* what it waits for rings */
        uint64_t clock_ns = clock_due_ns(run, i), late = late_ns(run, i);
        if (clock_ns < due_ns)
            due_ns = clock_ns;
        if (late < due_ns)
            due_ns = late + 1;
    }
    return due_ns;
}
