/* SPDX-License-Identifier: MIT */
/*
 * parts: what a task sends before it ends, until the application takes it.
 *
 * They come through the worker's channel like a result and wait in the future. Nothing is thrown away when
 * they come faster than they are taken: then the channel isn't read, fills, and the task waits, as with a
 * pipe.
 *
 * The pool adds to them under its lock while the task runs; one thread takes them, under the lock until
 * the task has ended and without it from then on, when the pool does not touch them any more.
 */
#ifndef LP_PARTS_H
#define LP_PARTS_H

#include "future.h"

struct lp_part {
    struct lp_part *next;
    libpool_allocator allocator;
    size_t size, filled, room;
    _Alignas(16) unsigned char data[];
};

struct lp_parts {
    struct lp_part *first, *last;
    struct lp_part *taken; /* the application looks at it */
    uint64_t bytes;        /* of those that wait, with what they cost */
};

/* NULL: there is no memory, or nobody to take it. A large one gets its room as it arrives. */
struct lp_part *lp_part_new(const libpool_future *future, size_t size);
/* The same for whoever wants it; NULL: there is no memory. */
struct lp_part *lp_part_alloc(const libpool_allocator *allocator, size_t size);
/* Room for so many bytes more, of those that are to come. NULL: no memory; it is freed then. */
struct lp_part *lp_part_reserve(struct lp_part *part, size_t more);
void lp_part_free(struct lp_part *part); /* NULL is allowed */

/* The part becomes the future's; NULL: one is lost, for want of memory, and that will be told. */
void lp_parts_add(libpool_future *future, struct lp_part *part);
/* So much waits to be taken. */
uint64_t lp_parts_bytes(const libpool_future *future);
/* Nobody wants them: those that wait are dropped, and all that come. */
void lp_parts_refuse(libpool_future *future);
/* It is run once more: those that wait are of a run that has failed. */
void lp_parts_forget(libpool_future *future);
void lp_parts_free(libpool_future *future);

#endif
