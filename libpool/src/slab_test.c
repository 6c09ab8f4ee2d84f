/* SPDX-License-Identifier: MIT */
/* What is given back is used again, from any thread, and nothing is left after the last one. */
#include "slab.h"

#include "harness/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define MANY 5000 /* more than a slab keeps */

struct item {
    struct lp_slab_item item;
    long number;
};

static _Atomic long bytes_out;

static void *take_bytes(void *context, size_t size)
{
    (void)context;
    bytes_out += (long)size;
    return malloc(size);
}

static void give_bytes(void *context, void *pointer, size_t size)
{
    (void)context;
    bytes_out -= (long)size;
    free(pointer);
}

static const libpool_allocator counting = {.allocate = take_bytes, .release = give_bytes};

static struct item *take(struct lp_slab *slab)
{
    return (struct item *)(void *)lp_slab_take(slab);
}

static void give(struct item *item)
{
    if (item->item.slab)
        lp_slab_give(&item->item);
    else
        give_bytes(NULL, item, sizeof *item);
}

TEST(slab, what_was_given_back_is_taken_again)
{
    struct lp_slab *slab = lp_slab_open(&counting, sizeof(struct item));
    struct item *first = take(slab);
    long out = bytes_out;
    for (int i = 0; i < 1000; i++) {
        give(first);
        first = take(slab);
    }
    CU_ASSERT_EQUAL(bytes_out, out);
    give(first);
    lp_slab_close(slab);
    CU_ASSERT_EQUAL(bytes_out, 0);
}

TEST(slab, a_new_item_is_zeroed_and_begins_with_a_line_of_the_cache)
{
    struct lp_slab *slab = lp_slab_open(&counting, sizeof(struct item));
    struct item *items[100];
    for (int i = 0; i < 100; i++) {
        items[i] = take(slab);
        CU_ASSERT_EQUAL(items[i]->number, 0);
        CU_ASSERT_EQUAL((uintptr_t)items[i] % 64, 0);
        items[i]->number = 1;
    }
    for (int i = 0; i < 100; i++)
        give(items[i]);
    lp_slab_close(slab);
}

TEST(slab, more_than_are_kept_are_allocated_one_by_one_and_freed_at_once)
{
    static struct item *items[MANY];
    struct lp_slab *slab = lp_slab_open(&counting, sizeof(struct item));
    long single = 0;
    for (int i = 0; i < MANY; i++) {
        items[i] = take(slab);
        items[i]->number = i;
        single += items[i]->item.slab == NULL;
    }
    CU_ASSERT_EQUAL(single, MANY - 4096);
    long out = bytes_out, wrong = 0;
    for (int i = 0; i < MANY; i++) {
        wrong += items[i]->number != i;
        give(items[i]);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(bytes_out, out - single * (long)sizeof(struct item));
    lp_slab_close(slab);
    CU_ASSERT_EQUAL(bytes_out, 0);
}

TEST(slab, it_outlives_its_pool_as_long_as_an_item_is_out)
{
    struct lp_slab *slab = lp_slab_open(&counting, sizeof(struct item));
    struct item *one = take(slab), *two = take(slab);
    lp_slab_close(slab);
    one->number = 1;
    give(two);
    CU_ASSERT(bytes_out > 0);
    CU_ASSERT_EQUAL(one->number, 1);
    give(one);
    CU_ASSERT_EQUAL(bytes_out, 0);
}

struct giver {
    _Atomic(struct item *) handed;
    long given;
};

static void *give_all(void *arg)
{
    struct giver *giver = arg;
    while (giver->given < 100000) {
        struct item *item = atomic_exchange(&giver->handed, NULL);
        if (!item)
            continue;
        give(item);
        giver->given++;
    }
    return NULL;
}

/* Close comes while another thread is still giving back. */
TEST(slab, items_come_back_from_another_thread)
{
    struct lp_slab *slab = lp_slab_open(&counting, sizeof(struct item));
    struct giver giver = {.handed = NULL};
    pthread_t thread;
    pthread_create(&thread, NULL, give_all, &giver);
    for (long i = 0; i < 100000; i++) {
        struct item *item = take(slab), *none = NULL;
        item->number = i;
        while (!atomic_compare_exchange_weak(&giver.handed, &none, item))
            none = NULL;
    }
    lp_slab_close(slab);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(bytes_out, 0);
}
