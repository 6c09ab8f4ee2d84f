/* SPDX-License-Identifier: MIT */
/*
 * future: one task as the host sees it: its input on the way in, its result on the way out.
 *
 * The caller holds it, who gathers it, and its callbacks, if any; the last one frees it, or leaves that to
 * the pool, if it has not ended. The pool writes it under its lock until it has ended; that bit of `state`
 * is then set with release order and stays, so readers need no lock, and the pool touches it no more. It
 * outlives its pool.
 */
#ifndef LP_FUTURE_H
#define LP_FUTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpool.h>

#include "awaited.h"
#include "core/tasks.h"
#include "slab.h"

/*
 * Its state word: has it ended, does somebody sleep on it (LP_AWAITED), is it gathered (gather.h), has it
 * parts, and how many threads came through it to the pool (visit.h).
 */
#define LP_FUTURE_ENDED 1u
#define LP_FUTURE_GATHERED 4u
#define LP_FUTURE_PARTS 8u      /* some wait to be taken (parts.h) */
#define LP_FUTURE_DEAF 16u      /* who could take them has let go of it */
#define LP_FUTURE_LOST_PART 32u /* there was no memory for one */
#define LP_FUTURE_UNOWNED 64u   /* nobody holds it any more: it is freed at its end */
#define LP_FUTURE_VISITOR 0x100u

#define LP_FUTURE_SMALL 64u

/*
 * In the order of lines of the cache: a task that only completes, of an input that needs no room, is written
 * in the first two and in the first of its result. What else a result has is as such a task has it from the
 * last time that the future was used (`canned`), as long as nothing was told of it (`told`).
 */
struct libpool_future {
    struct lp_slab_item item;
    _Atomic uint32_t state;   /* futex word: LP_FUTURE_..., LP_AWAITED */
    _Atomic uint32_t holders; /* but for the pool */
    libpool *pool;            /* to be touched between visit and leave only */
    union {
        libpool_task_function *function;
        char *name; /* if name_size: object and symbol (os/load.h); the future's own */
    };
    const unsigned char *input; /* its own copy, `small`, or the caller's */
    uint32_t task;              /* index in the core's table; valid until ended */
    int soft_signal;
    bool borrows;
    bool writable;
    bool made; /* its pool and allocator are there, since it was used first */
    bool canned;
    bool told;
    bool is_sub;
    uint16_t name_size;

    size_t mapped_size; /* LIBPOOL_FILE; there is no other input then */
    size_t input_size;
    unsigned char *data; /* the result as it arrives */
    size_t data_size, data_capacity;
    struct lp_parts *parts;       /* NULL: there were none so far */
    struct lp_callback *callback; /* NULL: nobody is to be told; released with the future */
    int mapped_fd;

    libpool_result result;
    libpool_allocator allocator;
    size_t tail_capacity;         /* of result.tail, if that is not NULL */
    struct lp_sub *sub;           /* if is_sub: a task waits for it (subs.h) */
    struct lp_gather_link *links; /* LP_FUTURE_GATHERED: who is told of its end, under the lock */
    unsigned char small[LP_FUTURE_SMALL]; /* an input that fits here needs no allocation */
};

/*
 * With the pool's lock held. The caller holds it, and its callback if there is one. NULL: no memory. `input`
 * is a copy of the task's that becomes the future's, or NULL: a small one is copied here. A task with a
 * symbol has its name copied.
 */
libpool_future *lp_future_new(libpool *pool, const libpool_task *task, unsigned char *input);
void lp_future_drop(libpool_future *future);
/* It never got as far as the pool: freed, whoever holds it. */
void lp_future_discard(libpool_future *future);
/* Nobody is left who could take what comes. */
bool lp_future_is_unowned(const libpool_future *future);

/* Room for `size` bytes of result in all; false: no memory. */
bool lp_future_reserve(libpool_future *future, size_t size);

/*
 * Fills in the result, sets state, wakes all who wait. The input is freed, and the future, if nobody holds
 * it: it is not the pool's from here on. Returns how many visitors are in the pool; each will leave.
 */
uint32_t lp_future_complete(libpool_future *future, uint64_t task_id,
                            const struct lp_outcome *outcome);
/* Before touching its pool: false, it has ended, and the pool may be gone. */
bool lp_future_visit(libpool_future *future);
/* After that. True: it has ended meanwhile, the visitor was counted and has to be counted out. */
bool lp_future_leave(libpool_future *future);
/* What its task has used. Before it is completed, by whoever knows: else that of another may be there. */
void lp_future_set_usage(libpool_future *future, uint64_t user_ns, uint64_t system_ns,
                         uint64_t max_rss_bytes);
/* Where it was when it crashed; the future's from now on, or NULL. */
void lp_future_set_trace(libpool_future *future, const libpool_trace *trace);
/* The last output of its task: memory of `capacity` bytes that is the future's from now on. */
void lp_future_set_tail(libpool_future *future, void *data, size_t capacity, size_t size);
bool lp_future_has_ended(const libpool_future *future);

static inline struct lp_awaited lp_future_end(libpool_future *future)
{
    return (struct lp_awaited){.word = &future->state, .mask = LP_FUTURE_ENDED};
}

#endif
