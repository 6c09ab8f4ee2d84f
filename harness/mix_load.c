/* SPDX-License-Identifier: MIT */
/* mix_load: threads that submit, wait in every way there is, cancel, let go; and how a task may end. */
#include "harness/mix.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define MANY 8
#define BIT(cause) (1u << (cause))

/* ---- what is submitted --------------------------------------------------------------------------------- */

/* Tiny ones mostly: what is seldom must not keep the workers busy. */
static enum hn_mix_kind pick_kind(uint64_t *random, bool is_thread)
{
    static const enum hn_mix_kind harmless[] = {HN_MIX_ECHO, HN_MIX_WORK, HN_MIX_DEAF, HN_MIX_SPIN,
                                                HN_MIX_FAIL, HN_MIX_EXIT, HN_MIX_BEAT};
    uint32_t dice = hn_mix_random(random, 400);
    if (dice < 200)
        return HN_MIX_ECHO;
    if (is_thread)
        return harmless[dice % (sizeof harmless / sizeof *harmless)];
    if (dice < 393)
        return (enum hn_mix_kind)hn_mix_random(random, HN_MIX_BEAT + 1);
    if (dice < 396)
        return HN_MIX_TREE;
    return dice < 399 ? HN_MIX_LEAK : HN_MIX_HOG;
}

static uint32_t pick_bytes(uint64_t *random)
{
    static const uint32_t below[] = {1, 40, 40, 2000, 20000, HN_MIX_BYTES_MAX};
    return hn_mix_random(random, below[hn_mix_random(random, 6)]);
}

static uint32_t sometimes(uint64_t *random, uint32_t one_in, uint32_t below)
{
    return hn_mix_random(random, one_in) ? 0 : 1 + hn_mix_random(random, below);
}

static bool has_threads(const struct hn_mix *mix)
{
    return mix->options.start == LIBPOOL_THREADS;
}

static void make_order(struct hn_mix_thread *thread, struct hn_mix_ticket *ticket)
{
    uint64_t *random = &thread->random;
    struct hn_mix_order *order = &ticket->input.order;
    bool is_thread = has_threads(thread->mix);
    *order = (struct hn_mix_order){.kind = pick_kind(random, is_thread),
                                   .is_thread = is_thread,
                                   .serial = hn_mix_random(random, 1u << 30),
                                   .code = 1 + (int)hn_mix_random(random, 100),
                                   .parts = sometimes(random, 4, 4),
                                   .bytes = pick_bytes(random)};
    order->says = thread->mix->options.tail_bytes ? 1 + order->serial : 0;
    if (order->kind != HN_MIX_ECHO && order->kind <= HN_MIX_BEAT)
        order->work_us = hn_mix_random(random, hn_mix_random(random, 8) ? 3000 : 40000);
    if (order->kind == HN_MIX_HOG)
        order->work_us = 200000;
    memset(order + 1, (int)(order->serial & 0xff), order->bytes);
}

static void name_task(struct hn_mix_thread *thread, libpool_task *task)
{
    struct hn_mix *mix = thread->mix;
    bool named = mix->options.start == LIBPOOL_SPAWN || !hn_mix_random(&thread->random, 4);
    task->function = named ? NULL : hn_mix_task;
    task->object = named ? mix->object : NULL;
    task->symbol = named ? "hn_mix_task" : NULL;
}

