/* SPDX-License-Identifier: MIT */
#include "core/admission.h"

#include "core/pool.h"

bool lp_admission_is_open(const struct lp_pool *pool)
{
    const struct lp_admission *admission = &pool->admission;
    return !pool->config.admits || (admission->told && !admission->closed &&
                                    pool->now_ns < admission->told_ns + LP_ADMIT_NS);
}

bool lp_admission_admits(const struct lp_pool *pool)
{
    return lp_waiting_all(pool) || lp_admission_is_open(pool);
}

uint32_t lp_admission_share(const struct lp_pool *pool, uint32_t waiting)
{
    uint32_t one = waiting && lp_waiting_all(pool) ? 1 : 0;
    return lp_admission_is_open(pool) ? waiting : one;
}

/* Something waits that could run if there were enough memory. */
static bool matters(const struct lp_pool *pool)
{
    return pool->config.admits && pool->tasks.pending && pool->phase <= LP_PHASE_DRAINING &&
           lp_waiting_others(pool) < pool->config.max_workers;
}

bool lp_admission_is_paused(const struct lp_pool *pool)
{
    return pool->admission.closed && matters(pool);
}

void lp_admission_told(struct lp_pool *pool, const struct lp_event *event)
{
    struct lp_admission *admission = &pool->admission;
    bool changes = event->closes != admission->closed;
    admission->asked = false;
    admission->told = true;
    admission->told_ns = pool->now_ns;
    admission->closed = event->closes;
    if (!event->closes)
        pool->made_room = true; /* for what an idle worker can begin at once */
    if (!changes)
        return;
    pool->stats.admission_pauses += event->closes;
    lp_pool_note(pool,
                 event->closes ? LIBPOOL_EVENT_ADMISSION_PAUSED : LIBPOOL_EVENT_ADMISSION_RESUMED,
                 LP_NONE, LP_NONE);
}

uint64_t lp_admission_next_ns(const struct lp_pool *pool)
{
    const struct lp_admission *admission = &pool->admission;
    if (!matters(pool) || admission->asked)
        return UINT64_MAX;
    return admission->told ? admission->told_ns + LP_ADMIT_NS : 0;
}

void lp_admission_settle(struct lp_pool *pool)
{
    if (lp_admission_next_ns(pool) > pool->now_ns)
        return;
    pool->admission.asked = true;
    lp_pool_emit(pool, LP_ACTION_SAMPLE, LP_NONE);
}
