/* SPDX-License-Identifier: MIT */
/* run_convert: the scenario's words into the harness's. Two enums, one order: asserted below. */
#include <errno.h>
#include <stdio.h>

#include "chaos/run_inner.h"

_Static_assert((int)CH_TASK_KINDS == (int)HN_TASK_KINDS, "task kinds");
_Static_assert((int)CH_TASK_NOOP == (int)HN_TASK_NOOP, "task kinds");
_Static_assert((int)CH_TASK_ECHO == (int)HN_TASK_ECHO, "task kinds");
_Static_assert((int)CH_TASK_STACK_OVERFLOW == (int)HN_TASK_STACK_OVERFLOW, "task kinds");
_Static_assert((int)CH_TASK_GRANDCHILD == (int)HN_TASK_GRANDCHILD, "task kinds");
_Static_assert((int)CH_TASK_KILL_SELF == (int)HN_TASK_KILL_SELF, "task kinds");
_Static_assert((int)CH_TASK_EMIT == (int)HN_TASK_EMIT, "task kinds");
_Static_assert((int)CH_TASK_TRESPASS == (int)HN_TASK_TRESPASS, "task kinds");
_Static_assert((int)CH_TRESPASS_FORK == (int)HN_TRESPASS_FORK, "trespasses");
_Static_assert((int)CH_TASK_CALL == (int)HN_TASK_CALL, "task kinds");
_Static_assert((int)CH_GRANDCHILD_IGNORE_TERM == (int)HN_STYLE_IGNORE_TERM, "styles");
_Static_assert((int)CH_GRANDCHILD_HOLD_FDS == (int)HN_STYLE_HOLD_FDS, "styles");
_Static_assert((int)CH_END_SEGV == (int)HN_END_SEGV, "ends");
_Static_assert((int)CH_CALLBACKS == (int)HN_CALLBACKS, "callbacks");
_Static_assert((int)CH_CALLBACK_EXIT0 == (int)HN_CALLBACK_EXIT0, "callbacks");
_Static_assert((int)CH_CALLBACK_REENTER == (int)HN_CALLBACK_REENTER, "callbacks");
_Static_assert((int)CH_SABOTAGE_LOSE_END == (int)HN_SABOTAGE_LOSE_END, "sabotages");
_Static_assert((int)CH_SABOTAGE_NO_PROBE == (int)HN_SABOTAGE_NO_PROBE, "sabotages");
_Static_assert((int)CH_SABOTAGES == (int)HN_SABOTAGES, "sabotages");
_Static_assert((int)CH_INPUT_FILE_SHARED == (int)HN_INPUT_FILE_SHARED, "inputs");
_Static_assert((int)CH_BATCH_IN_ORDER == (int)HN_BATCH_IN_ORDER, "batches");
_Static_assert((int)CH_TELLING_STALL == (int)HN_TELLING_STALL, "tellings");
_Static_assert(CH_SCENARIO_AWAITED <= HN_WAITERS_MAX, "a waiter each");
_Static_assert((int)CH_SIGNAL_HANDLER == (int)HN_DISPOSITION_HANDLER, "dispositions");

static struct hn_group group_of(const struct ch_submit *submit)
{
    return (struct hn_group){
        .count = submit->count,
        .kind = (enum hn_task_kind)submit->kind,
        .work_us = submit->work_us,
        .code = submit->code,
        .bytes = submit->bytes,
        .signal = submit->signal,
        .style = (enum hn_style)submit->style,
        .end = (enum hn_end)submit->end,
        .priority = submit->priority,
        .run_timeout_ms = submit->run_timeout_ms,
        .queue_timeout_ms = submit->queue_timeout_ms,
        .heartbeat_timeout_ms = submit->heartbeat_timeout_ms,
        .grace_ms = submit->grace_ms,
        .soft_signal = submit->soft_signal,
        .wait_ms = submit->wait_ms == CH_FOR_EVER ? -1 : (int)submit->wait_ms,
        .ordered = submit->ordered,
        .children = submit->children,
        .retries = submit->retries,
        .retry_causes = submit->retry_causes,
        .retry_min_ms = submit->retry_min_ms,
        .retry_max_ms = submit->retry_max_ms,
        .works_at = submit->works_at,
        .family = submit->family,
        .memory_limit_bytes = submit->memory_limit_bytes,
        .parts = submit->parts,
        .take_late = submit->take_late,
        .many = submit->many,
        .wears = submit->wears,
        .gathered = submit->gathered,
        .trespass = (enum hn_trespass)submit->trespass,
        .input = (enum hn_input)submit->input,
        .batch = (enum hn_batch)submit->batch,
        .halt_failures = submit->halt_failures,
        .awaited = submit->kind == CH_TASK_EMIT,
        .subs = submit->subs,
        .depth = submit->depth,
        .client = submit->client,
    };
}

