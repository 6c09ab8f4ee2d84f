/* SPDX-License-Identifier: MIT */
/*
 * A manifest is read back as it was written; whatever else it may be, it is refused.
 */
#include "os/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "harness/test.h"

static const libpool_allocator from_malloc;
static const char *const environment[] = {"A=1", "B", "C="};
static const uint32_t cpus[] = {0, 3};
static const libpool_limit limits[] = {{RLIMIT_CORE, 0, 0}, {RLIMIT_NOFILE, 64, 128}};
static const pid_t heirs[] = {0, 4711, 0};

/* To be released by the caller: what is written, its length, and the outfit in it. */
static void *write_one(struct lp_manifest *manifest, const struct lp_cgroup_place *place,
                       size_t *size)
{
    const libpool_outfit outfit = {.size = sizeof outfit,
                                   .flags = LIBPOOL_SET_UMASK,
                                   .umask = 027,
                                   .directory = "/tmp",
                                   .environment = environment,
                                   .environment_count = 3,
                                   .cpus = cpus,
                                   .cpus_count = 2,
                                   .limits = limits,
                                   .limits_count = 2};
    *manifest = (struct lp_manifest){.slots = 3,
                                     .preloads = true,
                                     .traces = true,
                                     .files_of = 17,
                                     .result_bytes = 99,
                                     .name = "pool",
                                     .place = place,
                                     .heir_pids = heirs,
                                     .object = "/tasks.so",
                                     .finalizer = "final"};
    CU_ASSERT_EQUAL(lp_outfit_copy(&manifest->outfit, &outfit, &from_malloc), 0);
    *size = lp_manifest_bytes(manifest);
    void *memory = malloc(*size);
    lp_manifest_write(manifest, memory, *size);
    return memory;
}

TEST(manifest, is_read_as_it_was_written)
{
    struct lp_manifest written, got;
    struct lp_cgroup_place place = {.v2_path = "/v2", .name = "libpool-1"};
    size_t size;
    void *memory = write_one(&written, &place, &size);
    CU_ASSERT_EQUAL(lp_manifest_length(memory, size + 1000), size);
    CU_ASSERT_EQUAL_FATAL(lp_manifest_read(&got, memory, size), 0);
    CU_ASSERT_EQUAL(got.slots, 3);
    CU_ASSERT(got.preloads && got.traces && !got.keep_stdin);
    CU_ASSERT_EQUAL(got.files_of, 17);
    CU_ASSERT_EQUAL(got.result_bytes, 99);
    CU_ASSERT_STRING_EQUAL(got.name, "pool");
    CU_ASSERT_STRING_EQUAL(got.place->name, "libpool-1");
    CU_ASSERT_EQUAL(memcmp(got.heir_pids, heirs, sizeof heirs), 0);
    CU_ASSERT_STRING_EQUAL(got.object, "/tasks.so");
    CU_ASSERT_PTR_NULL(got.initializer);
    CU_ASSERT_STRING_EQUAL(got.finalizer, "final");
    lp_outfit_release(got.outfit, &from_malloc);
    lp_outfit_release(written.outfit, &from_malloc);
    free(memory);
}

/* What is in an outfit shows when it is written again: the same bytes, but for its pointers. */
TEST(manifest, an_outfit_comes_through_whole)
{
    struct lp_manifest written, got;
    size_t size;
    char *memory = write_one(&written, NULL, &size), *again = malloc(size);
    CU_ASSERT_EQUAL_FATAL(lp_manifest_read(&got, memory, size), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got.outfit);
    CU_ASSERT_EQUAL_FATAL(lp_manifest_bytes(&got), size);
    lp_manifest_write(&got, again, size);
    size_t tail = 0;
    while (tail < size && memory[size - 1 - tail] == again[size - 1 - tail])
        tail++;
    CU_ASSERT(tail >= sizeof limits + sizeof cpus + sizeof "/tmp" + sizeof "A=1" + sizeof "C=");
    lp_outfit_release(got.outfit, &from_malloc);
    lp_outfit_release(written.outfit, &from_malloc);
    free(again);
    free(memory);
}

TEST(manifest, of_another_length_or_version_is_refused)
{
    struct lp_manifest written, got;
    size_t size;
    char *memory = write_one(&written, NULL, &size);
    int refused = 0;
    for (size_t cut = 0; cut < size; cut++) {
        char *part = malloc(cut + 1);
        memcpy(part, memory, cut);
        refused += lp_manifest_read(&got, part, cut) == -EPROTO;
        if (cut >= sizeof(uint64_t)) { /* and where it says that it is only so long */
            uint64_t length = cut - sizeof length;
            memcpy(part, &length, sizeof length);
            refused += lp_manifest_read(&got, part, cut) == -EPROTO;
        }
        free(part);
    }
    CU_ASSERT_EQUAL((size_t)refused, 2 * size - sizeof(uint64_t));
    for (size_t at = 16; at < 64; at++) { /* its seal */
        memory[at] ^= 1;
        CU_ASSERT_EQUAL(lp_manifest_read(&got, memory, size), -EPROTO);
        memory[at] ^= 1;
    }
    CU_ASSERT_EQUAL_FATAL(lp_manifest_read(&got, memory, size), 0);
    lp_outfit_release(got.outfit, &from_malloc);
    lp_outfit_release(written.outfit, &from_malloc);
    free(memory);
}
