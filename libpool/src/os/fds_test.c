/* SPDX-License-Identifier: MIT */
/*
 * Tables are made and looked at in children, who tell by their exit code which check failed.
 */
#include "os/fds.h"

#include "harness/test.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT 6
#define HIGHEST 1024

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static ino_t file_of(int fd)
{
    struct stat stat;
    return fstat(fd, &stat) == 0 ? stat.st_ino : 0;
}

/* A pipe end of its own for each number, so that it can be told from all others. */
static void make_at(int number)
{
    int fds[2];
    if (pipe(fds) != 0)
        _exit(90);
    int moved = fcntl(fds[0], F_DUPFD, HIGHEST / 2);
    close(fds[0]);
    close(fds[1]);
    if (dup2(moved, number) < 0)
        _exit(91);
    close(moved);
}

/* Exit code 0 when exactly 0, 1, 2 and these are left, in this order from 3 on. */
static int keep(const int numbers[KEPT])
{
    int fds[KEPT];
    ino_t files[KEPT];
    for (int i = 0; i < KEPT; i++) {
        make_at(numbers[i]);
        fds[i] = numbers[i];
        files[i] = file_of(numbers[i]);
    }
    if (lp_fds_keep(fds, KEPT) != 0)
        return 1;
    for (int i = 0; i < KEPT; i++)
        if (fds[i] != 3 + i || file_of(3 + i) != files[i] || fcntl(3 + i, F_GETFD) != FD_CLOEXEC)
            return 10 + i;
    for (int fd = 3 + KEPT; fd < HIGHEST; fd++)
        if (is_open(fd))
            return 2;
    return is_open(0) && is_open(1) && is_open(2) ? 0 : 3;
}

TEST_IN_CHILD(fds, kept_in_place, 5000, TEST_EXIT(0))
{
    return keep((const int[KEPT]){3, 4, 5, 6, 7, 8});
}

TEST_IN_CHILD(fds, moved_down, 5000, TEST_EXIT(0))
{
    return keep((const int[KEPT]){100, 40, 60, 20, 300, 9});
}

TEST_IN_CHILD(fds, turned_round, 5000, TEST_EXIT(0))
{
    return keep((const int[KEPT]){8, 7, 6, 5, 4, 3});
}

TEST_IN_CHILD(fds, in_a_ring, 5000, TEST_EXIT(0))
{
    return keep((const int[KEPT]){4, 5, 6, 7, 8, 3});
}

/* The table has room for one more than is kept. */
TEST_IN_CHILD(fds, in_a_table_that_is_nearly_full, 5000, TEST_EXIT(0))
{
    const int numbers[KEPT] = {8, 3, 4, 9, 6, 5};
    int fds[KEPT];
    for (int i = 0; i < KEPT; i++)
        make_at(fds[i] = numbers[i]);
    if (lp_fds_keep(fds, 0) != 0)
        return 1;
    const struct rlimit limit = {3 + KEPT + 1, 3 + KEPT + 1};
    for (int i = 0; i < KEPT; i++)
        make_at(fds[i] = numbers[i]);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 2;
    return lp_fds_keep(fds, KEPT) == 0 && is_open(3 + KEPT - 1) && !is_open(3 + KEPT) ? 0 : 3;
}

TEST_IN_CHILD(fds, lifted_off_the_standard_numbers, 5000, TEST_EXIT(0))
{
    close(0);
    close(2);
    make_at(0);
    make_at(2);
    int fds[2] = {0, 2};
    ino_t first = file_of(0), second = file_of(2);
    if (lp_fds_lift(fds, 2) != 0 || fds[0] <= 2 || fds[1] <= 2)
        return 1;
    if (file_of(fds[0]) != first || file_of(fds[1]) != second || is_open(0) || is_open(2))
        return 2;
    return 0;
}

TEST_IN_CHILD(fds, standard_ones_are_filled_up, 5000, TEST_EXIT(0))
{
    ino_t output = file_of(1);
    close(0);
    close(2);
    lp_fds_settle_standard(false);
    struct stat null_file;
    if (stat("/dev/null", &null_file) != 0)
        return 1;
    if (file_of(0) != null_file.st_ino || file_of(2) != null_file.st_ino || file_of(1) != output)
        return 2;
    return fcntl(0, F_GETFD) == 0 && fcntl(2, F_GETFD) == 0 ? 0 : 3;
}

TEST_IN_CHILD(fds, standard_input_is_kept_when_it_is_wanted, 5000, TEST_EXIT(0))
{
    int ends[2];
    if (pipe(ends) != 0 || dup2(ends[0], 0) != 0)
        return 1;
    ino_t input = file_of(0);
    lp_fds_settle_standard(true);
    if (file_of(0) != input)
        return 2;
    close(0);
    lp_fds_settle_standard(true);
    return is_open(0) && file_of(0) != input ? 0 : 3;
}
