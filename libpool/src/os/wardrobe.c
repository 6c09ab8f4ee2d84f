/* SPDX-License-Identifier: MIT */
#include "os/wardrobe.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pieces.h"
#include "sys/sys.h"

#define FRONT_BYTES sizeof(uint64_t) /* of a place: how much of it is filled */

struct shared {
    _Alignas(64) char places[2][LP_WARDROBE_PLACE_BYTES];
    uint32_t assigned[]; /* by slot: enum lp_place */
};

struct lp_wardrobe {
    struct shared *shared;
    uint32_t slots;
    bool is_mapped;      /* by us, in the host */
    uint32_t assigned[]; /* the same, and ours */
};

size_t lp_wardrobe_bytes(uint32_t slots)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = sizeof(struct shared) + slots * sizeof(uint32_t);
    return (bytes + page - 1) / page * page;
}

static size_t own_bytes(uint32_t slots)
{
    return sizeof(struct lp_wardrobe) + slots * sizeof(uint32_t);
}

struct lp_wardrobe *lp_wardrobe_open_at(void *memory, uint32_t slots,
                                        const libpool_allocator *allocator)
{
    struct lp_wardrobe *wardrobe = lp_alloc_zeroed(allocator, own_bytes(slots));
    if (wardrobe == NULL)
        return NULL;
    wardrobe->slots = slots;
    wardrobe->shared = memory;
    return wardrobe;
}

struct lp_wardrobe *lp_wardrobe_open(uint32_t slots, const libpool_allocator *allocator)
{
    size_t bytes = lp_wardrobe_bytes(slots);
    struct lp_wardrobe *wardrobe = lp_wardrobe_open_at(NULL, slots, allocator);
    if (wardrobe == NULL)
        return NULL;
    wardrobe->is_mapped = true;
    wardrobe->shared = lp_sys.map_shared(bytes);
    if (wardrobe->shared != NULL && lp_sys.set_inherited(wardrobe->shared, bytes, false) == 0)
        return wardrobe;
    lp_wardrobe_close(wardrobe, false, allocator);
    return NULL;
}

void lp_wardrobe_close(struct lp_wardrobe *wardrobe, bool forked,
                       const libpool_allocator *allocator)
{
    if (wardrobe == NULL)
        return;
    if (wardrobe->shared != NULL && wardrobe->is_mapped && !forked)
        (void)lp_sys.unmap(wardrobe->shared, lp_wardrobe_bytes(wardrobe->slots));
    lp_release(allocator, wardrobe, own_bytes(wardrobe->slots));
}

void *lp_wardrobe_memory(const struct lp_wardrobe *wardrobe, size_t *size)
{
    *size = lp_wardrobe_bytes(wardrobe->slots);
    return wardrobe->shared;
}

static char *place_of(const struct lp_wardrobe *wardrobe, uint32_t place)
{
    return wardrobe->shared->places[place == LP_PLACE_SECOND];
}

static void put(void *pen, const void *data, size_t size)
{
    lp_pieces_put(pen, data, size);
}

int lp_wardrobe_fill(struct lp_wardrobe *wardrobe, enum lp_place place,
                     const libpool_outfit *outfit)
{
    char *at = place_of(wardrobe, place);
    struct lp_pieces_pen pen = {.at = at + FRONT_BYTES,
                                .room = LP_WARDROBE_PLACE_BYTES - FRONT_BYTES};
    int error = lp_outfit_pack_given(outfit, put, &pen);
    if (!error && pen.used > pen.room)
        error = -E2BIG;
    if (error)
        return error;
    const uint64_t filled = pen.used;
    memcpy(at, &filled, sizeof(filled));
    return 0;
}

void lp_wardrobe_assign(struct lp_wardrobe *wardrobe, uint32_t slot, enum lp_place place)
{
    wardrobe->assigned[slot] = wardrobe->shared->assigned[slot] = place;
}

enum lp_place lp_wardrobe_assigned(const struct lp_wardrobe *wardrobe, uint32_t slot)
{
    return (enum lp_place)wardrobe->assigned[slot];
}

static const void *take(void *reader, size_t *size)
{
    return lp_pieces_take(reader, size);
}

/* Out of a copy, so that what was checked is what is used. */
static int unpack(const struct lp_wardrobe *wardrobe, uint32_t place, struct lp_outfit **outfit)
{
    static const libpool_allocator from_malloc;
    const char *at = place_of(wardrobe, place);
    uint64_t filled;
    memcpy(&filled, at, sizeof(filled));
    if (filled == 0 || filled > LP_WARDROBE_PLACE_BYTES - FRONT_BYTES)
        return -EPROTO;
    char *copy = lp_alloc(&from_malloc, filled);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, at + FRONT_BYTES, filled);
    struct lp_pieces_reader reader = {.at = copy, .left = filled};
    int error = lp_outfit_unpack(outfit, take, &reader);
    if (!error && (reader.is_bad || reader.left != 0))
        error = -EPROTO;
    lp_release(&from_malloc, copy, filled);
    return error;
}

int lp_wardrobe_take(const struct lp_wardrobe *wardrobe, uint32_t slot, struct lp_outfit *opening,
                     struct lp_outfit **outfit)
{
    uint32_t place = *(const volatile uint32_t *)&wardrobe->shared->assigned[slot];
    int error = place > LP_PLACE_SECOND ? -EPROTO : 0;
    *outfit = place == LP_PLACE_OPENING ? opening : NULL;
    if (!error && place >= LP_PLACE_FIRST)
        error = unpack(wardrobe, place, outfit);
    (void)lp_sys.unmap(wardrobe->shared, lp_wardrobe_bytes(wardrobe->slots));
    return error;
}
