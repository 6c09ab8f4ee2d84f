/* SPDX-License-Identifier: MIT */
/*
 * alloc: the host side's memory, through the application's allocator if it gave one.
 */
#ifndef LP_BASE_ALLOC_H
#define LP_BASE_ALLOC_H

#include <stddef.h>

#include <libpool.h>

/* NULL when there is none, or for size 0. Aligned to 16. */
void *lp_alloc(const libpool_allocator *allocator, size_t size);
void *lp_alloc_zeroed(const libpool_allocator *allocator, size_t size);
/* The block's first `used` bytes in one of new_size; NULL: no memory, and the block is as it was. */
void *lp_grow(const libpool_allocator *allocator, void *pointer, size_t size, size_t used,
              size_t new_size);
/* size as it was asked for. NULL is fine. */
void lp_release(const libpool_allocator *allocator, void *pointer, size_t size);

#endif
