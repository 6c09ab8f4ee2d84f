/* SPDX-License-Identifier: MIT */
/*
 * buffer: the memory a worker receives its inputs into and collects its replies in.
 *
 * A large one is a mapping of its own, not malloc's: that keeps what is freed once the application has freed
 * as much, in an arena other than the first for ever, and an idle worker has to be small.
 */
#ifndef LP_BUFFER_H
#define LP_BUFFER_H

#include <stddef.h>

#define LP_BUFFER_MAPPED_BYTES ((size_t)1 << 20) /* from so much on */

/* All zero: empty. `size` is its owner's. */
struct lp_buffer {
    unsigned char *data;
    size_t size, capacity;
};

/* Room for `size` bytes; those that were there are kept. -ENOMEM: as it was. */
int lp_buffer_reserve(struct lp_buffer *buffer, size_t size);

/* Leaves it empty. */
void lp_buffer_free(struct lp_buffer *buffer);

#endif
