/* SPDX-License-Identifier: MIT */
/* The heap against the plainest thing that does the same: an array looked through from end to end. */
#include "core/heap.h"

#include "harness/test.h"

#define IDS 50u

struct pair {
    struct lp_heap heap;
    struct lp_heap_item items[IDS];
    uint32_t places[IDS];
    uint64_t keys[IDS]; /* 0: absent */
};

static void open_pair(struct pair *pair)
{
    *pair = (struct pair){.heap = {.count = 0}};
    pair->heap.items = pair->items;
    pair->heap.places = pair->places;
}

static void set(struct pair *pair, uint32_t id, uint64_t key)
{
    lp_heap_set(&pair->heap, id, key);
    pair->keys[id] = key;
}

static void take_out(struct pair *pair, uint32_t id)
{
    lp_heap_remove(&pair->heap, id);
    pair->keys[id] = 0;
}

static uint64_t smallest(const struct pair *pair)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t id = 0; id < IDS; id++)
        if (pair->keys[id] && pair->keys[id] < least)
            least = pair->keys[id];
    return least;
}

static bool agrees(const struct pair *pair)
{
    for (uint32_t id = 0; id < IDS; id++) {
        if (lp_heap_has(&pair->heap, id) != (pair->keys[id] != 0))
            return false;
        if (pair->keys[id] && lp_heap_key(&pair->heap, id) != pair->keys[id])
            return false;
    }
    return lp_heap_first_key(&pair->heap) == smallest(pair);
}

TEST(heap, is_empty_at_first)
{
    struct pair pair;
    open_pair(&pair);
    CU_ASSERT_EQUAL(lp_heap_first_key(&pair.heap), UINT64_MAX);
    CU_ASSERT_FALSE(lp_heap_has(&pair.heap, 0));
}

TEST(heap, an_absent_id_may_be_removed)
{
    struct pair pair;
    open_pair(&pair);
    set(&pair, 1, 7);
    take_out(&pair, 2);
    take_out(&pair, 1);
    take_out(&pair, 1);
    CU_ASSERT(agrees(&pair));
}

TEST(heap, a_key_moves_both_ways)
{
    struct pair pair;
    open_pair(&pair);
    for (uint32_t id = 0; id < IDS; id++)
        set(&pair, id, 100 + id);
    set(&pair, 40, 1);
    CU_ASSERT(agrees(&pair));
    set(&pair, 40, 1000);
    CU_ASSERT(agrees(&pair));
    CU_ASSERT_EQUAL(pair.heap.count, IDS);
}

TEST(heap, agrees_with_an_array_through_many_changes)
{
    struct pair pair;
    uint64_t x = 88172645463325252u;
    uint32_t disagreed = 0;
    open_pair(&pair);
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        uint32_t id = (uint32_t)(x % IDS);
        if (x >> 32 & 1)
            set(&pair, id, 1 + (x >> 40) % 30); /* equal keys are common */
        else
            take_out(&pair, id);
        disagreed += !agrees(&pair);
    }
    CU_ASSERT_EQUAL(disagreed, 0);
}
