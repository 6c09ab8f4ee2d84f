/* SPDX-License-Identifier: MIT */
/*
 * submit: tasks on their way in, one by one or many under one lock.
 *
 * A small input is copied into its future, a large one before the lock is taken. A submitting thread
 * steps the core itself: an idle worker has the task before this returns.
 */
#include <libpool.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rare.h"
#include "door.h"
#include "os/load.h"
#include "os/pages.h"
#include "retries.h"
#include "submit.h"
#include "supervisor.h"
#include "sys/sys.h"

#define TAKE_EVERY \
    128 /* tasks: who submits without ever waiting looks at the results now and then */

#define LIBC_SIGNALS 32 /* the first real-time ones, up to SIGRTMIN */

/* Not what the worker will find there, but most mistakes. */
static int check_file(const libpool_task *task)
{
    struct stat file;
    if (task->input || !task->input_size || (task->flags & LIBPOOL_BORROW))
        return -EINVAL;
    int error = lp_sys.fstat(task->input_fd, &file);
    if (error)
        return error;
    return file.st_size >= 0 && (uint64_t)file.st_size >= task->input_size ? 0 : -EINVAL;
}

/* Neither what can't be handled nor what libc keeps for itself. */
static bool may_be_sent(int number)
{
    bool libcs = number >= LIBC_SIGNALS && number < SIGRTMIN;
    return number > 0 && number <= SIGRTMAX && number != SIGKILL && number != SIGSTOP && !libcs;
}

/* Exactly one of a pointer and a name; a pointer means nothing to a program of its own. */
static int check_function(const libpool *pool, const libpool_task *task)
{
    if (!task->symbol)
        return task->function && !task->object && pool->start.method != LIBPOOL_SPAWN ? 0 : -EINVAL;
    if (task->function || !task->object || !task->symbol[0])
        return -EINVAL;
    return lp_load_name_size(task->object, task->symbol) ? 0 : -ENAMETOOLONG;
}

/* What nobody could keep is not promised. */
static int check_memory_limit(const libpool *pool, uint64_t limit_bytes)
{
    if (limit_bytes && limit_bytes < LP_MEMORY_LIMIT_LEAST)
        return -EINVAL;
    return limit_bytes && !pool->can_weigh ? -ENOTSUP : 0;
}

/* It asks for nothing that needs more than a look: what most tasks are, in a fraction of the time. */
static bool is_plain(const libpool_task *task)
{
    uint32_t asks = task->flags | task->grace_ms | (uint32_t)task->soft_signal | task->retries |
                    task->retry_causes | task->retry_min_ms | task->retry_max_ms;
    bool named = task->object || task->symbol, calls = task->started || task->done;
    return !asks && !named && !calls && !task->memory_limit_bytes;
}

static int check_plain(const libpool *pool, const libpool_task *task)
{
    if (task->priority >= LIBPOOL_PRIORITIES || !task->function ||
        (task->input_size && !task->input) || pool->start.method == LIBPOOL_SPAWN)
        return -EINVAL;
    return task->input_size > pool->options.backlog_bytes ? -E2BIG : 0;
}

static LP_RARE int check_special(const libpool *pool, const libpool_task *task)
{
    const uint32_t known = LIBPOOL_BORROW | LIBPOOL_FILE | LIBPOOL_FILE_SHARED | LIBPOOL_DROP_PARTS;
    bool threads = pool->start.method == LIBPOOL_THREADS;
    if (task->priority >= LIBPOOL_PRIORITIES || (task->flags & ~known))
        return -EINVAL;
    if ((task->started || task->done) && !lp_callbacks_accepts(pool))
        return -EINVAL;
    if (threads && (task->soft_signal || (task->flags & LIBPOOL_FILE) || task->memory_limit_bytes))
        return -EINVAL;
    int error = check_function(pool, task);
    if (!error)
        error = check_memory_limit(pool, task->memory_limit_bytes);
    if (error)
        return error;
    if (task->soft_signal && (!task->grace_ms || !may_be_sent(task->soft_signal)))
        return -EINVAL;
    error = lp_retries_check(task);
    if (error)
        return error;
    if (task->flags & LIBPOOL_FILE)
        return check_file(task);
    if ((task->input_size && !task->input) || (task->flags & LIBPOOL_FILE_SHARED))
        return -EINVAL;
    return task->input_size > pool->options.backlog_bytes ? -E2BIG : 0;
}

