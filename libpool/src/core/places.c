/* SPDX-License-Identifier: MIT */
#include "core/places.h"

#include "core/pool.h"

uint32_t lp_places_reserve(uint32_t min_workers)
{
    return min_workers ? min_workers : 1;
}

static uint32_t used(const struct lp_pool *pool)
{
    uint32_t count = 0;
    for (int state = LP_WORKER_SPAWNING; state <= LP_WORKER_GONE; state++)
        count += pool->in_state[state];
    return count - pool->places.overdue;
}

bool lp_places_has_one(const struct lp_pool *pool)
{
    const struct lp_places *places = &pool->places;
    if (!pool->config.governed)
        return true;
    bool is_much = places->yield == LP_YIELD_SHARE && used(pool) >= places->share;
    return used(pool) < places->held && !is_much;
}

bool lp_places_is_excessive(const struct lp_pool *pool, uint32_t ready)
{
    return pool->places.yield == LP_YIELD_SHARE && ready > pool->places.share;
}

void lp_places_told(struct lp_pool *pool, const struct lp_event *event)
{
    struct lp_places *places = &pool->places;
    places->held += event->granted;
    places->fresh += event->granted;
    places->wanted -= event->granted < places->wanted ? event->granted : places->wanted;
    places->share = event->share;
    places->yield = event->yield;
}

void lp_places_yield(struct lp_pool *pool)
{
    if (pool->places.yield == LP_YIELD_NOTHING || pool->phase != LP_PHASE_OPEN)
        return;
    uint32_t reserve = lp_places_reserve(pool->config.min_workers);
    while (pool->tasks.pending == 0 && pool->tasks.prefetched == 0 &&
           pool->idle_oldest != LP_NONE &&
           pool->in_state[LP_WORKER_IDLE] + pool->in_state[LP_WORKER_BUSY] > reserve)
        lp_worker_retire(pool, pool->idle_oldest);
}

/* All but those that it uses or has just got, and up to its share those that it needs. */
static void give_back(struct lp_pool *pool, uint32_t needs)
{
    struct lp_places *places = &pool->places;
    uint32_t bound = used(pool) + places->fresh, keep = used(pool) + needs;
    keep = keep < places->share ? keep : places->share;
    keep = keep > bound ? keep : bound;
    if (places->held <= keep)
        return;
    lp_pool_emit(pool, LP_ACTION_GIVE, LP_NONE)->count = places->held - keep;
    places->held = keep;
}

void lp_places_return(struct lp_pool *pool)
{
    if (pool->places.yield != LP_YIELD_NOTHING && pool->phase != LP_PHASE_DOWN)
        give_back(pool, pool->places.share);
}

void lp_places_settle(struct lp_pool *pool, uint32_t lacking, uint32_t missing)
{
    if (!pool->config.governed || pool->phase == LP_PHASE_DOWN)
        return;
    pool->places.fresh = 0;
    give_back(pool, missing);
    uint32_t left = pool->places.held - used(pool);
    lacking -= left < lacking ? left : lacking;
    if (lacking == pool->places.wanted)
        return;
    pool->places.wanted = lacking;
    lp_pool_emit(pool, LP_ACTION_WANT, LP_NONE)->count = lacking;
}
