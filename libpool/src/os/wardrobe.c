/* SPDX-License-Identifier: MIT */
#include "os/wardrobe.h"

#include <errno.h>
#include <stddef.h>

#include "sys/sys.h"

struct lp_wardrobe {
    _Alignas(64) char places[2][LP_WARDROBE_PLACE_BYTES];
    uint32_t slots;
    uint32_t assigned[]; /* by slot: enum lp_place */
};

static size_t bytes_of(uint32_t slots)
{
    return sizeof(struct lp_wardrobe) + slots * sizeof(uint32_t);
}

struct lp_wardrobe *lp_wardrobe_open(uint32_t slots)
{
    struct lp_wardrobe *wardrobe = lp_sys.map_shared(bytes_of(slots));
    if (wardrobe)
        wardrobe->slots = slots;
    return wardrobe;
}

void lp_wardrobe_close(struct lp_wardrobe *wardrobe)
{
    if (wardrobe)
        (void)lp_sys.unmap(wardrobe, bytes_of(wardrobe->slots));
}

static char *place_of(struct lp_wardrobe *wardrobe, enum lp_place place)
{
    return wardrobe->places[place == LP_PLACE_SECOND];
}

/* The place itself, for what fits into it. */
static void *allocate_place(void *place, size_t size)
{
    return size <= LP_WARDROBE_PLACE_BYTES ? place : NULL;
}

static void release_place(void *place, void *pointer, size_t size)
{
    (void)place, (void)pointer, (void)size;
}

int lp_wardrobe_fill(struct lp_wardrobe *wardrobe, enum lp_place place,
                     const libpool_outfit *outfit)
{
    const libpool_allocator allocator = {
        .context = place_of(wardrobe, place), .allocate = allocate_place, .release = release_place};
    struct lp_outfit *copy;
    int error = lp_outfit_copy(&copy, outfit, &allocator);
    return error == -ENOMEM ? -E2BIG : error;
}

void lp_wardrobe_assign(struct lp_wardrobe *wardrobe, uint32_t slot, enum lp_place place)
{
    wardrobe->assigned[slot] = place;
}

enum lp_place lp_wardrobe_assigned(const struct lp_wardrobe *wardrobe, uint32_t slot)
{
    return (enum lp_place)wardrobe->assigned[slot];
}

bool lp_wardrobe_take(struct lp_wardrobe *wardrobe, uint32_t slot, struct lp_outfit *opening,
                      struct lp_outfit **outfit)
{
    static const libpool_allocator none;
    enum lp_place place = lp_wardrobe_assigned(wardrobe, slot);
    bool taken = true;
    *outfit = place == LP_PLACE_OPENING ? opening : NULL;
    if (place >= LP_PLACE_FIRST)
        taken = lp_outfit_again(outfit, (const struct lp_outfit *)(void *)place_of(wardrobe, place),
                                &none) == 0;
    lp_wardrobe_close(wardrobe);
    return taken;
}
