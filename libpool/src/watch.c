/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include "sys/sys.h"

#define SLOTS_MAX 64      /* looking at more costs more than a wake-up */
#define LONGEST_NS 50000u /* about what a sleep and a wake-up across cores cost in CPU time */
#define FIRST_NS 10000u
#define SHORTEST_NS 2000u

static void say_watched(libpool *pool, bool watched)
{
    for (uint32_t slot = 0; slot < pool->core.slots; slot++)
        lp_window_watch(pool->lines[slot].window, watched);
}

static void begin(libpool *pool)
{
    if (atomic_fetch_add_explicit(&pool->watchers, 1, memory_order_relaxed) == 0)
        say_watched(pool, true);
}

static void end(libpool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->watchers, 1, memory_order_relaxed) == 1)
        say_watched(pool, false);
}

static void look(libpool *pool)
{
    for (uint32_t slot = 0; slot < pool->core.slots; slot++) {
        if (!lp_window_has_reply(pool->lines[slot].window))
            continue;
        pthread_mutex_lock(&pool->lock);
        lp_supervisor_pump(pool, slot);
        pthread_mutex_unlock(&pool->lock);
    }
}

/* Twice what a hit took, half of what was not enough: long tasks are soon hardly watched at all. */
static void adapt(libpool *pool, uint64_t watched_ns, bool hit)
{
    uint64_t next_ns = hit ? FIRST_NS + watched_ns * 2 : watched_ns / 2;
    if (next_ns > LONGEST_NS)
        next_ns = LONGEST_NS;
    if (next_ns < SHORTEST_NS)
        next_ns = SHORTEST_NS;
    atomic_store_explicit(&pool->watch_ns, (uint32_t)next_ns, memory_order_relaxed);
}

bool lp_watch(libpool *pool, libpool_future *future)
{
    if (pool->core.slots > SLOTS_MAX)
        return lp_future_has_ended(future);
    uint64_t begun_ns = lp_supervisor_now(), now_ns = begun_ns;
    uint32_t watch_ns = atomic_load_explicit(&pool->watch_ns, memory_order_relaxed);
    begin(pool);
    while (!lp_future_has_ended(future) && now_ns - begun_ns <= watch_ns) {
        look(pool);
        if (!lp_future_has_ended(future))
            (void)lp_sys.sched_yield();
        now_ns = lp_supervisor_now();
    }
    end(pool);
    bool hit = lp_future_has_ended(future);
    adapt(pool, now_ns - begun_ns, hit);
    return hit;
}