static uint32_t causes_of(const struct hn_mix *mix, const struct hn_mix_ticket *ticket)
{
    static const uint32_t own[HN_MIX_KINDS] = {
        [HN_MIX_FAIL] = BIT(LIBPOOL_ERROR),
        [HN_MIX_EXIT] = BIT(LIBPOOL_EXIT),
        [HN_MIX_CRASH] = BIT(LIBPOOL_CRASH),
        [HN_MIX_ABORT] = BIT(LIBPOOL_CRASH),
        [HN_MIX_HOG] = BIT(LIBPOOL_COMPLETED) | BIT(LIBPOOL_OOM) | BIT(LIBPOOL_MEMORY)};
    const libpool_task *task = &ticket->task;
    uint32_t causes = own[ticket->input.order.kind];
    if (task->flags & LIBPOOL_FILE || !causes)
        causes = BIT(LIBPOOL_COMPLETED);
    else if (!mix->options.memory_limit_bytes)
        causes &= ~(BIT(LIBPOOL_OOM) | BIT(LIBPOOL_MEMORY));
    causes |= BIT(LIBPOOL_KILLED) | BIT(LIBPOOL_SHUTDOWN);
    causes |= task->run_timeout_ms || task->heartbeat_timeout_ms ? BIT(LIBPOOL_TIMEOUT) : 0;
    causes |= task->memory_limit_bytes ? BIT(LIBPOOL_MEMORY)
                                       : 0; /* what others have leaked counts */
    causes |= task->queue_timeout_ms ? BIT(LIBPOOL_QUEUE_TIMEOUT) : 0;
    return causes | (task->group ? BIT(LIBPOOL_CANCELLED) : 0);
}

static bool is_refusal(int64_t code)
{
    return code == -ESHUTDOWN || code == -EAGAIN || code == -ETIMEDOUT;
}

/* ---- what is told of it -------------------------------------------------------------------------------- */

/* Uses the pool that tells, now and then. */
static void use_inside(struct hn_mix *mix)
{
    libpool_stats stats = {.size = sizeof stats};
    uint64_t killed;
    struct hn_mix_order order = {.kind = HN_MIX_ECHO};
    libpool_task task = {.size = sizeof task, .input = &order, .input_size = sizeof order};
    task.object = mix->object;
    task.symbol = "hn_mix_task";
    switch (hn_mix_random(&mix->random, 60)) {
    case 0: (void)libpool_cancel_group(mix->pool, 1, &killed); return;
    case 1: (void)libpool_stats_read(mix->pool, &stats); return;
    case 2: (void)libpool_dispatch(mix->pool); return;
    case 3: (void)libpool_drain(mix->pool, 2); return;
    case 4: hn_mix_pause(hn_mix_random(&mix->random, 5000)); return;
    case 5: break;
    default: return;
    }
    int code = libpool_submit(mix->pool, &task, (int)hn_mix_random(&mix->random, 3), NULL);
    HN_MIX_EXPECT(mix, code == 0 || is_refusal(code), "submit in a callback returned %d", code);
    atomic_fetch_add(&mix->submitted, code == 0);
    atomic_fetch_add(&mix->detached, code == 0);
}

static void hear_start(libpool_future *future, void *arg)
{
    struct hn_mix *mix = arg;
    HN_MIX_EXPECT(mix, atomic_fetch_add(&mix->inside, 1) == 0, "two callbacks at once");
    atomic_fetch_add(&mix->begun, 1);
    (void)libpool_future_result(future);
    use_inside(mix);
    atomic_fetch_sub(&mix->inside, 1);
}

static void hear_end(libpool_future *future, void *arg)
{
    struct hn_mix *mix = arg;
    const libpool_result *result = libpool_future_result(future);
    HN_MIX_EXPECT(mix, atomic_fetch_add(&mix->inside, 1) == 0, "two callbacks at once");
    HN_MIX_EXPECT(mix, result, "told of the end of one that has not ended");
    atomic_fetch_add(&mix->told, 1);
    if (result && result->task_id < HN_MIX_TASKS) {
        struct hn_mix_entry *entry = &mix->entries[result->task_id];
        HN_MIX_EXPECT(mix, !entry->told, "task %llu: told of its end twice",
                      (unsigned long long)result->task_id);
        entry->told = (uint8_t)result->cause;
    }
    use_inside(mix);
    atomic_fetch_sub(&mix->inside, 1);
}

static void ask_for_callbacks(struct hn_mix_thread *thread, libpool_task *task)
{
    struct hn_mix *mix = thread->mix;
    if (!(mix->options.flags & (LIBPOOL_CALLBACKS | LIBPOOL_NO_THREAD)))
        return;
    task->done = hn_mix_random(&thread->random, 2) ? hear_end : NULL;
    task->started = task->done && hn_mix_random(&thread->random, 2) ? hear_start : NULL;
    task->callback_arg = mix;
}

