/* SPDX-License-Identifier: MIT */
#include "slab.h"

#include <stdatomic.h>
#include <stdint.h>

#include "base/alloc.h"

#define CHUNK_ITEMS 64
#define LINE_BYTES 64u /* of the cache: where items begin */
#define CHUNKS_MAX 64  /* 4,096 items: a deep window of tiny tasks; what is beyond is not tiny */

struct lp_slab {
    libpool_allocator allocator;
    size_t item_bytes, stride_bytes;
    struct lp_slab_item *free;
    char *chunks[CHUNKS_MAX];
    uint32_t n_chunks;
    _Atomic(struct lp_slab_item *) returned; /* closed(): nobody takes any more */
    _Atomic int64_t left; /* after close: items still out, less those given back since */
};

/* What `returned` says after close: no item is at the slab's own address. */
static struct lp_slab_item *closed(struct lp_slab *slab)
{
    return (struct lp_slab_item *)(void *)slab;
}

struct lp_slab *lp_slab_open(const libpool_allocator *allocator, size_t item_bytes)
{
    struct lp_slab *slab = lp_alloc_zeroed(allocator, sizeof *slab);
    if (!slab)
        return NULL;
    slab->allocator = *allocator;
    slab->item_bytes = item_bytes;
    slab->stride_bytes = (item_bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    return slab;
}

static size_t chunk_bytes(const struct lp_slab *slab)
{
    return slab->stride_bytes * CHUNK_ITEMS + LINE_BYTES;
}

static void free_slab(struct lp_slab *slab)
{
    libpool_allocator allocator = slab->allocator;
    for (uint32_t i = 0; i < slab->n_chunks; i++)
        lp_release(&allocator, slab->chunks[i], chunk_bytes(slab));
    lp_release(&allocator, slab, sizeof *slab);
}

static void add_chunk(struct lp_slab *slab)
{
    char *chunk = NULL;
    if (slab->n_chunks < CHUNKS_MAX)
        chunk = lp_alloc_zeroed(&slab->allocator, chunk_bytes(slab));
    if (!chunk)
        return;
    slab->chunks[slab->n_chunks++] = chunk;
    chunk += -(uintptr_t)chunk & (LINE_BYTES - 1);
    for (size_t i = CHUNK_ITEMS; i-- > 0;) {
        struct lp_slab_item *item = (void *)(chunk + i * slab->stride_bytes);
        *item = (struct lp_slab_item){.slab = slab, .next = slab->free};
        slab->free = item;
    }
}

struct lp_slab_item *lp_slab_take(struct lp_slab *slab)
{
    if (!slab->free)
        slab->free = atomic_exchange_explicit(&slab->returned, NULL, memory_order_acquire);
    if (!slab->free)
        add_chunk(slab);
    struct lp_slab_item *item = slab->free;
    if (item) {
        slab->free = item->next;
        return item;
    }
    return lp_alloc_zeroed(&slab->allocator, slab->item_bytes); /* by itself: no slab */
}

static void leave_closed(struct lp_slab *slab, int64_t items)
{
    if (atomic_fetch_add_explicit(&slab->left, items, memory_order_acq_rel) + items == 0)
        free_slab(slab);
}

void lp_slab_give(struct lp_slab_item *item)
{
    struct lp_slab *slab = item->slab;
    struct lp_slab_item *first = atomic_load_explicit(&slab->returned, memory_order_relaxed);
    do {
        if (first == closed(slab)) {
            leave_closed(slab, -1);
            return;
        }
        item->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&slab->returned, &first, item,
                                                    memory_order_release, memory_order_relaxed));
}

static int64_t count(const struct lp_slab_item *item)
{
    int64_t items = 0;
    for (; item; item = item->next)
        items++;
    return items;
}

void lp_slab_close(struct lp_slab *slab)
{
    const struct lp_slab_item *last = atomic_exchange_explicit(&slab->returned, closed(slab),
                                                               memory_order_acq_rel);
    leave_closed(slab, (int64_t)slab->n_chunks * CHUNK_ITEMS - count(slab->free) - count(last));
}
