/* SPDX-License-Identifier: MIT */
/*
 * wardrobe: outfits that are set when the zygote has been started already.
 *
 * What the host writes after that is in no worker's copy of its memory. So there is some shared memory,
 * mapped before the first zygote: two places for an outfit, so that one can be filled while workers put on
 * what is in the other, and for each slot a word that says which. The host writes it before it asks for the
 * worker; a worker copies what it finds there and unmaps it before any code of the application runs. A
 * zygote that is forked finds it at its address, one that is executed in the memory that it is handed.
 *
 * A process that should not might write there all the same. So the host only ever writes: what it has to
 * know of the wardrobe it has for itself, and an outfit lies there without pointers, in pieces of which
 * the worker believes nothing (pieces.h).
 */
#ifndef LP_OS_WARDROBE_H
#define LP_OS_WARDROBE_H

#include "os/outfit.h"

#define LP_WARDROBE_PLACE_BYTES (256u * 1024) /* an outfit with all it points to, in pieces */

enum lp_place {
    LP_PLACE_OPENING = 0, /* what was set when the pool was opened */
    LP_PLACE_NONE,        /* nothing: as the application has it */
    LP_PLACE_FIRST,
    LP_PLACE_SECOND
};

struct lp_wardrobe;

/* NULL: no memory. */
struct lp_wardrobe *lp_wardrobe_open(uint32_t slots, const libpool_allocator *allocator);

/* What is shared takes so many bytes, whole pages. */
size_t lp_wardrobe_bytes(uint32_t slots);
/* The same in memory of so many bytes that somebody else has mapped, shares and unmaps; zeroed by now. */
struct lp_wardrobe *lp_wardrobe_open_at(void *memory, uint32_t slots,
                                        const libpool_allocator *allocator);
/* `forked`: in a copy of the application, where the shared memory is not. */
void lp_wardrobe_close(struct lp_wardrobe *wardrobe, bool forked,
                       const libpool_allocator *allocator);

/* What is shared, and mapped by it; no child inherits it but as the zygote (zygote.h). */
void *lp_wardrobe_memory(const struct lp_wardrobe *wardrobe, size_t *size);

/* 0, -EINVAL (see libpool_outfit), -E2BIG. The place is LP_PLACE_FIRST or later, and nobody looks into it. */
int lp_wardrobe_fill(struct lp_wardrobe *wardrobe, enum lp_place place,
                     const libpool_outfit *outfit);

void lp_wardrobe_assign(struct lp_wardrobe *wardrobe, uint32_t slot, enum lp_place place);
enum lp_place lp_wardrobe_assigned(const struct lp_wardrobe *wardrobe, uint32_t slot);

/*
 * In a worker: what its slot is to wear, a copy that stays, and the shared memory is gone. `opening` is
 * what the pool was opened with. 0, -ENOMEM, -EPROTO (nobody of ours has written that).
 */
int lp_wardrobe_take(const struct lp_wardrobe *wardrobe, uint32_t slot, struct lp_outfit *opening,
                     struct lp_outfit **outfit);

#endif