void hn_mix_audit_callbacks(struct hn_mix *mix)
{
    HN_MIX_EXPECT(mix, mix->asked == mix->told && mix->begun <= mix->told,
                  "%ld tasks with callbacks, %ld starts and %ld ends were told", mix->asked,
                  mix->begun, mix->told);
    for (uint32_t id = 0; id < HN_MIX_TASKS; id++) {
        const struct hn_mix_entry *entry = &mix->entries[id];
        HN_MIX_EXPECT(mix, !entry->told || !entry->ended || entry->told == entry->cause,
                      "task %u: told of cause %d, its event said %d", id, entry->told,
                      entry->cause);
    }
}

static void make_task(struct hn_mix_thread *thread, struct hn_mix_ticket *ticket)
{
    static const int signals[] = {0, SIGTERM, SIGUSR1};
    uint64_t *random = &thread->random;
    make_order(thread, ticket);
    libpool_task *task = &ticket->task;
    *task = (libpool_task){.size = sizeof *task,
                           .input = &ticket->input,
                           .input_size = sizeof ticket->input.order + ticket->input.order.bytes,
                           .priority = hn_mix_random(random, LIBPOOL_PRIORITIES),
                           .run_timeout_ms = sometimes(random, 4, 30),
                           .queue_timeout_ms = sometimes(random, 5, 50),
                           .grace_ms = sometimes(random, 3, 20),
                           .heartbeat_timeout_ms = sometimes(random, 6, 20),
                           .group = sometimes(random, 3, 4)};
    name_task(thread, task);
    bool is_thread = has_threads(thread->mix);
    task->soft_signal = task->grace_ms && !is_thread ? signals[hn_mix_random(random, 3)] : 0;
    task->memory_limit_bytes = is_thread ? 0 : sometimes(random, 10, 1) * UINT64_C(48) << 20;
    task->flags = hn_mix_random(random, 3) ? 0 : LIBPOOL_BORROW;
    if (!is_thread && !hn_mix_random(random, 20)) {
        task->flags = LIBPOOL_FILE | (hn_mix_random(random, 2) ? LIBPOOL_FILE_SHARED : 0);
        task->input = NULL;
        task->input_fd = thread->mix->file;
        task->input_size = HN_MIX_FILE_BYTES;
        ticket->input.order.parts = 0; /* as in the file */
    }
    ask_for_callbacks(thread, task);
    atomic_store(&ticket->possible, causes_of(thread->mix, ticket));
}

/* ---- how it may end ------------------------------------------------------------------------------------ */

/* A thread is always asked, and ends as that when it returns. */
static bool is_asked(const struct hn_mix *mix, const libpool_task *task)
{
    return task->grace_ms || has_threads(mix);
}

static void judge_certainty(struct hn_mix *mix, const libpool_task *task,
                            const libpool_result *result)
{
    bool ran = result->certainty == LIBPOOL_HAS_RUN;
    bool none = result->certainty == LIBPOOL_NOT_STARTED;
    bool held = true;
    if (result->cause == LIBPOOL_COMPLETED || result->cause == LIBPOOL_ERROR)
        held = ran;
    else if (result->cause == LIBPOOL_QUEUE_TIMEOUT)
        held = none;
    else if (result->cause == LIBPOOL_TIMEOUT)
        held = is_asked(mix, task) ? !none : !none && !ran;
    else if (result->cause == LIBPOOL_CRASH || result->cause == LIBPOOL_EXIT)
        held = !none && !ran;
    else if (ran)
        held = (result->cause == LIBPOOL_CANCELLED && is_asked(mix, task)) ||
               (result->cause == LIBPOOL_SHUTDOWN && has_threads(mix));
    HN_MIX_EXPECT(mix, held, "task %llu: %s with certainty %d: %s",
                  (unsigned long long)result->task_id, libpool_cause_name(result->cause),
                  (int)result->certainty, result->text);
}

