/* SPDX-License-Identifier: MIT */
#include "core/heap.h"

static void place(struct lp_heap *heap, uint32_t index, struct lp_heap_item item)
{
    heap->items[index] = item;
    heap->places[item.id] = index + 1;
}

static void sift_up(struct lp_heap *heap, uint32_t index)
{
    struct lp_heap_item item = heap->items[index];
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;
        if (heap->items[parent].key <= item.key)
            break;
        place(heap, index, heap->items[parent]);
        index = parent;
    }
    place(heap, index, item);
}

static void sift_down(struct lp_heap *heap, uint32_t index)
{
    struct lp_heap_item item = heap->items[index];
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->items[child + 1].key < heap->items[child].key)
            child++;
        if (item.key <= heap->items[child].key)
            break;
        place(heap, index, heap->items[child]);
        index = child;
    }
    place(heap, index, item);
}

void lp_heap_set(struct lp_heap *heap, uint32_t id, uint64_t key)
{
    uint32_t index = heap->places[id] ? heap->places[id] - 1 : heap->count++;
    heap->items[index] = (struct lp_heap_item){.key = key, .id = id};
    heap->places[id] = index + 1;
    sift_up(heap, index);
    sift_down(heap, heap->places[id] - 1);
}

void lp_heap_remove(struct lp_heap *heap, uint32_t id)
{
    if (!heap->places[id])
        return;
    uint32_t index = heap->places[id] - 1;
    heap->places[id] = 0;
    heap->count--;
    if (index == heap->count)
        return;
    uint32_t moved = heap->items[heap->count].id;
    place(heap, index, heap->items[heap->count]);
    sift_up(heap, index);
    sift_down(heap, heap->places[moved] - 1);
}

bool lp_heap_has(const struct lp_heap *heap, uint32_t id)
{
    return heap->places[id] != 0;
}

uint64_t lp_heap_key(const struct lp_heap *heap, uint32_t id)
{
    return heap->items[heap->places[id] - 1].key;
}

uint64_t lp_heap_first_key(const struct lp_heap *heap)
{
    return heap->count ? heap->items[0].key : UINT64_MAX;
}
