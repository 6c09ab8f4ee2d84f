/* SPDX-License-Identifier: MIT */
/*
 * submit: tasks on their way in, one by one or many under one lock.
 *
 * A small input is copied into its future, a large one before the lock is taken. A submitting thread
 * steps the core itself: an idle worker has the task before this returns.
 */
#include <libpool.h>

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "door.h"
#include "os/pages.h"
#include "supervisor.h"

#define TAKE_EVERY \
    128          /* tasks: who submits without ever waiting looks at the results now and then */
#define BATCH 64 /* tasks handed over before the lock is given up */

static int check_task(const libpool *pool, const libpool_task *task)
{
    if (!task->function || task->priority >= LIBPOOL_PRIORITIES ||
        (task->input_size && !task->input) || (task->flags & ~(uint32_t)LIBPOOL_BORROW))
        return -EINVAL;
    return task->input_size > pool->options.backlog_bytes ? -E2BIG : 0;
}

static int read_task(const libpool *pool, libpool_task *task, const libpool_task *given)
{
    int error = given ? lp_door_copy(task, sizeof *task, given, given->size) : -EINVAL;
    return error ? error : check_task(pool, task);
}

static int copy_input(libpool *pool, const libpool_task *task, unsigned char **copy)
{
    *copy = NULL;
    if (task->input_size <= LP_FUTURE_SMALL || (task->flags & LIBPOOL_BORROW))
        return 0;
    *copy = lp_alloc(&pool->allocator, task->input_size);
    if (!*copy)
        return -ENOMEM;
    if (!pool->allocator.allocate)
        lp_pages_will_fill(*copy, task->input_size);
    memcpy(*copy, task->input, task->input_size);
    return 0;
}

/* ---- with the lock held --------------------------------------------------------------------- */

static struct lp_task_spec make_spec(const libpool_task *task, libpool_future *future)
{
    return (struct lp_task_spec){.priority = task->priority,
                                 .bytes = task->input_size,
                                 .run_timeout_ns = task->run_timeout_ms * LP_MS,
                                 .queue_timeout_ns = task->queue_timeout_ms * LP_MS,
                                 .user = future};
}

static void perform(libpool *pool)
{
    if (pool->core.n_actions || pool->core.more)
        lp_supervisor_perform(pool);
}

/* Into the core, waiting for room until the deadline (0: not at all). */
static int hand_over(libpool *pool, const struct lp_task_spec *spec, uint64_t deadline_ns,
                     uint32_t *index)
{
    for (;;) {
        int error = lp_pool_submit(&pool->core, spec, lp_supervisor_now(), index);
        perform(pool);
        if (error != -EAGAIN)
            return error;
        if (lp_supervisor_take(pool))
            continue; /* what has ended by now makes room */
        if (!lp_supervisor_await(pool, deadline_ns))
            return deadline_ns ? -ETIMEDOUT : -EAGAIN;
    }
}

static void count(libpool *pool, uint32_t tasks)
{
    uint32_t before = pool->submits / TAKE_EVERY;
    pool->submits += tasks;
    if (pool->has_thread && pool->submits / TAKE_EVERY != before)
        (void)lp_supervisor_take(pool);
}

/* Gives back both shares of a future that the pool did not take. */
static int refuse(libpool *pool, libpool_future *future, int error)
{
    if (future) {
        lp_pool_reject(&pool->core);
        lp_future_drop(future);
        lp_future_drop(future);
    }
    return error;
}

static int submit_one(libpool *pool, const libpool_task *task, unsigned char *input,
                      uint64_t deadline_ns, libpool_future **out)
{
    libpool_future *future = lp_future_new(pool, task, input);
    if (!future) {
        lp_release(&pool->allocator, input, task->input_size);
        return -ENOMEM;
    }
    struct lp_task_spec spec = make_spec(task, future);
    int error = hand_over(pool, &spec, deadline_ns, &future->task);
    if (error)
        return refuse(pool, future, error);
    if (out)
        *out = future;
    else
        lp_future_drop(future);
    return 0;
}

/* ---- the doors ------------------------------------------------------------------------------ */