static void judge_details(struct hn_mix *mix, const struct hn_mix_ticket *ticket,
                          const libpool_result *result)
{
    const struct hn_mix_order *order = &ticket->input.order;
    const libpool_task *task = &ticket->task;
    unsigned long long id = result->task_id;
    if (result->cause == LIBPOOL_COMPLETED && !(task->flags & LIBPOOL_FILE))
        HN_MIX_EXPECT(mix,
                      result->data_size == task->input_size &&
                          !memcmp(result->data, &ticket->input, result->data_size),
                      "task %llu: its %zu bytes are not those it was given", id, result->data_size);
    int code = result->cause == LIBPOOL_EXIT && order->is_thread ? EXIT_FAILURE : order->code;
    if (result->cause == LIBPOOL_ERROR || result->cause == LIBPOOL_EXIT)
        HN_MIX_EXPECT(mix, result->code == code, "task %llu: code %d, not %d: %s", id, result->code,
                      code, result->text);
    if (result->cause == LIBPOOL_KILLED)
        HN_MIX_EXPECT(mix, result->signal == SIGKILL, "task %llu: killed by signal %d: %s", id,
                      result->signal, result->text);
    if (result->cause == LIBPOOL_TIMEOUT && !task->heartbeat_timeout_ms)
        HN_MIX_EXPECT(mix, result->running_ns >= task->run_timeout_ms * UINT64_C(1000000),
                      "task %llu: timed out after %llu ns of %u ms", id,
                      (unsigned long long)result->running_ns, task->run_timeout_ms);
    HN_MIX_EXPECT(mix, strlen(result->text) < sizeof result->text, "task %llu: text", id);
}

/* All that its last run has sent, each as it should be. */
static void judge_parts(struct hn_mix *mix, struct hn_mix_ticket *ticket, bool completed)
{
    const struct hn_mix_order *order = &ticket->input.order;
    unsigned long long id = libpool_future_result(ticket->future)->task_id;
    const void *data;
    size_t size;
    uint32_t n = 0;
    int got;
    while ((got = libpool_future_part(ticket->future, &data, &size, 0)) == 1 && ++n)
        HN_MIX_EXPECT(mix, size == sizeof *order && !memcmp(data, order, size),
                      "task %llu: part %u is not what it sent", id, n);
    HN_MIX_EXPECT(mix, got == 0, "task %llu: its parts end with %d", id, got);
    HN_MIX_EXPECT(mix, n <= order->parts && (n == order->parts || !completed),
                  "task %llu: %u parts of %u", id, n, order->parts);
}

/* Who failed by itself has spoken before. */
static void judge_tail(struct hn_mix *mix, const struct hn_mix_ticket *ticket,
                       const libpool_result *result)
{
    char line[HN_MIX_LINE_BYTES];
    const struct hn_mix_order *order = &ticket->input.order;
    size_t size = (size_t)hn_mix_line(order, line);
    bool speaks = order->says && !(ticket->task.flags & LIBPOOL_FILE);
    bool spoke = speaks && (result->cause == LIBPOOL_ERROR || result->cause == LIBPOOL_EXIT ||
                            result->cause == LIBPOOL_CRASH);
    bool own = result->tail_size == size && memcmp(result->tail, line, size) == 0;
    bool may = speaks && own && result->cause != LIBPOOL_COMPLETED;
    HN_MIX_EXPECT(mix, result->tail_size ? may : !spoke, "task %llu: %s, its last words are %.*s",
                  (unsigned long long)result->task_id, libpool_cause_name(result->cause),
                  (int)result->tail_size, (const char *)result->tail);
}

