/* SPDX-License-Identifier: MIT */
/*
 * outfit: what a worker process wears: environment, limits, CPUs... as the application asked for it.
 *
 * The host checks and copies it once, in one block that the zygote and the workers find in their copies
 * of the host's memory; a worker puts it on before its initializer runs. Limits come last: they may
 * forbid what the other steps need.
 */
#ifndef LP_OS_OUTFIT_H
#define LP_OS_OUTFIT_H

#include <stdbool.h>

#include <libpool.h>

struct lp_outfit;

/*
 * A deep copy; `given` is of this library's size. 0, -EINVAL (see libpool_outfit), -ENOMEM. NULL is
 * copied to NULL.
 */
int lp_outfit_copy(struct lp_outfit **copy, const libpool_outfit *given,
                   const libpool_allocator *allocator);
void lp_outfit_release(struct lp_outfit *outfit, const libpool_allocator *allocator);

/* Whether workers read from the host's descriptor 0, which the zygote then has to keep. NULL: no. */
bool lp_outfit_keeps_stdin(const struct lp_outfit *outfit);

/* Whether this stream, or any, is kept as a tail. NULL: no. The worker sees to that, not the wearing. */
bool lp_outfit_keeps_tail_of(const struct lp_outfit *outfit, int fd);
bool lp_outfit_keeps_tail(const struct lp_outfit *outfit);

/*
 * Piece by piece through `put`, and back through `take`, which gives what was put, in the same order, or
 * NULL with size 0 when there is none. 0, -EPROTO, -ENOMEM. The copy is from malloc. NULL is packed, too.
 */
void lp_outfit_pack(const struct lp_outfit *outfit,
                    void (*put)(void *pen, const void *data, size_t size), void *pen);
/* What was given, without a copy of it: 0, or -EINVAL (nothing was put). */
int lp_outfit_pack_given(const libpool_outfit *given,
                         void (*put)(void *pen, const void *data, size_t size), void *pen);
int lp_outfit_unpack(struct lp_outfit **copy, const void *(*take)(void *reader, size_t *size),
                     void *reader);

/* In a worker. 0, or -(LIBPOOL_STEP_... + errno) of the first step that failed; NULL: 0. */
int lp_outfit_wear(const struct lp_outfit *outfit, uint32_t slot);

#endif
