/* SPDX-License-Identifier: MIT */
#include "core/quarantine.h"

#include <stddef.h>

static struct lp_kind *find(struct lp_quarantine *quarantine, uint64_t kind)
{
    for (uint32_t i = 0; kind && i < quarantine->count; i++)
        if (quarantine->kinds[i].kind == kind)
            return &quarantine->kinds[i];
    return NULL;
}

/* Goes sooner than the other. */
static bool is_lesser(const struct lp_kind *a, const struct lp_kind *b)
{
    if (!a->until_ns != !b->until_ns)
        return !a->until_ns;
    return a->touched < b->touched;
}

static struct lp_kind *add(struct lp_quarantine *quarantine, uint64_t kind)
{
    struct lp_kind *place = &quarantine->kinds[0];
    if (quarantine->count < LP_KINDS_MAX) {
        place = &quarantine->kinds[quarantine->count++];
    } else {
        for (uint32_t i = 1; i < LP_KINDS_MAX; i++)
            if (is_lesser(&quarantine->kinds[i], place))
                place = &quarantine->kinds[i];
    }
    *place = (struct lp_kind){.kind = kind};
    return place;
}

static void forget(struct lp_quarantine *quarantine, struct lp_kind *place)
{
    *place = quarantine->kinds[--quarantine->count];
}

/* Its time may be up: then it is on probation. */
static bool is_held(const struct lp_quarantine *quarantine, struct lp_kind *place, uint64_t now_ns)
{
    if (place->until_ns && place->until_ns <= now_ns) {
        place->until_ns = 0;
        place->deaths = quarantine->limit - 1;
    }
    return place->until_ns != 0;
}

bool lp_quarantine_died(struct lp_quarantine *quarantine, uint64_t kind, uint64_t now_ns)
{
    if (!quarantine->limit || !kind)
        return false;
    struct lp_kind *place = find(quarantine, kind);
    if (!place)
        place = add(quarantine, kind);
    place->touched = ++quarantine->turn;
    if (is_held(quarantine, place, now_ns) || ++place->deaths < quarantine->limit)
        return false;
    place->until_ns = quarantine->period_ns ? now_ns + quarantine->period_ns : UINT64_MAX;
    return true;
}

void lp_quarantine_worked(struct lp_quarantine *quarantine, uint64_t kind, uint64_t now_ns)
{
    struct lp_kind *place = find(quarantine, kind);
    if (place && !is_held(quarantine, place, now_ns))
        forget(quarantine, place);
}

bool lp_quarantine_holds(struct lp_quarantine *quarantine, uint64_t kind, uint64_t now_ns)
{
    struct lp_kind *place = find(quarantine, kind);
    return place && is_held(quarantine, place, now_ns);
}

bool lp_quarantine_pardon(struct lp_quarantine *quarantine, uint64_t kind, uint64_t now_ns)
{
    struct lp_kind *place = find(quarantine, kind);
    bool guilty = place && (is_held(quarantine, place, now_ns) || place->deaths);
    if (place)
        forget(quarantine, place);
    return guilty;
}