void hn_mix_judge(struct hn_mix *mix, struct hn_mix_ticket *ticket)
{
    const libpool_result *result = libpool_future_result(ticket->future);
    uint32_t possible = atomic_load(&ticket->possible);
    if (atomic_load(&mix->zygote_killed))
        possible |= BIT(LIBPOOL_LOST);
    if (!result) {
        hn_mix_fail(mix, "a future has not ended (kind %d)", ticket->input.order.kind);
    } else {
        HN_MIX_EXPECT(mix, BIT(result->cause) & possible,
                      "task %llu of kind %d ended as %s (code %d, signal %d), of %#x: %s",
                      (unsigned long long)result->task_id, ticket->input.order.kind,
                      libpool_cause_name(result->cause), result->code, result->signal, possible,
                      result->text);
        judge_certainty(mix, &ticket->task, result);
        judge_details(mix, ticket, result);
        judge_parts(mix, ticket, result->cause == LIBPOOL_COMPLETED);
        judge_tail(mix, ticket, result);
        atomic_fetch_add(&mix->judged[result->cause], 1);
        if (result->task_id < HN_MIX_TASKS)
            mix->entries[result->task_id].judged = (uint8_t)result->cause;
    }
    libpool_future_free(ticket->future);
    ticket->future = NULL;
}

/* ---- one loader ---------------------------------------------------------------------------------------- */

static void fill_one(struct hn_mix_thread *thread, struct hn_mix_ticket *ticket)
{
    struct hn_mix *mix = thread->mix;
    libpool_future *future = NULL;
    make_task(thread, ticket);
    bool detached = !(ticket->task.flags & ~(uint32_t)LIBPOOL_FILE) &&
                    !hn_mix_random(&thread->random, 30);
    int timeout_ms = (int)hn_mix_random(&thread->random, 20);
    thread->doing = "submit";
    int code = libpool_submit(mix->pool, &ticket->task, timeout_ms, detached ? NULL : &future);
    HN_MIX_EXPECT(mix, code == 0 || is_refusal(code), "submit returned %d", code);
    HN_MIX_EXPECT(mix, (code != 0 || detached) == !future, "submit returned %d and a future", code);
    thread->refused = code == -ESHUTDOWN;
    atomic_fetch_add(&mix->submitted, code == 0);
    atomic_fetch_add(&mix->detached, code == 0 && detached);
    atomic_fetch_add(&mix->asked, code == 0 && ticket->task.done);
    ticket->future = future;
}

/* The locks of all `n` tickets are held for writing. */
static void fill_many(struct hn_mix_thread *thread, struct hn_mix_ticket *const *tickets,
                      uint32_t n)
{
    struct hn_mix *mix = thread->mix;
    libpool_task tasks[MANY];
    libpool_future *futures[MANY];
    for (uint32_t i = 0; i < n; i++) {
        make_task(thread, tickets[i]);
        tasks[i] = tickets[i]->task;
    }
    thread->doing = "submit_many";
    int64_t taken = libpool_submit_many(mix->pool, tasks, n,
                                        (int)hn_mix_random(&thread->random, 20), futures);
    HN_MIX_EXPECT(mix, taken > 0 ? taken <= n : is_refusal(taken), "submit_many returned %lld",
                  (long long)taken);
    for (uint32_t i = 0; i < n; i++) {
        HN_MIX_EXPECT(mix, (i < taken) == (futures[i] != NULL), "submit_many: future %u of %lld", i,
                      (long long)taken);
        tickets[i]->future = futures[i];
        atomic_fetch_add(&mix->asked, i < taken && tasks[i].done);
    }
    atomic_fetch_add(&mix->submitted, taken > 0 ? taken : 0);
}

static void fill(struct hn_mix_thread *thread, struct hn_mix_ticket *own)
{
    struct hn_mix_ticket *empty[MANY];
    uint32_t n = 0, most = hn_mix_random(&thread->random, 4) ? 1 : MANY;
    for (uint32_t i = 0; i < HN_MIX_TICKETS && n < most; i++)
        if (!own[i].future && pthread_rwlock_trywrlock(&own[i].lock) == 0)
            empty[n++] = &own[i];
    if (n == 1)
        fill_one(thread, empty[0]);
    else if (n > 1)
        fill_many(thread, empty, n);
    for (uint32_t i = 0; i < n; i++)
        (void)pthread_rwlock_unlock(&empty[i]->lock);
}

static void collect(struct hn_mix_thread *thread, struct hn_mix_ticket *ticket)
{
    thread->doing = "collect";
    if (!ticket->future || !libpool_future_result(ticket->future))
        return;
    (void)pthread_rwlock_wrlock(&ticket->lock);
    hn_mix_judge(thread->mix, ticket);
    (void)pthread_rwlock_unlock(&ticket->lock);
}

