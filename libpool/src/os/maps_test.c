/* SPDX-License-Identifier: MIT */
#include "os/maps.h"

#include <stdlib.h>

#include "harness/test.h"

static const char sample[] = "1000-2000 r--p 00000000 00:00 0   /bin/x\n"
                             "2000-3000 r-xp 00001000 00:00 0   /bin/x\n"
                             "3000-4000 rw-p 00002000 00:00 0   /bin/x\n"
                             "5000-6000 r-xp 00001000 00:0"; /* cut off */

TEST(maps, only_executable_ranges_count)
{
    CU_ASSERT_FALSE(lp_maps_find(sample, 0x1fff));
    CU_ASSERT_TRUE(lp_maps_find(sample, 0x2000));
    CU_ASSERT_TRUE(lp_maps_find(sample, 0x2fff));
    CU_ASSERT_FALSE(lp_maps_find(sample, 0x3000));
    CU_ASSERT_FALSE(lp_maps_find(sample, 0x5000));
    CU_ASSERT_FALSE(lp_maps_find("", 0x1000));
    CU_ASSERT_FALSE(lp_maps_find("nonsense\n\n-\n", 0));
}

TEST(maps, this_program_finds_its_own_code)
{
    static int data;
    CU_ASSERT_TRUE(lp_maps_is_executable((uintptr_t)&lp_maps_is_executable));
    CU_ASSERT_TRUE(lp_maps_is_executable((uintptr_t)&malloc));
    CU_ASSERT_FALSE(lp_maps_is_executable((uintptr_t)&data));
    CU_ASSERT_FALSE(lp_maps_is_executable(0));
}
