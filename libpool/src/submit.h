/* SPDX-License-Identifier: MIT */
/*
 * submit: tasks that come from within the pool: what the doors in submit.c do, for those inside.
 */
#ifndef LP_SUBMIT_H
#define LP_SUBMIT_H

#include <stdint.h>

#include <libpool.h>

/* 0, or what libpool_submit would say of it. */
int lp_submit_check(const libpool *pool, const libpool_task *task);
/*
 * With the lock held: into the core, also while it drains; what follows is settled by the caller, and
 * performed after no more than LP_ADDS_PER_BATCH. The future is made of this task, and the caller's share.
 */
int lp_submit_inside(libpool *pool, const libpool_task *task, uint64_t now_ns,
                     libpool_future *future);

#endif