/* Nobody will judge it: a detached task from here on. */
static void let_go(struct hn_mix_thread *thread, struct hn_mix_ticket *ticket)
{
    thread->doing = "let go";
    if (!ticket->future || ticket->task.flags & LIBPOOL_BORROW)
        return;
    (void)pthread_rwlock_wrlock(&ticket->lock);
    libpool_future_free(ticket->future);
    ticket->future = NULL;
    atomic_fetch_add(&thread->mix->detached, 1);
    (void)pthread_rwlock_unlock(&ticket->lock);
}

static void wait_for_any(struct hn_mix_thread *thread, libpool_future *const *futures, uint32_t n)
{
    struct hn_mix *mix = thread->mix;
    int timeout_ms = (int)hn_mix_random(&thread->random, 15);
    if (hn_mix_random(&thread->random, 2)) {
        thread->doing = "wait_any";
        int64_t at = libpool_wait_any(futures, n, timeout_ms);
        HN_MIX_EXPECT(mix, at == -ETIMEDOUT || at == -ENOENT || (at >= 0 && at < n),
                      "wait_any returned %lld", (long long)at);
        if (at >= 0 && at < n)
            HN_MIX_EXPECT(mix, futures[at] && libpool_future_result(futures[at]),
                          "wait_any told of one that has not ended");
        return;
    }
    thread->doing = "wait_all";
    int code = libpool_wait_all(futures, n, timeout_ms);
    HN_MIX_EXPECT(mix, code == 0 || code == -ETIMEDOUT, "wait_all returned %d", code);
    for (uint32_t i = 0; code == 0 && i < n; i++)
        HN_MIX_EXPECT(mix, !futures[i] || libpool_future_result(futures[i]),
                      "wait_all left one out");
}

static void gather(struct hn_mix_thread *thread, libpool_future *const *futures, uint32_t n)
{
    struct hn_mix *mix = thread->mix;
    libpool_gather *gather;
    uint64_t seen = 0;
    thread->doing = "gather";
    int code = libpool_gather_open(&gather, futures, n);
    HN_MIX_EXPECT(mix, code == 0 || code == -ENOENT, "gather_open returned %d", code);
    for (uint32_t turns = hn_mix_random(&thread->random, n + 2); code == 0 && turns; turns--) {
        int64_t at = libpool_gather_next(gather, (int)hn_mix_random(&thread->random, 5));
        HN_MIX_EXPECT(mix, at == -ETIMEDOUT || at == -ENOENT || (at >= 0 && at < n),
                      "gather_next returned %lld", (long long)at);
        if (at < 0 || at >= n)
            continue;
        HN_MIX_EXPECT(mix, !(seen >> at & 1), "gathered twice");
        HN_MIX_EXPECT(mix, libpool_future_result(futures[at]), "gathered before it ended");
        seen |= UINT64_C(1) << at;
    }
    if (code == 0)
        libpool_gather_close(gather);
}

static void await(struct hn_mix_thread *thread, const struct hn_mix_ticket *own)
{
    libpool_future *futures[HN_MIX_TICKETS];
    for (uint32_t i = 0; i < HN_MIX_TICKETS; i++)
        futures[i] = own[i].future;
    uint32_t from = hn_mix_random(&thread->random, HN_MIX_TICKETS);
    uint32_t n = 1 + hn_mix_random(&thread->random, HN_MIX_TICKETS - from);
    if (hn_mix_random(&thread->random, 2))
        wait_for_any(thread, futures + from, n);
    else
        gather(thread, futures + from, n);
}

