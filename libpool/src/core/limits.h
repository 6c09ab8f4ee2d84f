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
#define LP_STATUS_WAIT_NS \
    (1000 *               \
     LP_MS) /* from the loss of who would tell how a worker died, before that counts as lost */
#define LP_KILL_GRACE_NS (1000 * LP_MS) /* from the last kill to giving up waiting for its proof */
#define LP_STEADY_NS (1000 * LP_MS)     /* a worker that lived so long is no early death */
#define LP_PROOF_WAIT_MAX_NS \
    (600000 * LP_MS) /* waits for the proof of one death are doubled up to so long */
#define LP_HELLO_WAIT_NS (5000 * LP_MS) /* a zygote's first word */

/* What one step may emit: each slot a handful, each ended task an END, a NOTE and a ROOM. */
#define LP_ACTIONS_PER_SLOT 8u
#define LP_ACTIONS_FIXED (4 * LP_ENDS_PER_STEP + 64)

static_assert(LP_WORKERS_MAX + LP_SPARES_MAX < LP_NONE, "a slot is not LP_NONE");
static_assert(LIBPOOL_PRIORITIES == 64, "one bit a level in a 64-bit map");
static_assert((int)LIBPOOL_CAUSES <= LIBPOOL_CAUSES_MAX, "causes fit the public arrays");

#endif
