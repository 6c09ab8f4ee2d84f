/* SPDX-License-Identifier: MIT */
/*
 * door: what every public function checks before it calls inward.
 */
#ifndef LP_DOOR_H
#define LP_DOOR_H

#include <stddef.h>
#include <stdint.h>

#include <libpool.h>

#define LP_FOREVER UINT64_MAX

/* 0 when the handle is this process's own; -EINVAL, -EDEADLK (in a worker), -ECHILD (forked copy). */
int lp_door_check(const libpool *pool);
/* The same for a call that waits: -EDEADLK, too, in a thread that is a worker of the pool. */
int lp_door_check_wait(const libpool *pool, int timeout_ms);

/*
 * Copies a caller's struct into ours. A smaller (older) one leaves the rest zero; a larger (newer)
 * one is fine as long as what we don't know is zero: else -E2BIG. -EINVAL: it has no size.
 */
int lp_door_copy(void *ours, size_t our_size, const void *theirs, size_t their_size);

/*
 * The other way: a smaller one gets what it has room for, in a larger one the rest is zero. Both keep
 * the caller's size, which was checked by lp_door_check_size.
 */
void lp_door_give(void *theirs, size_t their_size, const void *ours, size_t our_size);
/* -EINVAL: there is none; -E2BIG: nobody's struct is so large, it was not set. */
int lp_door_check_size(size_t their_size);

/* What a caller's options come to: copied, defaults filled in. They may be NULL; what is wrong is told. */
int lp_door_options(libpool_options *options, const libpool_options *given);
/* The same for a pool of one worker that lives as long as a call and is driven by that. */
int lp_door_options_of_one(libpool_options *options, const libpool_options *given);

/* Absolute; negative: never. */
uint64_t lp_door_deadline(int timeout_ms);
/* The other way: what is left until then, rounded up. */
int lp_door_left_ms(uint64_t deadline_ns);

#endif
