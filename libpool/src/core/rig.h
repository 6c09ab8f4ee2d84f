/* SPDX-License-Identifier: MIT */
/*
 * rig: for the tests of core/: a pool, a clock turned by hand, and a transcript of what the policy
 * has decided, in words:
 *
 *     struct rig rig;
 *     rig_open(&rig, &(struct lp_pool_config){.max_workers = 1});
 *     rig_submit(&rig, &(struct lp_task_spec){.priority = 3});
 *     CU_ASSERT_STRING_EQUAL(rig_said(&rig), "zygote-start; ");
 *
 * lp_pool_check() is asked after every call; once it fails, the transcript says so.
 */
#ifndef LP_CORE_RIG_H
#define LP_CORE_RIG_H

#include <string.h>

#include "base/text.h"
#include "core/pool.h"

#define RIG_SAID 8192

struct rig {
    struct lp_pool pool;
    uint64_t now_ns;
    uint64_t started_id; /* what workers say they have begun when a deadline of theirs passes */
    uint64_t beat_ns;    /* and when they gave their last sign of life */
    bool told_room;
    uint32_t answers; /* of calls, instead of actions */
    char said[RIG_SAID];
    char taken[RIG_SAID]; /* what rig_said gave */
    struct lp_text text;
    _Alignas(16) char memory[512 * 1024];
};

static inline void rig_open(struct rig *rig, const struct lp_pool_config *wanted)
{
    struct lp_pool_config config = *wanted;
    config.backlog_tasks = wanted->backlog_tasks ? wanted->backlog_tasks : 10;
    config.backlog_bytes = wanted->backlog_bytes ? wanted->backlog_bytes : 1000;
    config.idle_timeout_ns = wanted->idle_timeout_ns ? wanted->idle_timeout_ns : 1000 * LP_MS;
    config.start_timeout_ns = 10000 * LP_MS;
    config.initializer_timeout_ns = 60000 * LP_MS;
    config.finalizer_timeout_ns = 5000 * LP_MS;
    config.initializer_failures = wanted->initializer_failures ? wanted->initializer_failures : 5;
    config.backoff_min_ns = 10 * LP_MS;
    config.backoff_max_ns = 1000 * LP_MS;
    memset(rig, 0, sizeof *rig);
    rig->now_ns = 1000 * LP_MS;
    rig->text = lp_text_begin(rig->said, sizeof rig->said);
    if (lp_pool_bytes(&config) <= sizeof rig->memory)
        lp_pool_init(&rig->pool, &config, rig->memory);
}

/* Since the last time it was asked. */
static inline const char *rig_said(struct rig *rig)
{
    memcpy(rig->taken, rig->said, sizeof rig->said);
    rig->text = lp_text_begin(rig->said, sizeof rig->said);
    return rig->taken;
}

static inline void rig_say_slot(struct rig *rig, const struct lp_action *action)
{
    lp_text_add(&rig->text, " ");
    lp_text_add_number(&rig->text, action->slot);
    lp_text_add(&rig->text, ".");
    lp_text_add_number(&rig->text, action->generation);
}

static inline void rig_say_end(struct rig *rig, uint32_t index)
{
    static const char *const certainties[] = {"not-started", "may-have-run", "has-run"};
    const struct lp_task *task = &rig->pool.tasks.table[index];
    lp_text_add(&rig->text, " ");
    lp_text_add_number(&rig->text, (int64_t)task->id);
    lp_text_add(&rig->text, " ");
    lp_text_add(&rig->text, libpool_cause_name(task->outcome.cause));
    lp_text_add(&rig->text, " ");
    lp_text_add(&rig->text, certainties[task->outcome.certainty]);
}

static inline void rig_say(struct rig *rig, const struct lp_action *action)
{
    static const char *const names[LP_ACTIONS] = {
        "spawn", "assign", "retire", "ask",          "kill",        "clean",
        "weigh", "end",    "room",   "zygote-start", "zygote-drop", "note",
        "down",  "retry",  "resume", "sample",       "want",        "give"};
    if (action->kind == LP_ACTION_ROOM)
        return; /* said so often that it would hide the rest: told_room */
    bool ahead = action->kind == LP_ACTION_ASSIGN &&
                 rig->pool.tasks.table[action->task].state == LP_TASK_PREFETCHED;
    lp_text_add(&rig->text, ahead ? "ahead" : names[action->kind]);
    if (action->kind == LP_ACTION_ASSIGN || action->kind == LP_ACTION_RETRY ||
        action->kind == LP_ACTION_RESUME) {
        lp_text_add(&rig->text, " ");
        lp_text_add_number(&rig->text, (int64_t)rig->pool.tasks.table[action->task].id);
    }
    if (action->kind == LP_ACTION_WANT || action->kind == LP_ACTION_GIVE) {
        lp_text_add(&rig->text, " ");
        lp_text_add_number(&rig->text, action->count);
    }
    if (action->kind == LP_ACTION_NOTE) {
        lp_text_add(&rig->text, " ");
        lp_text_add(&rig->text, libpool_event_name(action->note.kind));
    } else if (action->kind == LP_ACTION_END) {
        rig_say_end(rig, action->task);
    } else if (action->kind <= LP_ACTION_WEIGH) {
        rig_say_slot(rig, action);
    }
    lp_text_add(&rig->text, "; ");
}

