/* SPDX-License-Identifier: MIT */
/*
 * governor: the workers of several pools, capped together. core/shares deals the places; here are the lock
 * and the way from one pool to the others.
 *
 * Lock order: a pool's lock, then its governor's, which is held for a few steps and calls nobody. So a pool
 * never touches another one: it leaves word for it and rings its poller, which needs no lock. The other's
 * driving thread fetches the word.
 */
#ifndef LP_GOVERNOR_H
#define LP_GOVERNOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include <libpool.h>

#include "core/event.h"
#include "core/shares.h"

struct lp_membership {
    struct lp_share share;      /* first: the governor's list is of these */
    libpool_governor *governor; /* NULL: none */
    void (*ring)(void *pool);   /* from any thread; must not call back */
    void *pool;
    _Atomic bool has_word; /* something is to be fetched */
};

/* 0, -ENOSPC, -ECHILD (another process's). The membership stays where it is until it leaves. */
int lp_governor_join(struct lp_membership *member, libpool_governor *governor, uint32_t reserve);
/* Idempotent; gives back all. */
void lp_governor_leave(struct lp_membership *member);
/* 0 or -ENOSPC. */
int lp_governor_reserve(struct lp_membership *member, uint32_t reserve);
void lp_governor_want(struct lp_membership *member, uint32_t count);
void lp_governor_give(struct lp_membership *member, uint32_t count);
/* True: *event is PLACES, for the core. */
bool lp_governor_fetch(struct lp_membership *member, struct lp_event *event);

#endif