static const char *const denied_calls[CH_DENIEDS] = {
    [CH_DENIED_CLONE3] = "clone3",
    [CH_DENIED_CLOSE_RANGE] = "close_range",
    [CH_DENIED_PIDFD_OPEN] = "pidfd_open",
    [CH_DENIED_PIDFD_SEND_SIGNAL] = "pidfd_send_signal",
    [CH_DENIED_MEMFD_CREATE] = "memfd_create",
    [CH_DENIED_EVENTFD2] = "eventfd2",
    [CH_DENIED_TIMERFD_CREATE] = "timerfd_create",
    [CH_DENIED_EPOLL_CREATE1] = "epoll_create1",
    [CH_DENIED_FUTEX_WAITV] = "futex_waitv",
    [CH_DENIED_MEMBARRIER] = "membarrier",
    [CH_DENIED_MKDIR] = "mkdir",
    [CH_DENIED_PRCTL] = "prctl",
};

static void deny(struct hn_target_options *target, const struct ch_host *host)
{
    struct hn_denial *denial = &target->denials[0];
    if (host->denied == CH_DENIED_NONE)
        return;
    snprintf(denial->call, sizeof denial->call, "%s", denied_calls[host->denied]);
    denial->error = host->denied_errno ? host->denied_errno : ENOSYS;
    target->denials_count = 1;
}

static libpool_options options_of(const struct ch_pool *pool)
{
    return (libpool_options){
        .flags = (pool->exclusive ? LIBPOOL_EXCLUSIVE : 0u) |
                 (pool->no_cgroup ? LIBPOOL_NO_CGROUP : 0u) | (pool->trace ? LIBPOOL_TRACE : 0u) |
                 (pool->driven ? LIBPOOL_NO_THREAD : 0u) |
                 ((pool->telling || pool->clients) && !pool->driven ? LIBPOOL_CALLBACKS : 0u),
        .start = pool->start,
        .min_workers = pool->min_workers,
        .max_workers = pool->max_workers,
        .spare_workers = pool->spare_workers,
        .waiting_workers = pool->waiting_workers,
        .idle_timeout_ms = pool->idle_timeout_ms,
        .ageing_ms = pool->ageing_ms,
        .tasks_per_worker = pool->tasks_per_worker,
        .backlog_tasks = pool->backlog_tasks,
        .backlog_bytes = pool->backlog_bytes,
        .start_timeout_ms = pool->start_timeout_ms,
        .initializer_timeout_ms = pool->initializer_timeout_ms,
        .finalizer_timeout_ms = pool->finalizer_timeout_ms,
        .initializer_failures = pool->initializer_failures,
        .backoff_min_ms = pool->backoff_min_ms,
        .backoff_max_ms = pool->backoff_max_ms,
        .max_age_ms = pool->max_age_ms,
        .recycle_jitter_percent = pool->recycle_jitter,
        .memory_limit_bytes = pool->memory_limit_bytes,
        .recycle_bytes = pool->recycle_bytes,
        .trim_bytes = pool->trim_bytes,
        .retry_percent = pool->retry_percent,
        .quarantine_deaths = pool->quarantine_deaths,
        .quarantine_ms = pool->quarantine_ms,
        .admit_free_bytes = pool->admit_free_bytes,
        .admit_pressure = pool->admit_pressure,
    };
}

