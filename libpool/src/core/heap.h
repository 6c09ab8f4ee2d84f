/* SPDX-License-Identifier: MIT */
/*
 * heap: a binary min-heap of deadlines. Each id is in it at most once; its place is remembered, so
 * that a deadline can be changed or taken out in O(log n). Memory is the caller's.
 */
#ifndef LP_CORE_HEAP_H
#define LP_CORE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct lp_heap_item {
    uint64_t key;
    uint32_t id;
};

struct lp_heap {
    struct lp_heap_item *items; /* capacity: as many as there are ids */
    uint32_t *places;           /* by id: index in items plus one, 0 when absent */
    uint32_t count;
};

void lp_heap_set(struct lp_heap *heap, uint32_t id, uint64_t key); /* inserts or moves */
void lp_heap_remove(struct lp_heap *heap, uint32_t id);            /* absent is fine */
bool lp_heap_has(const struct lp_heap *heap, uint32_t id);
uint64_t lp_heap_key(const struct lp_heap *heap, uint32_t id); /* of one that is in it */
/* The smallest key, UINT64_MAX when empty. */
uint64_t lp_heap_first_key(const struct lp_heap *heap);

#endif
