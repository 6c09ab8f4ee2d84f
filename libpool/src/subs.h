/* SPDX-License-Identifier: MIT */
/*
 * subs: the tasks that a worker's task has submitted and waits for, as the host sees them.
 *
 *     worker                                  host
 *     CALL count, bytes  -------------------> may it wait, is there room? What it was sent ahead
 *                        <----------- GO code  goes back; it counts no more against max_workers
 *     SUBTASK, SUBTASK...------------------->  kept until all are here, then taken: all or none
 *     (HANG_UP           ------------------->  what has not ended is cancelled)
 *                        <---- SUBRESULT...    when all have ended, or are no longer waited for
 *                        <------- CALLED code  from here on it counts again
 *
 * To the core they are tasks like any. They belong to the task that waits: when it ends, in whatever way,
 * those that are left are cancelled. So a set of them has a line as long as that task runs, and is freed when
 * it has none and the last has ended. All from the worker is untrusted: what does not fit the announced
 * count and bytes costs it, and nothing is taken from it before it may wait. All under the pool's lock.
 *
 * A set of LIBPOOL_CALL_TASKS at most is taken, and cancelled, under one hold of the lock.
 *
 * What is to be done about a set may follow from anything that is performed, so it is put into a list, and
 * done when that has been (lp_subs_settle).
 */
#ifndef LP_SUBS_H
#define LP_SUBS_H

#include "future.h"
#include "line.h"

struct lp_part;
struct lp_subs;

struct lp_sub {
    struct lp_subs *subs;
    libpool_future *future; /* NULL: not taken */
    struct lp_part *part;   /* libpool_task, name and input, as they came; until it has ended */
    uint32_t name_size;
    bool ended;
};

/* A word of the task that runs there. False: it is nonsense. */
bool lp_subs_hear(libpool *pool, uint32_t slot, const struct lp_message *message);
/* Nobody waits for them any more: what is left is cancelled, and the worker is told why. */
void lp_subs_end(struct lp_subs *subs, int code);
/* Its task has ended. The line forgets them. */
void lp_subs_orphan(struct lp_line *line);
/* One of them has. */
void lp_subs_ended(libpool_future *future);

/* After anything that was performed: does what is due. */
void lp_subs_settle(libpool *pool);
/* At the end of the pool: all have ended. */
void lp_subs_forget(libpool *pool);

/* For the line: what the next may take at most (subs may be NULL), where it goes, and results. */
uint64_t lp_subs_most(const struct lp_subs *subs);
struct lp_part *lp_subs_room(const struct lp_subs *subs, size_t size);
void lp_subs_push(struct lp_line *line);

#endif
