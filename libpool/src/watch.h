/* SPDX-License-Identifier: MIT */
/*
 * watch: a thread that waits for a future looks for its result itself, for a few microseconds.
 *
 * Without it a result takes two wake-ups: worker to supervisor, supervisor to waiter, each tens of
 * microseconds where cores go idle. A watcher reads the rings' indices (no lock) and takes what is
 * there (with the lock), for everybody, as the supervisor would. It gives up when it does not pay: the
 * time adapts to how long waits really take. Workers don't ring while somebody watches, but do when
 * what they wrote stays unread: a watcher may stop at any point, and nothing is lost.
 */
#ifndef LP_WATCH_H
#define LP_WATCH_H

#include "awaited.h"
#include "supervisor.h"

/*
 * True when it came. Until nothing has ended for 100 us at most, and not beyond the
 * deadline; the pool must stay while it lasts.
 */
bool lp_watch(libpool *pool, const struct lp_awaited *awaited, uint64_t deadline_ns);

#endif
