/* SPDX-License-Identifier: MIT */
/*
 * places: a pool that has a governor starts a worker only where it holds a place for it.
 *
 * A place is used from SPAWN to the news how the worker has ended; one that was killed and is long in dying
 * counts no more, as it can't be waited for. The pool asks for as many as it would use at once (WANT), is
 * granted some (PLACES), and gives back (GIVE) what it does not use, but for what it needs to replace
 * workers within its share: else each death would cost it a place that it has a right to.
 */
#ifndef LP_CORE_PLACES_H
#define LP_CORE_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/shares.h"

struct lp_event;
struct lp_pool;

struct lp_places {
    uint32_t held;
    uint32_t fresh;  /* of these, granted since workers were started last */
    uint32_t wanted; /* as was told */
    uint32_t share;  /* as it was told, as the next */
    enum lp_yield yield;
    uint32_t overdue; /* killed, long in dying: they hold no place */
};

/* Kept for this pool by its governor, idle or not. */
uint32_t lp_places_reserve(uint32_t min_workers);

/* A worker may be started. */
bool lp_places_has_one(const struct lp_pool *pool);
/* Workers that are beyond what the pool may keep now. */
bool lp_places_is_excessive(const struct lp_pool *pool, uint32_t ready);

void lp_places_told(struct lp_pool *pool, const struct lp_event *event);
/* After tasks were handed out: who is idle leaves, if others wait. */
void lp_places_yield(struct lp_pool *pool);
/* Before workers are started: who dies beyond its share leaves its place to those who wait. */
void lp_places_return(struct lp_pool *pool);
/* After workers were started: `lacking` more would be now, were there places; `missing` are wanted in all. */
void lp_places_settle(struct lp_pool *pool, uint32_t lacking, uint32_t missing);

#endif
