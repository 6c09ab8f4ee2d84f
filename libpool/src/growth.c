/* SPDX-License-Identifier: MIT */
#include "growth.h"

#include <malloc.h>

#include "os/weight.h"

static uint64_t or_never(uint64_t bytes)
{
    return bytes ? bytes : UINT64_MAX;
}

void lp_growth_begin(struct lp_growth *growth, const libpool_options *options,
                     const struct lp_cgroup_place *place, uint32_t slot)
{
    uint64_t limit = or_never(options->memory_limit_bytes);
    uint64_t recycle = or_never(options->recycle_bytes);
    *growth = (struct lp_growth){.most_bytes = limit < recycle ? limit : recycle,
                                 .trim_bytes = or_never(options->trim_bytes),
                                 .slot = slot};
    if (growth->most_bytes != UINT64_MAX || growth->trim_bytes != UINT64_MAX)
        growth->base_bytes = lp_weight_own();
    if (limit == UINT64_MAX || !lp_cgroup_place_oom_kills(place, slot, &growth->oom_kills))
        return;
    growth->place = place;
}

static uint64_t less(uint64_t bytes, uint64_t by)
{
    return bytes > by ? bytes - by : 0;
}

static uint64_t grown(const struct lp_growth *growth, uint64_t own_bytes)
{
    return less(less(lp_weight_own(), growth->base_bytes), own_bytes);
}

void lp_growth_give_back(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

/* What is in use stays, and is not tried again and again: more has to come first. */
bool lp_growth_look(struct lp_growth *growth, uint64_t own_bytes, uint64_t now_ns)
{
    uint64_t bytes = grown(growth, own_bytes);
    growth->looked_ns = now_ns;
    if (bytes < growth->kept_bytes)
        growth->kept_bytes = bytes;
    if (bytes - growth->kept_bytes > growth->trim_bytes) {
        lp_growth_give_back();
        growth->kept_bytes = bytes = grown(growth, own_bytes);
    }
    return bytes > growth->most_bytes;
}

bool lp_growth_was_cut(const struct lp_growth *growth, uint64_t run_ns)
{
    uint64_t oom_kills;
    return run_ns >= LP_GROWTH_TREE_NS &&
           lp_cgroup_place_oom_kills(growth->place, growth->slot, &oom_kills) &&
           oom_kills > growth->oom_kills;
}
