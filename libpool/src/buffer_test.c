/* SPDX-License-Identifier: MIT */
#include "buffer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/test.h"

/* Resident pages of it; fewer than none: it is no mapping (any more). */
static int count_pages(void *data, size_t size)
{
    static unsigned char resident[(8 << 20) / 4096 + 1];
    int n = 0;
    if (mincore((void *)((uintptr_t)data & ~(uintptr_t)4095), size, resident))
        return -errno;
    for (size_t i = 0; i < size / 4096; i++)
        n += resident[i] & 1;
    return n;
}

TEST(buffer, it_keeps_its_bytes_while_it_grows)
{
    struct lp_buffer buffer = {.data = NULL};
    for (size_t size = 1; size <= 8u << 20; size *= 2) {
        CU_ASSERT_EQUAL_FATAL(lp_buffer_reserve(&buffer, size), 0);
        CU_ASSERT_FATAL(buffer.capacity >= size);
        memset(buffer.data + size / 2, (int)(size % 251), size - size / 2);
        for (size_t half = 1; half <= size; half *= 2)
            CU_ASSERT_EQUAL(buffer.data[half - 1], half % 251);
    }
    lp_buffer_free(&buffer);
    CU_ASSERT(!buffer.data && !buffer.capacity);
}

TEST(buffer, a_large_one_goes_back_to_the_kernel_whatever_malloc_keeps)
{
    const size_t size = LP_BUFFER_MAPPED_BYTES;
    void *volatile larger = malloc(8 * size);
    free(larger);
    struct lp_buffer buffer = {.data = NULL};
    CU_ASSERT_EQUAL_FATAL(lp_buffer_reserve(&buffer, size), 0);
    memset(buffer.data, 1, size);
    void *data = buffer.data;
    CU_ASSERT_EQUAL(count_pages(data, size), (int)(size / 4096));
    lp_buffer_free(&buffer);
    CU_ASSERT_EQUAL(count_pages(data, size), -ENOMEM);
}

TEST(buffer, what_there_is_no_memory_for_leaves_it_as_it_was)
{
    struct lp_buffer buffer = {.data = NULL};
    CU_ASSERT_EQUAL_FATAL(lp_buffer_reserve(&buffer, 100), 0);
    buffer.data[99] = 7;
    CU_ASSERT_EQUAL(lp_buffer_reserve(&buffer, SIZE_MAX / 2 - 4096), -ENOMEM);
    CU_ASSERT_EQUAL(buffer.capacity, 100);
    CU_ASSERT_EQUAL_FATAL(lp_buffer_reserve(&buffer, LP_BUFFER_MAPPED_BYTES), 0);
    CU_ASSERT_EQUAL(lp_buffer_reserve(&buffer, SIZE_MAX / 2 - 4096), -ENOMEM);
    CU_ASSERT_EQUAL(buffer.data[99], 7);
    lp_buffer_free(&buffer);
}
