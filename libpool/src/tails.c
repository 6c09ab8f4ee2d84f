/* SPDX-License-Identifier: MIT */
#include "tails.h"

#include "base/alloc.h"
#include "base/fd.h"
#include "future.h"
#include "os/tail.h"
#include "supervisor.h"
#include "sys/sys.h"

#define LOOK_NS (20 * LP_MS)
#define DEFAULT_BYTES 4096u

void lp_tails_init(libpool *pool)
{
    pool->tails.bytes = pool->options.tail_bytes;
    if (pool->tails.bytes == 0 && lp_outfit_keeps_tail(pool->outfit))
        pool->tails.bytes = DEFAULT_BYTES;
    pool->tails.look_ns = UINT64_MAX;
}

void lp_tails_renew(libpool *pool, uint32_t slot)
{
    struct lp_line *line = &pool->lines[slot];
    line->tail_cut = 0;
    if (line->tail_fd < 0)
        return;
    lp_tail_renew(lp_window_tail(line->window), line->tail_fd);
    int old = lp_tail_replace(line->tail_fd);
    if (line->old_tail_fd < 0)
        line->old_tail_fd = old;
    else /* the thread is held up: it takes its time here */
        lp_fd_close(&old);
}

void lp_tails_attach(libpool *pool, uint32_t slot, uint64_t task_id, libpool_future *future)
{
    const struct lp_line *line = &pool->lines[slot];
    if (line->tail_fd < 0)
        return;
    struct lp_tail_span span = lp_tail_find(lp_window_tail(line->window), line->tail_fd, task_id,
                                            line->tail_cut, pool->tails.bytes);
    size_t most = span.to - span.from;
    void *data = most > 0 ? lp_alloc(&pool->allocator, most) : NULL;
    size_t size = data ? lp_tail_read(line->tail_fd, &span, data) : 0;
    if (size > 0)
        lp_future_set_tail(future, data, most, size);
    else if (data)
        lp_release(&pool->allocator, data, most); /* it has been made shorter meanwhile */
}

/* ---- looking ---------------------------------------------------------------------------------- */

void lp_tails_wake(libpool *pool)
{
    struct lp_tails *tails = &pool->tails;
    if (tails->bytes == 0 || tails->look_ns != UINT64_MAX)
        return;
    tails->look_ns = lp_supervisor_now() + LOOK_NS;
    if (tails->asleep)
        pthread_cond_signal(&tails->came);
}

/* With the lock held before and after, as the next. Of a worker that is gone: nobody asks for it any more. */
static bool drop_one(libpool *pool, uint32_t slot)
{
    struct lp_line *line = &pool->lines[slot];
    enum lp_worker_state state = pool->core.workers[slot].state;
    if (line->old_tail_fd < 0 && (state == LP_WORKER_VACANT || state == LP_WORKER_DEAD))
        line->old_tail_fd = lp_tail_replace(line->tail_fd);
    if (line->old_tail_fd < 0)
        return false;
    int old = line->old_tail_fd;
    line->old_tail_fd = -1;
    pthread_mutex_unlock(&pool->lock);
    lp_fd_close(&old);
    pthread_mutex_lock(&pool->lock);
    return true;
}

static void cut(libpool *pool, uint32_t slot)
{
    struct lp_line *line = &pool->lines[slot];
    uint64_t from;
    if (!lp_tail_is_large(line->tail_fd, pool->tails.bytes, &from))
        return;
    lp_fd_auto int fd = lp_sys.dup_from(line->tail_fd, 0); /* the slot may go on meanwhile */
    if (fd < 0)
        return;
    line->tail_cut = from;
    pthread_mutex_unlock(&pool->lock);
    lp_tail_cut(fd, from);
    lp_fd_close(&fd); /* which may be the last of a worker that has died meanwhile */
    pthread_mutex_lock(&pool->lock);
}

/* Whoever is neither idle nor gone may be writing. */
static bool is_busy(const libpool *pool)
{
    const uint32_t *in = pool->core.in_state;
    return in[LP_WORKER_SPAWNING] || in[LP_WORKER_STARTING] || in[LP_WORKER_BUSY] ||
           in[LP_WORKER_RETIRING] || in[LP_WORKER_DYING] || in[LP_WORKER_GONE];
}

/* With the lock held. What has ended since the last look may have written until then. */
static void look(libpool *pool)
{
    struct lp_tails *tails = &pool->tails;
    bool runs = is_busy(pool);
    tails->look_ns = runs || tails->unsettled ? lp_supervisor_now() + LOOK_NS : UINT64_MAX;
    tails->unsettled = runs;
    for (uint32_t slot = 0; slot < pool->core.slots; slot++) {
        while (drop_one(pool, slot)) /* that before it, and its own */
            continue;
        cut(pool, slot);
    }
}

static void wait_for_look(libpool *pool)
{
    struct lp_tails *tails = &pool->tails;
    struct timespec until = {.tv_sec = (time_t)(tails->look_ns / 1000000000u),
                             .tv_nsec = (long)(tails->look_ns % 1000000000u)};
    tails->asleep = true;
    if (tails->look_ns == UINT64_MAX)
        pthread_cond_wait(&tails->came, &pool->lock);
    else
        pthread_cond_timedwait(&tails->came, &pool->lock, &until);
    tails->asleep = false;
}

static void *run(void *arg)
{
    libpool *pool = arg;
    struct lp_tails *tails = &pool->tails;
    pthread_mutex_lock(&pool->lock);
    while (!tails->stop) {
        if (tails->look_ns <= lp_supervisor_now())
            look(pool);
        else
            wait_for_look(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* ---- opening and closing ------------------------------------------------------------------------ */

int lp_tails_open(libpool *pool)
{
    struct lp_tails *tails = &pool->tails;
    if (tails->bytes == 0)
        return 0;
    lp_supervisor_init_condition(&tails->came);
    int error = lp_supervisor_start_thread(&tails->thread, run, pool);
    tails->has_thread = error == 0;
    if (error)
        pthread_cond_destroy(&tails->came);
    return error;
}

/* All workers are gone: nobody holds the thread up. */
void lp_tails_close(libpool *pool)
{
    struct lp_tails *tails = &pool->tails;
    if (!tails->has_thread)
        return;
    pthread_mutex_lock(&pool->lock);
    tails->stop = true;
    pthread_cond_signal(&tails->came);
    pthread_mutex_unlock(&pool->lock);
    pthread_join(tails->thread, NULL);
    pthread_cond_destroy(&tails->came);
}
