/* SPDX-License-Identifier: MIT */
#include "parts.h"

#include <errno.h>

#include "base/alloc.h"
#include "door.h"
#include "supervisor.h"
#include "sys/sys.h"
#include "visit.h"

#define RESERVE_BYTES ((size_t)1 << 20) /* what is larger has to arrive before it gets its room */

/* ---- in, under the lock --------------------------------------------------------------------- */

static bool is_refused(const libpool_future *future)
{
    return atomic_load_explicit(&future->state, memory_order_relaxed) & LP_FUTURE_DEAF ||
           lp_future_is_unowned(future);
}

struct lp_part *lp_part_alloc(const libpool_allocator *allocator, size_t size)
{
    if (size > SIZE_MAX - sizeof(struct lp_part))
        return NULL;
    size_t room = size < RESERVE_BYTES ? size : RESERVE_BYTES;
    struct lp_part *part = lp_alloc(allocator, sizeof *part + room);
    if (part)
        *part = (struct lp_part){.allocator = *allocator, .size = size, .room = room};
    return part;
}

struct lp_part *lp_part_new(const libpool_future *future, size_t size)
{
    return is_refused(future) ? NULL : lp_part_alloc(&future->allocator, size);
}

struct lp_part *lp_part_reserve(struct lp_part *part, size_t more)
{
    if (part->room - part->filled >= more)
        return part;
    size_t room = part->size / 2 < part->room ? part->size : part->room * 2;
    libpool_allocator allocator = part->allocator;
    struct lp_part *grown = lp_grow(&allocator, part, sizeof *part + part->room,
                                    sizeof *part + part->filled, sizeof *part + room);
    if (grown)
        grown->room = room;
    else
        lp_part_free(part);
    return grown;
}

void lp_part_free(struct lp_part *part)
{
    if (!part)
        return;
    libpool_allocator allocator = part->allocator;
    lp_release(&allocator, part, sizeof *part + part->room);
}

/* Who let go of it meanwhile has not seen that there was something. */
static void tell(libpool_future *future, uint32_t bit)
{
    uint32_t before = atomic_fetch_or_explicit(&future->state, bit, memory_order_acq_rel);
    if (before & LP_FUTURE_DEAF)
        lp_parts_forget(future);
    if (before & LP_AWAITED)
        (void)lp_sys.futex_wake_all(&future->state);
}

void lp_parts_add(libpool_future *future, struct lp_part *part)
{
    if (is_refused(future)) {
        lp_part_free(part);
        return;
    }
    if (part && !future->parts)
        future->parts = lp_alloc_zeroed(&future->allocator, sizeof *future->parts);
    struct lp_parts *parts = future->parts;
    if (!part || !parts) {
        lp_part_free(part);
        tell(future, LP_FUTURE_LOST_PART);
        return;
    }
    if (parts->first)
        parts->last->next = part;
    else
        parts->first = part;
    parts->last = part;
    parts->bytes += part->size + sizeof *part;
    tell(future, LP_FUTURE_PARTS);
}

uint64_t lp_parts_bytes(const libpool_future *future)
{
    return future->parts ? future->parts->bytes : 0;
}

/* The next one, which has a new owner. */
static struct lp_part *pop(libpool_future *future)
{
    struct lp_parts *parts = future->parts;
    struct lp_part *part = parts ? parts->first : NULL;
    if (!part)
        return NULL;
    parts->first = part->next;
    parts->bytes -= part->size + sizeof *part;
    if (!parts->first)
        atomic_fetch_and_explicit(&future->state, ~LP_FUTURE_PARTS, memory_order_relaxed);
    return part;
}

void lp_parts_forget(libpool_future *future)
{
    struct lp_part *part;
    while ((part = pop(future)))
        lp_part_free(part);
}

void lp_parts_free(libpool_future *future)
{
    if (!future->parts)
        return;
    lp_parts_forget(future);
    lp_part_free(future->parts->taken);
    lp_release(&future->allocator, future->parts, sizeof *future->parts);
}

/* ---- out ------------------------------------------------------------------------------------ */

void lp_parts_refuse(libpool_future *future)
{
    uint32_t before = atomic_fetch_or_explicit(&future->state, LP_FUTURE_DEAF,
                                               memory_order_acq_rel);
    libpool *pool = before & LP_FUTURE_PARTS ? lp_visit(future) : NULL;
    if (!pool)
        return;
    if (lp_door_check(pool) == 0) {
        pthread_mutex_lock(&pool->lock);
        lp_parts_forget(future);
        lp_supervisor_resume(pool, future);
        pthread_mutex_unlock(&pool->lock);
    }
    lp_visit_leave(future, pool);
}

/* 1: *part is the next; 0: there is none; -ENOMEM: there was one. */
static int take(libpool_future *future, const struct lp_part **part)
{
    if (!(*part = pop(future))) {
        uint32_t before = atomic_fetch_and_explicit(&future->state, ~LP_FUTURE_LOST_PART,
                                                    memory_order_relaxed);
        return before & LP_FUTURE_LOST_PART ? -ENOMEM : 0;
    }
    lp_part_free(future->parts->taken);
    future->parts->taken = (struct lp_part *)(uintptr_t)*part;
    return 1;
}

static int take_while_it_runs(libpool *pool, libpool_future *future, const struct lp_part **part)
{
    int got = lp_door_check(pool);
    if (got)
        return got;
    pthread_mutex_lock(&pool->lock);
    bool were_full = lp_parts_bytes(future) >= LIBPOOL_PARTS_BYTES;
    got = take(future, part);
    if (were_full)
        lp_supervisor_resume(pool, future);
    pthread_mutex_unlock(&pool->lock);
    return got;
}

static int take_next(libpool_future *future, const struct lp_part **part)
{
    libpool *pool = lp_visit(future);
    if (!pool)
        return take(future, part);
    int got = take_while_it_runs(pool, future, part);
    lp_visit_leave(future, pool);
    return got;
}

/* None may be there though one was: the run that sent it has failed, and the task is run again. */
int libpool_future_part(libpool_future *future, const void **data, size_t *size, int timeout_ms)
{
    if (!future || !data || !size)
        return -EINVAL;
    const struct lp_awaited any = {.word = &future->state,
                                   .mask = LP_FUTURE_ENDED | LP_FUTURE_PARTS | LP_FUTURE_LOST_PART};
    uint64_t deadline_ns = lp_door_deadline(timeout_ms);
    const struct lp_part *part = NULL;
    int got = 0;
    while (got == 0) {
        bool ended = lp_future_has_ended(future);
        int error = lp_awaited_came(&any) ? 0
                                          : lp_visit_wait(future, &any, timeout_ms, deadline_ns);
        if (error)
            return error;
        got = take_next(future, &part);
        if (got == 0 && ended)
            return 0;
    }
    *data = got == 1 ? part->data : NULL;
    *size = got == 1 ? part->size : 0;
    return got;
}