static int check_task(const libpool *pool, const libpool_task *task)
{
    return is_plain(task) ? check_plain(pool, task) : check_special(pool, task);
}

int lp_submit_check(const libpool *pool, const libpool_task *task)
{
    return check_task(pool, task);
}

/* Nearly always of our own size: a copy of a size that the compiler knows. */
static int copy_task(libpool_task *task, const libpool_task *given, size_t size)
{
    if (size != sizeof *task)
        return lp_door_copy(task, sizeof *task, given, size);
    *task = *given;
    return 0;
}

static int read_task(const libpool *pool, libpool_task *task, const libpool_task *given)
{
    int error = given ? copy_task(task, given, given->size) : -EINVAL;
    return error ? error : check_task(pool, task);
}

static bool needs_copy(const libpool_task *task)
{
    return task->input_size > LP_FUTURE_SMALL && !(task->flags & (LIBPOOL_BORROW | LIBPOOL_FILE));
}

static int copy_input(libpool *pool, const libpool_task *task, unsigned char **copy)
{
    *copy = NULL;
    if (!needs_copy(task))
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

/* One that is no less than the pool's is none. */
static uint64_t own_memory_limit(const libpool *pool, const libpool_task *task)
{
    uint64_t pools = pool->options.memory_limit_bytes;
    return pools && task->memory_limit_bytes >= pools ? 0 : task->memory_limit_bytes;
}

static struct lp_task_spec make_spec(const libpool_task *task, libpool_future *future,
                                     struct lp_retry_rule *rule)
{
    return (struct lp_task_spec){.priority = task->priority,
                                 .group = task->group,
                                 .bytes = future->input_size + future->name_size,
                                 .run_timeout_ns = task->run_timeout_ms * LP_MS,
                                 .queue_timeout_ns = task->queue_timeout_ms * LP_MS,
                                 .heartbeat_ns = task->heartbeat_timeout_ms * LP_MS,
                                 .grace_ns = task->grace_ms * LP_MS,
                                 .soft_signal = task->soft_signal,
                                 .kind = task->kind,
                                 .memory_limit_bytes = own_memory_limit(future->pool, task),
                                 .retry = lp_retries_rule(task, rule),
                                 .user = future};
}

/* How long the caller waits for room. Who finds some at once need not look at the clock for that. */
struct patience {
    int timeout_ms;
    uint64_t deadline_ns; /* 0: it has not been needed */
};

static bool await_room(libpool *pool, struct patience *patience)
{
    if (patience->timeout_ms && lp_supervisor_is_worker(pool))
        patience->timeout_ms = 0; /* a thread of the pool's own can't wait for its own room */
    if (!patience->deadline_ns)
        patience->deadline_ns = lp_door_deadline(patience->timeout_ms);
    bool awaited = patience->timeout_ms && lp_supervisor_await(pool, patience->deadline_ns);
    lp_callbacks_leave(pool);
    return awaited;
}

/*
 * Into the core, waiting for room if need be: for callbacks, too, but where it may be this thread that is to
 * make them.
 */
static int hand_over(libpool *pool, const struct lp_task_spec *spec, struct patience *patience,
                     uint32_t *index)
{
    for (;;) {
        bool full = lp_callbacks_are_full(pool, spec->user);
        if (full && !pool->has_thread)
            return -EAGAIN;
        int error = full ? -EAGAIN : lp_pool_submit(&pool->core, spec, lp_supervisor_now(), index);
        if (error == LP_POOL_SENT) {
            lp_supervisor_send(pool, *index);
            return 0;
        }
        if (pool->core.n_actions || pool->core.more || spec->queue_timeout_ns ||
            pool->core.config.admits)    /* which looks again when something waits */
            lp_supervisor_perform(pool); /* else there is nothing to do, and no earlier deadline */
        if (error != -EAGAIN)
            return error;
        if (lp_supervisor_take(pool))
            continue; /* what has ended by now makes room */
        if (!await_room(pool, patience))
            return patience->timeout_ms ? -ETIMEDOUT : -EAGAIN;
    }
}

static void count(libpool *pool, uint32_t tasks)
{
    uint32_t before = pool->submits / TAKE_EVERY;
    pool->submits += tasks;
    if (pool->has_thread && pool->submits / TAKE_EVERY != before)
        (void)lp_supervisor_take(pool);
}

/* The caller may not want it. */
static int settle_share(libpool_future *future, int error, libpool_future **out)
{
    if (!error && !out && future->callback)
        future->callback->detached = true;
    if (error)
        lp_future_discard(future);
    else if (!out)
        lp_future_drop(future);
    else
        *out = future;
    return error;
}

static int submit_one(libpool *pool, const libpool_task *task, unsigned char *input,
                      struct patience *patience, libpool_future **out)
{
    libpool_future *future = lp_future_new(pool, task, input);
    if (!future) {
        lp_release(&pool->allocator, input, task->input_size);
        return -ENOMEM;
    }
    struct lp_retry_rule rule;
    struct lp_task_spec spec = make_spec(task, future, &rule);
    int error = hand_over(pool, &spec, patience, &future->task);
    count(pool, 1);
    return settle_share(future, error, out);
}

/* If there is room; what follows from it, if anything does, is settled for several. */
static int add(libpool *pool, const struct lp_task_spec *spec, uint64_t now_ns,
               libpool_future *future)
{
    int error = lp_callbacks_are_full(pool, future)
                    ? -EAGAIN
                    : lp_pool_add(&pool->core, spec, now_ns, &future->task);
    if (error != LP_POOL_SENT)
        return error;
    lp_supervisor_send(pool, future->task);
    return 0;
}

static int add_one(libpool *pool, const libpool_task *task, uint64_t now_ns, libpool_future **out)
{
    libpool_future *future = lp_future_new(pool, task, NULL);
    if (!future)
        return -ENOMEM;
    struct lp_retry_rule rule;
    struct lp_task_spec spec = make_spec(task, future, &rule);
    return settle_share(future, add(pool, &spec, now_ns, future), out);
}

int lp_submit_inside(libpool *pool, const libpool_task *task, uint64_t now_ns,
                     libpool_future *future)
{
    struct lp_retry_rule rule;
    struct lp_task_spec spec = make_spec(task, future, &rule);
    spec.inside = true;
    return add(pool, &spec, now_ns, future);
}

/* ---- the doors ------------------------------------------------------------------------------ */

/* Refused for want of room or of a pool, not because the caller was wrong. */
static void count_refused(libpool *pool, int error, size_t tasks)
{
    bool refused = error == -EAGAIN || error == -ETIMEDOUT || error == -ESHUTDOWN ||
                   error == -EKEYREJECTED;
    if (refused)
        lp_pool_reject(&pool->core, tasks);
}

static int submit_alone(libpool *pool, const libpool_task *task, struct patience *patience,
                        libpool_future **out)
{
    unsigned char *input;
    if (needs_copy(task) && !patience->deadline_ns)
        patience->deadline_ns = lp_door_deadline(patience->timeout_ms); /* copying takes time */
    int error = copy_input(pool, task, &input);
    if (error)
        return error;
    pthread_mutex_lock(&pool->lock);
    error = submit_one(pool, task, input, patience, out);
    pthread_mutex_unlock(&pool->lock);
    return error;
}

int libpool_submit(libpool *pool, const libpool_task *given, int timeout_ms, libpool_future **out)
{
    libpool_task task;
    struct patience patience = {.timeout_ms = timeout_ms};
    if (out)
        *out = NULL;
    int error = lp_door_check(pool);
    if (!error)
        error = read_task(pool, &task, given);
    if (error)
        return error;
    error = submit_alone(pool, &task, &patience, out);
    if (error) {
        pthread_mutex_lock(&pool->lock);
        count_refused(pool, error, 1);
        pthread_mutex_unlock(&pool->lock);
    }
    return error;
}

/* ---- many ----------------------------------------------------------------------------------- */

struct many {
    libpool *pool;
    const libpool_task *tasks;
    size_t n, done;
    libpool_future **out;
    struct patience patience;
};

/* The next one, not checked; -EINVAL, too, when it is not of the size of the first. */
static int copy_next(const struct many *many, libpool_task *task)
{
    size_t size = many->tasks->size;
    const void *next = (const char *)many->tasks + many->done * size;
    if (((const libpool_task *)next)->size != size)
        return -EINVAL;
    return copy_task(task, next, size);
}

/* What takes long is not done under the lock: a copy, or asking a file system that may not answer. */
static bool goes_alone(const libpool_task *task)
{
    return needs_copy(task) || (task->flags & LIBPOOL_FILE);
}

static libpool_future **next_out(const struct many *many)
{
    return many->out ? &many->out[many->done] : NULL;
}

/* A run of tasks whose inputs are small, under one lock. 0, or why it ended before LP_ADDS_PER_BATCH. */
static int add_batch(struct many *many)
{
    libpool *pool = many->pool;
    libpool_task task;
    int error = 0;
    uint32_t added = 0;
    pthread_mutex_lock(&pool->lock);
    uint64_t now_ns = lp_supervisor_now();
    for (; added < LP_ADDS_PER_BATCH && many->done < many->n && !error; added += error == 0) {
        error = copy_next(many, &task);
        if (!error && goes_alone(&task))
            break;
        if (!error)
            error = check_task(pool, &task);
        if (!error)
            error = add_one(pool, &task, now_ns, next_out(many));
        many->done += error == 0;
    }
    if (pool->core.unsettled) { /* else all were sent */
        lp_pool_settle(&pool->core, now_ns);
        lp_supervisor_perform(pool);
    }
    count(pool, added);
    pthread_mutex_unlock(&pool->lock);
    return error == -EAGAIN && added ? 0 : error; /* settling may have made room */
}

/* One by itself, or one that has to wait for room. */
static int add_alone(struct many *many)
{
    libpool_task task;
    int error = copy_next(many, &task);
    if (!error)
        error = check_task(many->pool, &task);
    if (!error)
        error = submit_alone(many->pool, &task, &many->patience, next_out(many));
    many->done += error == 0;
    return error;
}

int64_t libpool_submit_many(libpool *pool, const libpool_task *tasks, size_t n, int timeout_ms,
                            libpool_future **out)
{
    int error = lp_door_check(pool);
    if (error)
        return error;
    if (n > INT64_MAX || (n && (!tasks || tasks->size < sizeof(size_t))))
        return -EINVAL;
    if (n && tasks->size % _Alignof(libpool_task))
        return -EINVAL;
    for (size_t i = 0; out && i < n; i++)
        out[i] = NULL;
    struct patience patience = {timeout_ms, timeout_ms ? lp_door_deadline(timeout_ms) : 0};
    struct many many = {pool, tasks, n, 0, out, patience};
    while (many.done < n && !error) {
        size_t before = many.done;
        error = add_batch(&many);
        if (error == -EAGAIN || (!error && many.done == before))
            error = add_alone(&many);
    }
    pthread_mutex_lock(&pool->lock);
    count_refused(pool, error, error == -EKEYREJECTED ? 1 : n - many.done);
    pthread_mutex_unlock(&pool->lock);
    return many.done || !error ? (int64_t)many.done : error;
}
