/* SPDX-License-Identifier: MIT */
/*
 * pieces: bytes of any length, one behind the other, in memory that another process reads.
 *
 * Each has its length in front and begins at a multiple of 8. Who reads believes no length: a piece that
 * does not fit into what is left is bad, and so is all that follows.
 */
#ifndef LP_BASE_PIECES_H
#define LP_BASE_PIECES_H

#include <stdbool.h>
#include <stddef.h>

struct lp_pieces_pen {
    char *at; /* NULL: only counts */
    size_t used;
    size_t room; /* what goes beyond is counted, and not written */
};

struct lp_pieces_reader {
    const char *at;
    size_t left;
    bool is_bad;
};

void lp_pieces_put(struct lp_pieces_pen *pen, const void *data, size_t size);

/* Where it is; NULL and size 0: it is bad. */
const void *lp_pieces_take(struct lp_pieces_reader *reader, size_t *size);

#endif