static uint64_t deadline_of(int timeout_ms)
{
    return timeout_ms == 0 ? 0 : lp_door_deadline(timeout_ms);
}

int libpool_submit(libpool *pool, const libpool_task *given, int timeout_ms, libpool_future **out)
{
    libpool_task task;
    unsigned char *input;
    if (out)
        *out = NULL;
    int error = lp_door_check(pool);
    if (!error)
        error = read_task(pool, &task, given);
    if (!error)
        error = copy_input(pool, &task, &input);
    if (error)
        return error;
    uint64_t deadline_ns = deadline_of(timeout_ms);
    pthread_mutex_lock(&pool->lock);
    error = submit_one(pool, &task, input, deadline_ns, out);
    count(pool, 1);
    pthread_mutex_unlock(&pool->lock);
    return error;
}

static const libpool_task *task_at(const libpool_task *tasks, size_t i)
{
    return (const libpool_task *)(const void *)((const char *)tasks + i * tasks->size);
}

/* One of a batch, into the core only if there is room; what follows is settled for the whole batch. */
static int add_one(libpool *pool, const libpool_task *given, uint64_t now_ns, libpool_future **out)
{
    libpool_task task;
    unsigned char *input;
    int error = read_task(pool, &task, given);
    if (!error)
        error = copy_input(pool, &task, &input);
    if (error)
        return error;
    libpool_future *future = lp_future_new(pool, &task, input);
    if (!future) {
        lp_release(&pool->allocator, input, task.input_size);
        return -ENOMEM;
    }
    struct lp_task_spec spec = make_spec(&task, future);
    error = lp_pool_add(&pool->core, &spec, now_ns, &future->task);
    if (error) {
        lp_future_drop(future);
        lp_future_drop(future);
        return error;
    }
    if (out)
        *out = future;
    else
        lp_future_drop(future);
    return 0;
}

/* How many of up to BATCH tasks were taken; *error tells why not all. */
static uint32_t add_batch(libpool *pool, const libpool_task *tasks, size_t from, size_t n,
                          libpool_future **out, int *error)
{
    uint64_t now_ns = lp_supervisor_now();
    uint32_t added = 0;
    *error = 0;
    while (added < BATCH && from + added < n && !*error) {
        size_t i = from + added;
        *error = add_one(pool, task_at(tasks, i), now_ns, out ? &out[i] : NULL);
        added += *error == 0;
    }
    lp_pool_settle(&pool->core, now_ns);
    lp_supervisor_perform(pool);
    count(pool, added);
    return added;
}

static size_t submit_all(libpool *pool, const libpool_task *tasks, size_t n, uint64_t deadline_ns,
                         libpool_future **out, int *error)
{
    size_t done = 0;
    while (done < n) {
        done += add_batch(pool, tasks, done, n, out, error);
        if (*error == -EAGAIN && lp_supervisor_take(pool))
            continue;
        if (*error == -EAGAIN && lp_supervisor_await(pool, deadline_ns))
            continue;
        if (*error)
            break;
        pthread_mutex_unlock(&pool->lock); /* others may have something to hand over, too */
        pthread_mutex_lock(&pool->lock);
    }
    return done;
}

int64_t libpool_submit_many(libpool *pool, const libpool_task *tasks, size_t n, int timeout_ms,
                            libpool_future **out)
{
    int error = lp_door_check(pool);
    if (error)
        return error;
    if (n > INT64_MAX || (n && (!tasks || tasks->size < sizeof(size_t))))
        return -EINVAL;
    for (size_t i = 0; out && i < n; i++)
        out[i] = NULL;
    uint64_t deadline_ns = deadline_of(timeout_ms);
    pthread_mutex_lock(&pool->lock);
    size_t done = submit_all(pool, tasks, n, deadline_ns, out, &error);
    if (done < n)
        lp_pool_reject(&pool->core);
    pthread_mutex_unlock(&pool->lock);
    if (error == -EAGAIN && deadline_ns)
        error = -ETIMEDOUT;
    return done || !error ? (int64_t)done : error;
}
