/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <sched.h>

#include "sys/sys.h"

#define LONGEST_NS 100000u /* about what a sleep and a wake-up across cores cost in CPU time */
#define FIRST_NS 20000u
#define SHORTEST_NS 2000u

/* Calls for each scanned window; the list may change meanwhile, the windows stay. */
#define FOR_EACH_SCANNED(pool, window)                                                         \
    for (uint32_t i_ = 0, n_ = atomic_load_explicit(&(pool)->n_scanned, memory_order_acquire); \
         i_ < n_ && ((window) = window_at((pool), i_)); i_++)

static struct lp_window *window_at(const libpool *pool, uint32_t i)
{
    return pool->lines[atomic_load_explicit(&pool->scanned[i], memory_order_relaxed)].window;
}

static void say_watched(const libpool *pool, int cpu)
{
    struct lp_window *window;
    FOR_EACH_SCANNED(pool, window)
    lp_window_watch(window, cpu);
}

static void begin(libpool *pool)
{
    if (atomic_fetch_add_explicit(&pool->watchers, 1, memory_order_relaxed) == 0)
        say_watched(pool, sched_getcpu());
}

static void end(libpool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->watchers, 1, memory_order_relaxed) == 1)
        say_watched(pool, -1);
}

static bool is_something_there(const libpool *pool)
{
    const struct lp_window *window;
    FOR_EACH_SCANNED(pool, window)
    if (lp_window_has_reply(window))
        return true;
    return false;
}

static bool look(libpool *pool)
{
    if (!is_something_there(pool))
        return false;
    pthread_mutex_lock(&pool->lock);
    bool ended = lp_supervisor_take(pool);
    pthread_mutex_unlock(&pool->lock);
    return ended;
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

bool lp_watch(libpool *pool, const struct lp_awaited *awaited, uint64_t deadline_ns)
{
    uint64_t begun_ns = lp_supervisor_now(), now_ns = begun_ns;
    uint32_t watch_ns = atomic_load_explicit(&pool->watch_ns, memory_order_relaxed);
    begin(pool);
    while (!lp_awaited_came(awaited) && now_ns - begun_ns <= watch_ns && now_ns < deadline_ns) {
        bool flows = look(pool);
        if (!flows)
            (void)lp_sys.sched_yield();
        now_ns = lp_supervisor_now();
        if (flows)
            begun_ns = now_ns; /* as long as results come it pays to take them */
    }
    end(pool);
    bool hit = lp_awaited_came(awaited);
    adapt(pool, now_ns - begun_ns, hit);
    return hit;
}
