/* SPDX-License-Identifier: MIT */
/*
 * limits: every bound of the policy, asserted against the others.
 */
#ifndef LP_CORE_LIMITS_H
#define LP_CORE_LIMITS_H

#include <assert.h>
#include <stdint.h>

#include <libpool.h>

#define LP_NONE UINT32_MAX
#define LP_MS UINT64_C(1000000) /* ns in a millisecond */

#define LP_WORKERS_MAX 4096u      /* max_workers at most */
#define LP_SPARES_MAX 2u          /* slots beyond max_workers: replacements overlap with deaths */
#define LP_BACKLOG_MAX (1u << 24) /* pending tasks at most */
#define LP_RETURNS_MAX 3u         /* a task may go back to the backlog so often */
#define LP_ENDS_PER_STEP 64u      /* futures ended by one step, so that a step is bounded */
#define LP_PREFETCH_MAX 256u      /* tasks that may wait in one worker's channel */
#define LP_PREFETCH_NS 50000u     /* of work may wait there, as far as can be foreseen */
#define LP_PREFETCH_BYTES 256u    /* of input that a task may have to be sent ahead */
#define LP_PREFETCH_STEP 256u     /* sent ahead by one step */
#define LP_WAKE_NS 25000u         /* what it takes to wake a sleeping worker, about */
#define LP_LEAP_NS 1000u    /* a task of so long, or four times the usual, may be an accident */
#define LP_FEED_TASKS 16u   /* submitted, before they are sent ahead to somebody */
#define LP_FEEDS_PER_STEP 8 /* workers that are sent something ahead */
#define LP_PATIENCE_NS (4 * LP_MS)      /* no result for so long: what waits there is taken back */
#define LP_IDLE_PATIENCE_NS (LP_MS / 2) /* the same, beside a worker that has nothing to do */
#define LP_RETRY_FLOOR 10u              /* retries that a budget allows at the start */
#define LP_RETRY_SAVED 100u             /* and that may be saved up for later, at most */
#define LP_ADDS_PER_BATCH 64u           /* tasks added before settling */
#define LP_RESULTS_PER_BATCH 64u        /* applied before settling */
#define LP_STATUS_WAIT_NS \
    (1000 *               \
     LP_MS) /* from the loss of who would tell how a worker died, before that counts as lost */
#define LP_KILL_GRACE_NS (1000 * LP_MS) /* from the last kill to giving up waiting for its proof */
#define LP_STEADY_NS (1000 * LP_MS)     /* a worker that lived so long is no early death */
#define LP_PROOF_WAIT_MAX_NS \
    (600000 * LP_MS) /* waits for the proof of one death are doubled up to so long */
#define LP_TEAR_DOWN_WAITS \
    4u /* start timeouts that a task waits for the end of one that is dying */
#define LP_HELLO_WAIT_NS (5000 * LP_MS) /* a zygote's first word */
#define LP_ADMIT_NS (100 * LP_MS)       /* from one look at the machine's memory to the next */
#define LP_WEIGH_NS (100 * LP_MS)       /* from one look at the memory of trees to the next */
#define LP_MEMORY_LIMIT_LEAST (UINT64_C(1) << 20) /* with less no worker can be born */

/*
 * What one step may emit: each slot a handful, each ended task an END, a NOTE and a ROOM. A result or a
 * death may tell of a task's beginning, too, and a death of all that one worker was sent ahead. The ends
 * of a group's cancel come on top of those of the settling.
 */
#define LP_ACTIONS_PER_SLOT 9u
#define LP_ACTIONS_FIXED                                                                        \
    (4 * LP_ENDS_PER_STEP + 3 * LP_RESULTS_PER_BATCH + 3 * LP_PREFETCH_MAX + LP_PREFETCH_STEP + \
     LP_ADDS_PER_BATCH + 64)

static_assert(LP_WORKERS_MAX + LP_SPARES_MAX < LP_NONE, "a slot is not LP_NONE");
static_assert(LIBPOOL_PRIORITIES == 64, "one bit a level in a 64-bit map");
static_assert((int)LIBPOOL_CAUSES <= LIBPOOL_CAUSES_MAX, "causes fit the public arrays");

#endif