/* Performs as the supervisor does, only that nothing happens. */
static inline void rig_perform(struct rig *rig)
{
    struct lp_pool *pool = &rig->pool;
    if (!lp_pool_check(pool))
        lp_text_add(&rig->text, "BROKEN; ");
    for (uint32_t i = 0; i < pool->n_actions; i++) {
        rig->told_room = rig->told_room || pool->actions[i].kind == LP_ACTION_ROOM;
        rig_say(rig, &pool->actions[i]);
        if (pool->actions[i].kind == LP_ACTION_END)
            lp_pool_release(pool, pool->actions[i].task);
    }
    pool->n_actions = 0;
}

static inline void rig_step(struct rig *rig, struct lp_event event)
{
    event.now_ns = rig->now_ns;
    lp_pool_step(&rig->pool, &event);
    rig_perform(rig);
}

/* What a call has answered instead of an action. */
static inline void rig_answered(struct rig *rig, enum lp_action_kind kind, uint32_t slot,
                                uint32_t task)
{
    struct lp_action action = {.kind = kind, .slot = slot, .task = task};
    action.generation = rig->pool.workers[slot].generation;
    rig_say(rig, &action);
    rig->answers++;
}

/* About the worker that is in the slot now. */
static inline struct lp_event rig_about(const struct rig *rig, uint32_t slot, struct lp_event event)
{
    event.slot = slot;
    event.generation = rig->pool.workers[slot].generation;
    event.now_ns = rig->now_ns;
    if (event.kind == LP_EVENT_RESULT && event.started_id == 0)
        event.started_id = event.task_id; /* what a worker has a result of, it has begun */
    return event;
}

static inline void rig_tell(struct rig *rig, uint32_t slot, struct lp_event event)
{
    rig_step(rig, rig_about(rig, slot, event));
}

/* Without settling; nothing is performed until rig_settle, or another call. */
static inline void rig_tell_only(struct rig *rig, uint32_t slot, struct lp_event event)
{
    event = rig_about(rig, slot, event);
    uint32_t ended = lp_pool_tell(&rig->pool, &event);
    if (ended == LP_NONE)
        return;
    rig_answered(rig, LP_ACTION_END, slot, ended);
    lp_pool_release(&rig->pool, ended);
}
#define RIG_TELL_ONLY(rig, slot, event_kind, ...) \
    rig_tell_only((rig), (slot), (struct lp_event){.kind = LP_EVENT_##event_kind, ##__VA_ARGS__})

static inline void rig_settle(struct rig *rig)
{
    lp_pool_settle(&rig->pool, rig->now_ns);
    rig_perform(rig);
}
#define RIG_TELL(rig, slot, event_kind, ...) \
    rig_tell((rig), (slot), (struct lp_event){.kind = LP_EVENT_##event_kind, ##__VA_ARGS__})
#define RIG_STEP(rig, event_kind, ...) \
    rig_step((rig), (struct lp_event){.kind = LP_EVENT_##event_kind, ##__VA_ARGS__})

/* 0 or an error; the task's number is one more than that of the task before. */
static inline int rig_submit(struct rig *rig, const struct lp_task_spec *spec)
{
    uint32_t index;
    int error = lp_pool_submit(&rig->pool, spec, rig->now_ns, &index);
    if (error == LP_POOL_SENT)
        rig_answered(rig, LP_ACTION_ASSIGN, rig->pool.tasks.table[index].slot, index);
    rig_perform(rig);
    return error == LP_POOL_SENT ? 0 : error;
}
#define RIG_SUBMIT(rig, ...) rig_submit((rig), &(struct lp_task_spec){.user = NULL, ##__VA_ARGS__})

/* By its number. */
static inline enum lp_cancel rig_cancel(struct rig *rig, uint64_t id)
{
    uint32_t index = 0;
    while (rig->pool.tasks.table[index].id != id)
        index++;
    enum lp_cancel done = lp_pool_cancel(&rig->pool, index, rig->now_ns);
    rig_perform(rig);
    return done;
}

/* Time passes; what is due on the way happens as the supervisor's timer would make it. */
static inline void rig_pass(struct rig *rig, uint64_t ms)
{
    uint64_t until_ns = rig->now_ns + ms * LP_MS;
    while (lp_pool_next_deadline(&rig->pool) <= until_ns || rig->pool.more) {
        if (!rig->pool.more && lp_pool_next_deadline(&rig->pool) > rig->now_ns)
            rig->now_ns = lp_pool_next_deadline(&rig->pool);
        uint32_t slot = lp_pool_due(&rig->pool, rig->now_ns);
        if (slot == LP_NONE)
            RIG_STEP(rig, TICK);
        else if (lp_pool_holds_prefetched(&rig->pool, slot))
            RIG_TELL(rig, slot, RECALLED, .started_id = rig->started_id, .beat_ns = rig->beat_ns);
        else
            RIG_TELL(rig, slot, DEADLINE, .started_id = rig->started_id, .beat_ns = rig->beat_ns);
    }
    rig->now_ns = until_ns;
}

static inline uint32_t rig_in(const struct rig *rig, enum lp_worker_state state)
{
    return rig->pool.in_state[state];
}

static inline libpool_stats rig_stats(const struct rig *rig)
{
    libpool_stats stats = {.size = sizeof stats};
    lp_pool_stats(&rig->pool, &stats);
    return stats;
}

/* A zygote that is up; workers 0..n - 1 that are ready. Says nothing. */
static inline void rig_raise(struct rig *rig, uint32_t n)
{
    RIG_STEP(rig, TICK);
    RIG_STEP(rig, ZYGOTE_UP, .pid = 100, .weighs = rig->pool.config.memory_limit_bytes != 0);
    for (uint32_t slot = 0; slot < n; slot++) {
        RIG_TELL(rig, slot, SPAWNED, .pid = 101 + (int)slot);
        RIG_TELL(rig, slot, READY);
    }
    rig_said(rig);
}

#endif
