/* SPDX-License-Identifier: MIT */
#include "os/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/test.h"
#include "start_rig.h"

static size_t write_name(char name[LP_LOAD_NAME_BYTES], const char *symbol)
{
    const char *object = lp_rig_beside_us("test_object.so");
    lp_load_write_name(name, object, symbol);
    return lp_load_name_size(object, symbol);
}

static void forget(struct lp_load *load)
{
    for (unsigned i = 0; i < LP_LOAD_KEPT; i++)
        free(load->kept[i].name);
}

TEST(load, a_name_is_looked_up_once_and_remembered)
{
    struct lp_load load = {.why = NULL};
    char name[LP_LOAD_NAME_BYTES];
    int error = 0;
    size_t size = write_name(name, "test_echo");
    CU_ASSERT_PTR_NULL(lp_load_recall(&load, name, size));
    void *function = lp_load_find(&load, name, size, &error);
    CU_ASSERT_PTR_NOT_NULL(function);
    CU_ASSERT_PTR_EQUAL(lp_load_recall(&load, name, size), function);
    CU_ASSERT_PTR_NULL(lp_load_recall(&load, name, size - 1));
    forget(&load);
}

TEST(load, more_names_than_are_kept_push_out_the_oldest)
{
    static const char *const symbols[] = {"test_echo", "test_crash", "test_hang"};
    struct lp_load load = {.why = NULL};
    char name[LP_LOAD_NAME_BYTES], first[LP_LOAD_NAME_BYTES];
    int error = 0;
    size_t first_size = write_name(first, "test_lock");
    void *function = lp_load_find(&load, first, first_size, &error);
    for (unsigned i = 0; i < LP_LOAD_KEPT - 1; i++)
        CU_ASSERT_PTR_NOT_NULL(lp_load_find(&load, name, write_name(name, symbols[i % 3]), &error));
    CU_ASSERT_PTR_EQUAL(lp_load_recall(&load, first, first_size), function);
    CU_ASSERT_PTR_NOT_NULL(lp_load_find(&load, name, write_name(name, "test_echo"), &error));
    CU_ASSERT_PTR_NULL(lp_load_recall(&load, first, first_size));
    CU_ASSERT_PTR_EQUAL(lp_load_find(&load, first, first_size, &error), function);
    forget(&load);
}

TEST(load, what_is_no_name_is_refused)
{
    static const char *const bad[] = {"a", "ab\0c", "a\0"};
    static const size_t sizes[] = {1, 4, 2};
    struct lp_load load = {.why = NULL};
    for (size_t i = 0; i < 3; i++) {
        int error = 0;
        CU_ASSERT_PTR_NULL(lp_load_find(&load, bad[i], sizes[i], &error));
        CU_ASSERT_EQUAL(error, -EPROTO);
    }
}

TEST(load, a_name_has_a_longest)
{
    static char object[LP_LOAD_NAME_BYTES + 2], symbol[LP_LOAD_SYMBOL_BYTES + 2];
    memset(symbol, 's', LP_LOAD_SYMBOL_BYTES - 1);
    CU_ASSERT_EQUAL(lp_load_name_size("o", symbol), LP_LOAD_SYMBOL_BYTES + 2);
    symbol[LP_LOAD_SYMBOL_BYTES - 1] = 's';
    CU_ASSERT_EQUAL(lp_load_name_size("o", symbol), 0);
    memset(object, 'o', LP_LOAD_NAME_BYTES - 3);
    CU_ASSERT_EQUAL(lp_load_name_size(object, "s"), LP_LOAD_NAME_BYTES);
    object[LP_LOAD_NAME_BYTES - 3] = 'o';
    CU_ASSERT_EQUAL(lp_load_name_size(object, "s"), 0);
}