static struct hn_outfit outfit_of(const struct ch_pool *pool)
{
    return (struct hn_outfit){
        .variables = pool->variables,
        .nice = pool->nice,
        .stdio = pool->stdio,
        .deal_cpus = pool->deal_cpus,
        .no_core = pool->no_core,
        .limit_as = pool->limit_as,
        .directory_late = pool->directory_late,
    };
}

static const char *const sandbox_names[CH_SANDBOXES] = {
    [CH_SANDBOX_NO_NETWORK] = "no-network",
    [CH_SANDBOX_NO_EXEC] = "no-exec",
    [CH_SANDBOX_COMPUTE] = "compute",
};

/* What the workers' sandbox forbids; "compute" forbids it all. */
static void mark_forbidden(struct ch_run *run)
{
    enum ch_sandbox sandbox = run->scenario->pool.sandbox;
    for (size_t i = 0; i < run->scenario->submits_count; i++) {
        struct hn_group *group = &run->groups[i];
        bool network = sandbox == CH_SANDBOX_NO_NETWORK && group->trespass == HN_TRESPASS_SOCKET;
        bool program = sandbox == CH_SANDBOX_NO_EXEC && group->trespass == HN_TRESPASS_EXEC;
        group->forbidden = group->kind == HN_TASK_TRESPASS &&
                           (network || program || sandbox == CH_SANDBOX_COMPUTE);
    }
}

/* What a worker's limit leaves no room for. */
static void mark_too_large(struct ch_run *run)
{
    uint64_t limit_as = run->scenario->pool.limit_as;
    for (size_t i = 0; i < run->scenario->submits_count; i++)
        run->groups[i].too_large = limit_as && run->groups[i].kind == HN_TASK_HOG &&
                                   run->groups[i].bytes >= limit_as;
}

int ch_convert(struct ch_run *run)
{
    const struct ch_scenario *scenario = run->scenario;
    if (scenario->submits_count >= HN_PROBE_GROUP || scenario->steps_count > CH_STEPS_MAX ||
        scenario->names_count > CH_BINDINGS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < scenario->submits_count; i++)
        run->groups[i] = group_of(&scenario->submits[i]);
    for (size_t i = 0; i < scenario->expectations_count; i++) {
        const struct ch_expectation *expectation = &scenario->expectations[i];
        if (expectation->kind == CH_EXPECT_TASK && expectation->task.late_us != CH_UNSET)
            run->groups[expectation->task.submit].awaited = true;
    }
    run->target = (struct hn_target_options){
        .world = run->world,
        .pool = options_of(&scenario->pool),
        .governor_limit = scenario->pool.governor,
        .initializer = (enum hn_callback)scenario->pool.initializer,
        .initializer_fails = scenario->pool.initializer_fails,
        .finalizer = (enum hn_callback)scenario->pool.finalizer,
        .sigchld = (enum hn_disposition)scenario->host.sigchld,
        .sigpipe = (enum hn_disposition)scenario->host.sigpipe,
        .thief = scenario->host.thief,
        .nofile = scenario->host.nofile,
        .groups = run->groups,
        .groups_count = (uint32_t)scenario->submits_count,
        .groups_in_load = (uint32_t)scenario->submits_in_load,
        .sabotage = (enum hn_sabotage)scenario->host.sabotage,
        .outfit = outfit_of(&scenario->pool),
        .telling = (enum hn_telling)scenario->pool.telling,
        .driven = scenario->pool.driven,
        .neighbour = scenario->pool.neighbour,
        .clients = scenario->pool.clients,
        .client_policy = scenario->pool.client_policy,
        .client_stall_ms = scenario->pool.client_stall_ms,
        .client_window = scenario->pool.client_window,
        .event_buffer = scenario->pool.event_buffer,
        .sandbox = sandbox_names[scenario->pool.sandbox],
        .reader_stalls = scenario->host.reader_stalls,
        .asides = scenario->host.asides,
    };
    mark_too_large(run);
    mark_forbidden(run);
    deny(&run->target, &scenario->host);
    return 0;
}
