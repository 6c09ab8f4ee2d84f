/* SPDX-License-Identifier: MIT */
#include "os/tail.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "harness/test.h"

static struct lp_tail tail;

static int open_with(size_t size)
{
    int fd = lp_tail_open();
    CU_ASSERT_TRUE(fd >= 0);
    lp_tail_renew(&tail, fd);
    CU_ASSERT_EQUAL(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static void expect(int fd, uint64_t task_id, uint64_t cut, uint64_t from, uint64_t to)
{
    struct lp_tail_span span = lp_tail_find(&tail, fd, task_id, cut, 100);
    CU_ASSERT_EQUAL(span.from, from);
    CU_ASSERT_EQUAL(span.to, to);
}

TEST(tail, ends_where_that_of_the_next_begins)
{
    lp_fd_auto int fd = open_with(1000);
    for (uint32_t i = 0; i < 2 * LP_TAIL_MARKS; i++)
        lp_tail_mark(&tail, i, i + 1, i / 2);
    lp_tail_mark(&tail, 0, 5001, 600);
    lp_tail_mark(&tail, 1, 5002, 650);
    expect(fd, 5001, 0, 600, 650);
    expect(fd, 5002, 0, 900, 1000);
    expect(fd, 5002, 950, 950, 1000);
    expect(fd, 5002, 1000, 0, 0);
    expect(fd, 1, 0, 0, 0); /* long overwritten */
}

/* Whatever stands there, it is a part of the file, of so many bytes at most. */
TEST(tail, is_within_the_file_whatever_the_marks_say)
{
    static const uint64_t values[] = {0, 1, 499, 500, 501, 1ull << 62, INT64_MAX, UINT64_MAX};
    const size_t n = sizeof values / sizeof *values;
    lp_fd_auto int fd = open_with(500);
    unsigned wrong = 0;
    for (size_t i = 0; i < n * n * n; i++) {
        uint64_t cut = values[i / n / n] > 500 ? 500 : values[i / n / n];
        lp_tail_mark(&tail, 7, 1, values[i % n]);
        lp_tail_mark(&tail, 8, 2, values[i / n % n]);
        struct lp_tail_span span = lp_tail_find(&tail, fd, 1, cut, 100);
        wrong += span.from > span.to || span.to > 500 || span.to - span.from > 100;
        wrong += span.to > span.from && span.from < cut;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

TEST(tail, is_cut_when_it_is_worth_it)
{
    const size_t size = 3u << 20;
    lp_fd_auto int fd = open_with(0);
    char *bytes = malloc(size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    memset(bytes, 'x', size);
    CU_ASSERT_EQUAL(write(fd, bytes, size), (ssize_t)size);
    uint64_t cut = 0;
    CU_ASSERT_FALSE(lp_tail_is_large(fd, 2u << 20, &cut));
    CU_ASSERT_TRUE(lp_tail_is_large(fd, 10000, &cut));
    CU_ASSERT_TRUE(cut <= size - 10000 && cut > size - 20000);
    lp_tail_cut(fd, cut);
    CU_ASSERT_FALSE(lp_tail_is_large(fd, 10000, &cut));
    lp_tail_mark(&tail, 0, 1, 0);
    struct lp_tail_span span = lp_tail_find(&tail, fd, 1, cut, 9000);
    CU_ASSERT_EQUAL(lp_tail_read(fd, &span, bytes), 9000);
    CU_ASSERT_EQUAL(bytes[0], 'x');
    struct stat file;
    CU_ASSERT_EQUAL(fstat(fd, &file), 0);
    CU_ASSERT_TRUE(file.st_blocks * 512 < 100000);
    free(bytes);
}

/* Memory counts wherever it is: no size hides it, nor what was cut before. */
TEST(tail, what_is_reserved_is_given_back_whatever_the_size)
{
    lp_fd_auto int fd = open_with(0);
    uint64_t cut = 1;
    CU_ASSERT_EQUAL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8 << 20), 0);
    CU_ASSERT_TRUE(lp_tail_is_large(fd, 10000, &cut));
    CU_ASSERT_EQUAL(cut, 0);
    lp_tail_cut(fd, cut);
    CU_ASSERT_EQUAL(lp_tail_held(fd), 0);
    CU_ASSERT_EQUAL(ftruncate(fd, 1ll << 60), 0);
    CU_ASSERT_EQUAL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8 << 20), 0);
    CU_ASSERT_TRUE(lp_tail_is_large(fd, 10000, &cut));
    lp_tail_cut(fd, cut);
    CU_ASSERT_EQUAL(lp_tail_held(fd), 0);
    CU_ASSERT_EQUAL(ftruncate(fd, 9000), 0);
    CU_ASSERT_EQUAL(pwrite(fd, "x", 1, 0), 1);
    CU_ASSERT_EQUAL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 1 << 20, 8 << 20), 0);
    CU_ASSERT_TRUE(lp_tail_is_large(fd, 10000, &cut));
    lp_tail_cut(fd, cut);
    CU_ASSERT_EQUAL(lp_tail_held(fd), 4096); /* what it has written stays */
    CU_ASSERT_EQUAL(ftruncate(fd, INT64_MAX), 0);
    CU_ASSERT_EQUAL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 1ll << 60, 8 << 20), 0);
    CU_ASSERT_TRUE(lp_tail_is_large(fd, 10000, &cut));
    lp_tail_cut(fd, cut);
    CU_ASSERT_EQUAL(lp_tail_held(fd), 0);
}

TEST(tail, a_used_file_is_replaced_on_its_number)
{
    struct stat before, after;
    lp_fd_auto int fd = open_with(0);
    CU_ASSERT_EQUAL(fstat(fd, &before), 0);
    CU_ASSERT_EQUAL(lp_tail_replace(fd), -1);
    CU_ASSERT_EQUAL(fstat(fd, &after), 0);
    CU_ASSERT_EQUAL(before.st_ino, after.st_ino);
    CU_ASSERT_EQUAL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1), 0);
    lp_fd_auto int reserved = lp_tail_replace(fd);
    CU_ASSERT_EQUAL(fstat(reserved, &after), 0);
    CU_ASSERT_EQUAL(before.st_ino, after.st_ino);
    CU_ASSERT_EQUAL(write(fd, "x", 1), 1);
    lp_fd_auto int used = lp_tail_replace(fd);
    CU_ASSERT_EQUAL(lp_tail_held(used), 4096);
    CU_ASSERT_EQUAL(fstat(fd, &after), 0);
    CU_ASSERT_NOT_EQUAL(before.st_ino, after.st_ino);
    CU_ASSERT_EQUAL(after.st_size, 0);
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CU_ASSERT_EQUAL(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
}

TEST(tail, a_worker_opens_it_by_its_name_in_the_host)
{
    lp_fd_auto int fd = open_with(0);
    lp_fd_auto int theirs = lp_tail_reopen(&tail, getpid());
    CU_ASSERT_TRUE_FATAL(theirs >= 0);
    CU_ASSERT_EQUAL(write(fd, "host", 4), 4);
    CU_ASSERT_EQUAL(write(theirs, "worker", 6), 6); /* at the end, wherever it stood */
    char text[10];
    CU_ASSERT_EQUAL(lp_tail_read(fd, &(struct lp_tail_span){0, 10}, text), 10);
    CU_ASSERT_EQUAL(memcmp(text, "hostworker", 10), 0);
    static struct lp_tail none;
    CU_ASSERT_EQUAL(lp_tail_reopen(&none, getpid()), -ENOENT);
}
