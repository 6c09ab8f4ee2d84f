/* SPDX-License-Identifier: MIT */
/* What a worker does with a wardrobe that somebody has written into, and that the host doesn't care. */
#include "os/wardrobe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/test.h"
#include "sys/sys.h"

#define SLOTS 3

static const libpool_allocator from_malloc;
static const char *const names[] = {"LIBPOOL_TEST_1=there"};
static char *last_mapped; /* by the wardrobe that was opened last */
static size_t last_size;

static void *map_and_tell(size_t size)
{
    last_size = size;
    return last_mapped = lp_sys_kernel.map_shared(size);
}

static struct lp_wardrobe *open_wardrobe(void)
{
    lp_sys.map_shared = map_and_tell;
    struct lp_wardrobe *wardrobe = lp_wardrobe_open(SLOTS, &from_malloc);
    lp_sys.map_shared = lp_sys_kernel.map_shared;
    CU_ASSERT_EQUAL(lp_sys.set_inherited(last_mapped, last_size, true), 0);
    return wardrobe;
}

static libpool_outfit named(void)
{
    return (libpool_outfit){
        .size = sizeof(libpool_outfit), .environment = names, .environment_count = 1};
}

struct dressing {
    struct lp_wardrobe *wardrobe;
    int expected;
    bool dressed;
};

/* As a worker in slot 1; 0: as expected. */
static int dress(void *arg)
{
    const struct dressing *dressing = arg;
    struct lp_outfit *outfit = NULL;
    int error = lp_wardrobe_take(dressing->wardrobe, 1, NULL, &outfit);
    if (error != dressing->expected || (error == 0 && !outfit == dressing->dressed))
        return 1;
    if (error || !outfit)
        return 0;
    const char *name = lp_outfit_wear(outfit, 1) == 0 ? getenv("LIBPOOL_TEST_1") : NULL;
    return name && strcmp(name, "there") == 0 ? 0 : 2;
}

static int dressed_in_child(struct lp_wardrobe *wardrobe, int expected, bool dressed)
{
    return hn_test_child(dress, &(struct dressing){wardrobe, expected, dressed}, 10000);
}

TEST(wardrobe, each_slot_has_what_was_assigned_to_it)
{
    struct lp_wardrobe *wardrobe = open_wardrobe();
    libpool_outfit outfit = named();
    CU_ASSERT_EQUAL(lp_wardrobe_fill(wardrobe, LP_PLACE_SECOND, &outfit), 0);
    CU_ASSERT_EQUAL(dressed_in_child(wardrobe, 0, false), TEST_EXIT(0));
    lp_wardrobe_assign(wardrobe, 1, LP_PLACE_SECOND);
    CU_ASSERT_EQUAL(lp_wardrobe_assigned(wardrobe, 0), LP_PLACE_OPENING);
    CU_ASSERT_EQUAL(lp_wardrobe_assigned(wardrobe, 1), LP_PLACE_SECOND);
    CU_ASSERT_EQUAL(dressed_in_child(wardrobe, 0, true), TEST_EXIT(0));
    lp_wardrobe_close(wardrobe, false, &from_malloc);
}

TEST(wardrobe, the_host_reads_nothing_of_what_others_wrote)
{
    struct lp_wardrobe *wardrobe = open_wardrobe();
    libpool_outfit outfit = named();
    lp_wardrobe_assign(wardrobe, 1, LP_PLACE_FIRST);
    memset(last_mapped, 0xff, last_size);
    CU_ASSERT_EQUAL(lp_wardrobe_assigned(wardrobe, 1), LP_PLACE_FIRST);
    CU_ASSERT_EQUAL(lp_wardrobe_fill(wardrobe, LP_PLACE_FIRST, &outfit), 0);
    lp_wardrobe_assign(wardrobe, 1, LP_PLACE_FIRST);
    CU_ASSERT_EQUAL(dressed_in_child(wardrobe, 0, true), TEST_EXIT(0));
    memset(last_mapped, 0xff, last_size);
    lp_wardrobe_close(wardrobe, false, &from_malloc);
    CU_ASSERT_EQUAL(msync(last_mapped, last_size, MS_ASYNC), -1); /* all of it is gone */
    CU_ASSERT_EQUAL(errno, ENOMEM);
}

TEST(wardrobe, a_worker_refuses_what_nobody_of_ours_has_written)
{
    struct lp_wardrobe *wardrobe = open_wardrobe();
    libpool_outfit outfit = named();
    for (size_t word = 0; word < 24; word++) {
        uint32_t bad = UINT32_MAX;
        CU_ASSERT_EQUAL(lp_wardrobe_fill(wardrobe, LP_PLACE_FIRST, &outfit), 0);
        lp_wardrobe_assign(wardrobe, 1, LP_PLACE_FIRST);
        memcpy(last_mapped + word * sizeof bad, &bad, sizeof bad);
        int end = dressed_in_child(wardrobe, -EPROTO, true);
        CU_ASSERT_EQUAL(end & 0x7f, 0);                  /* whatever it says, no crash */
        CU_ASSERT_TRUE(word > 3 || end == TEST_EXIT(0)); /* both lengths */
    }
    CU_ASSERT_EQUAL(lp_wardrobe_fill(wardrobe, LP_PLACE_FIRST, &outfit), 0);
    memset(last_mapped + (size_t)2 * LP_WARDROBE_PLACE_BYTES, 0xff, SLOTS * sizeof(uint32_t));
    CU_ASSERT_EQUAL(dressed_in_child(wardrobe, -EPROTO, true), TEST_EXIT(0)); /* no such place */
    lp_wardrobe_assign(wardrobe, 1, LP_PLACE_FIRST);
    CU_ASSERT_EQUAL(dressed_in_child(wardrobe, 0, true), TEST_EXIT(0));
    memset(last_mapped, 0, LP_WARDROBE_PLACE_BYTES);
    CU_ASSERT_EQUAL(dressed_in_child(wardrobe, -EPROTO, true), TEST_EXIT(0));
    memset(last_mapped, 0xff, last_size);
    CU_ASSERT_EQUAL(dressed_in_child(wardrobe, -EPROTO, true), TEST_EXIT(0));
    lp_wardrobe_close(wardrobe, false, &from_malloc);
}
