/* SPDX-License-Identifier: MIT */
/*
 * Each test is a zygote of its own (a child of the test) with a worker and descendants, which hold what
 * the test says; they tell by a pipe that they do.
 */
#include "os/weight.h"

#include "harness/test.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define WAIT_MS 20000
#define SLACK (4 * MIB) /* of stacks, libc and sanitizers */

/* Anonymous memory that is there. */
static void *hold(size_t bytes)
{
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        _exit(20);
    (void)madvise(block, bytes, MADV_NOHUGEPAGE);
    memset(block, 1, bytes);
    return block;
}

struct family {
    size_t zygote_bytes;  /* inherited by all */
    size_t worker_bytes;  /* shared with its children */
    size_t written_bytes; /* of what was inherited, by the worker */
    uint32_t children;
    size_t child_bytes;
};

static void tell(int fd)
{
    if (write(fd, "", 1) != 1)
        _exit(21);
}

static _Noreturn void be_worker(const struct family *family, char *inherited, int fd)
{
    if (family->written_bytes)
        memset(inherited, 2, family->written_bytes);
    if (family->worker_bytes)
        hold(family->worker_bytes);
    for (uint32_t i = 0; i < family->children; i++)
        if (fork() == 0) {
            if (family->child_bytes)
                hold(family->child_bytes);
            tell(fd);
            for (;;)
                pause();
        }
    tell(fd);
    for (;;)
        pause();
}

/* In the zygote: weighs its worker's tree once all hold what they should. */
static uint64_t weigh(const struct family *family, uint64_t limit_bytes)
{
    int fds[2];
    char unused;
    char *inherited = family->zygote_bytes ? hold(family->zygote_bytes) : NULL;
    if (pipe(fds) < 0 || setpgid(0, 0) < 0)
        _exit(22);
    pid_t worker = fork();
    if (worker == 0)
        be_worker(family, inherited, fds[1]);
    for (uint32_t i = 0; i <= family->children; i++)
        if (read(fds[0], &unused, 1) != 1)
            _exit(23);
    uint64_t bytes = lp_weight_tree(worker, limit_bytes);
    (void)signal(SIGTERM, SIG_IGN);
    (void)kill(0, SIGTERM);
    (void)waitpid(worker, NULL, 0);
    (void)signal(SIGTERM, SIG_DFL);
    return bytes;
}

static bool is_about(uint64_t bytes, uint64_t expected)
{
    return bytes + SLACK > expected && bytes < expected + SLACK;
}

static int weigh_itself(void *arg)
{
    (void)arg;
    uint64_t before = lp_weight_own();
    hold(32 * MIB);
    return before > 0 && is_about(lp_weight_own(), before + 32 * MIB) ? 0 : 10;
}

TEST(weight, of_this_process_is_its_resident_anonymous_memory)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("its shadow is memory, too");
    CU_ASSERT_EQUAL(hn_test_child(weigh_itself, NULL, WAIT_MS), TEST_EXIT(0));
}

static int weigh_an_heir(void *arg)
{
    (void)arg;
    const struct family family = {.zygote_bytes = 64 * MIB, .worker_bytes = 16 * MIB};
    if (!is_about(weigh(&family, 1024 * MIB), 16 * MIB))
        return 10;
    return is_about(weigh(&family, MIB), 16 * MIB) ? 0 : 11;
}

/* Looked at either way: as long as it is cheap, and exactly. */
TEST(weight, what_was_inherited_is_not_a_worker_s)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("its shadow is memory, too");
    CU_ASSERT_EQUAL(hn_test_child(weigh_an_heir, NULL, WAIT_MS), TEST_EXIT(0));
}

static int weigh_a_writer(void *arg)
{
    (void)arg;
    const struct family family = {
        .zygote_bytes = 64 * MIB, .written_bytes = 32 * MIB, .worker_bytes = 16 * MIB};
    uint64_t bytes = weigh(&family, MIB);
    return bytes > 16 * MIB - SLACK && bytes < 48 * MIB + SLACK ? 0 : 10;
}

TEST(weight, of_what_was_inherited_no_more_than_was_written_to)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("its shadow is memory, too");
    CU_ASSERT_EQUAL(hn_test_child(weigh_a_writer, NULL, WAIT_MS), TEST_EXIT(0));
}

static int weigh_a_family(void *arg)
{
    (void)arg;
    const struct family family = {.children = 4, .child_bytes = 16 * MIB};
    return is_about(weigh(&family, 16 * MIB), 64 * MIB) ? 0 : 10;
}

TEST(weight, of_a_tree_is_that_of_all_its_processes)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("its shadow is memory, too");
    CU_ASSERT_EQUAL(hn_test_child(weigh_a_family, NULL, WAIT_MS), TEST_EXIT(0));
}

static int weigh_copies(void *arg)
{
    (void)arg;
    const struct family family = {.worker_bytes = 32 * MIB, .children = 4};
    return is_about(weigh(&family, 64 * MIB), 32 * MIB) ? 0 : 10;
}

/* By the sum of what is resident it would be 160 MiB. */
TEST(weight, what_a_tree_shares_counts_once)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("its shadow is memory, too");
    CU_ASSERT_EQUAL(hn_test_child(weigh_copies, NULL, WAIT_MS), TEST_EXIT(0));
}

TEST(weight, of_who_is_dead_is_nothing)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
    CU_ASSERT_EQUAL(lp_weight_tree(pid, MIB), 0);
}
