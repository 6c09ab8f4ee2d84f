/* SPDX-License-Identifier: MIT */
#include "base/pieces.h"

#include <stdint.h>
#include <string.h>

#include "harness/test.h"

TEST(pieces, what_is_put_is_taken_in_its_order)
{
    _Alignas(8) char memory[64];
    struct lp_pieces_pen pen = {.at = memory, .room = sizeof memory};
    size_t size;
    lp_pieces_put(&pen, "nine byte", 9);
    lp_pieces_put(&pen, "", 0);
    CU_ASSERT_EQUAL(pen.used, 8 + 16 + 8);
    struct lp_pieces_reader reader = {.at = memory, .left = pen.used};
    const void *data = lp_pieces_take(&reader, &size);
    CU_ASSERT_EQUAL_FATAL(size, 9);
    CU_ASSERT_EQUAL(memcmp(data, "nine byte", 9), 0);
    CU_ASSERT_PTR_NOT_NULL(lp_pieces_take(&reader, &size));
    CU_ASSERT_EQUAL(size, 0);
    CU_ASSERT_EQUAL(reader.left, 0);
    CU_ASSERT_FALSE(reader.is_bad);
    CU_ASSERT_PTR_NULL(lp_pieces_take(&reader, &size));
    CU_ASSERT_TRUE(reader.is_bad);
}

TEST(pieces, what_has_no_room_is_counted_and_not_written)
{
    char memory[32];
    memset(memory, 'x', sizeof memory);
    struct lp_pieces_pen pen = {.at = memory, .room = 23};
    lp_pieces_put(&pen, "123456789", 9);
    CU_ASSERT_EQUAL(pen.used, 24);
    CU_ASSERT_EQUAL(memory[0], 'x');
    CU_ASSERT_EQUAL(memory[31], 'x');
}

TEST(pieces, no_length_is_believed)
{
    static const uint64_t lengths[] = {9, 17, UINT64_MAX, UINT64_MAX - 7, UINT64_MAX - 15};
    _Alignas(8) char memory[16] = {0};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct lp_pieces_reader reader = {.at = memory, .left = sizeof memory};
        size_t size = 1;
        memcpy(memory, &lengths[i], sizeof lengths[i]);
        CU_ASSERT_PTR_NULL(lp_pieces_take(&reader, &size));
        CU_ASSERT_EQUAL(size, 0);
        CU_ASSERT_TRUE(reader.is_bad);
    }
}