void hn_mix_load(struct hn_mix_thread *thread)
{
    struct hn_mix_ticket *own = thread->mix->tickets[thread->number];
    while (!atomic_load(&thread->mix->over)) {
        fill(thread, own);
        uint32_t dice = hn_mix_random(&thread->random, 16);
        if (dice == 0)
            let_go(thread, &own[hn_mix_random(&thread->random, HN_MIX_TICKETS)]);
        else if (dice < 6)
            await(thread, own);
        for (uint32_t i = 0; i < HN_MIX_TICKETS && dice > 3; i++)
            collect(thread, &own[i]);
        if (thread->refused)
            hn_mix_pause(500); /* it would only be refused again */
    }
}

/* ---- somebody else's futures --------------------------------------------------------------------------- */

static void cancel(struct hn_mix_thread *thread, struct hn_mix_ticket *ticket)
{
    struct hn_mix *mix = thread->mix;
    thread->doing = "cancel";
    atomic_fetch_or(&ticket->possible, BIT(LIBPOOL_CANCELLED));
    int code = libpool_future_cancel(ticket->future);
    const libpool_result *result = libpool_future_result(ticket->future);
    HN_MIX_EXPECT(mix, code >= LIBPOOL_CANCEL_DONE && code <= LIBPOOL_CANCEL_ASKED,
                  "cancel returned %d", code);
    HN_MIX_EXPECT(mix, result || code == LIBPOOL_CANCEL_ASKED, "cancel returned %d too early",
                  code);
    HN_MIX_EXPECT(mix, code != LIBPOOL_CANCEL_ASKED || is_asked(mix, &ticket->task),
                  "cancel asked one without a grace");
    if (result && (code == LIBPOOL_CANCEL_DEQUEUED || code == LIBPOOL_CANCEL_KILLED))
        HN_MIX_EXPECT(mix,
                      result->cause == LIBPOOL_CANCELLED || /* or was asked for another reason */
                          (is_asked(mix, &ticket->task) && result->cause == LIBPOOL_TIMEOUT),
                      "cancel returned %d, it ended as %s", code,
                      libpool_cause_name(result->cause));
}

static void read_progress(struct hn_mix_thread *thread, struct hn_mix_ticket *ticket)
{
    struct hn_mix *mix = thread->mix;
    libpool_progress progress = {.size = sizeof progress};
    thread->doing = "progress";
    int code = libpool_future_progress(ticket->future, &progress);
    HN_MIX_EXPECT(mix, code == 0 || code == -ENOENT || code == -EAGAIN, "progress returned %d",
                  code);
    if (code == 0)
        HN_MIX_EXPECT(
            mix,
            ticket->input.order.kind == HN_MIX_BEAT &&
                progress.total == ticket->input.order.work_us && progress.done < progress.total &&
                !strcmp(progress.text, "halfway, always"),
            "progress of a task of kind %d: %llu of %llu, %s", ticket->input.order.kind,
            (unsigned long long)progress.done, (unsigned long long)progress.total, progress.text);
}

static void wait_a_little(struct hn_mix_thread *thread, struct hn_mix_ticket *ticket)
{
    struct hn_mix *mix = thread->mix;
    thread->doing = "wait";
    int code = libpool_future_wait(ticket->future, (int)hn_mix_random(&thread->random, 4));
    HN_MIX_EXPECT(mix, code == 0 || code == -ETIMEDOUT, "wait returned %d", code);
    HN_MIX_EXPECT(mix, code != 0 || libpool_future_result(ticket->future),
                  "wait told it had ended");
}

void hn_mix_touch(struct hn_mix_thread *thread)
{
    while (!atomic_load(&thread->mix->over)) {
        struct hn_mix_ticket *ticket = &thread->mix->tickets[hn_mix_random(
            &thread->random, HN_MIX_LOADERS)][hn_mix_random(&thread->random, HN_MIX_TICKETS)];
        hn_mix_pause(hn_mix_random(&thread->random, 500));
        if (pthread_rwlock_tryrdlock(&ticket->lock))
            continue;
        uint32_t dice = hn_mix_random(&thread->random, 8);
        if (ticket->future && dice < 3)
            cancel(thread, ticket);
        else if (ticket->future && dice < 6)
            read_progress(thread, ticket);
        else if (ticket->future)
            wait_a_little(thread, ticket);
        (void)pthread_rwlock_unlock(&ticket->lock);
    }
}
