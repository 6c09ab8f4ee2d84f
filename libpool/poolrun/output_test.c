/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "harness/test.h"

/* Sinks that end in pipes, which nobody reads unless the test does. */
struct pipes {
    struct pr_sinks sinks;
    int read_fd[2];
};

static bool begin(struct pipes *pipes)
{
    bool made = true;
    memset(pipes, 0, sizeof *pipes);
    for (int stream = 0; stream < 2; stream++) {
        int fds[2] = {-1, -1};
        made = made && pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0;
        pipes->read_fd[stream] = fds[0];
        pipes->sinks.fd[stream] = fds[1];
    }
    return made;
}

static void end(struct pipes *pipes)
{
    (void)close(pipes->read_fd[0]);
    (void)close(pipes->read_fd[1]);
    pr_output_close(&pipes->sinks);
}

static size_t read_all(int fd)
{
    char buffer[4096];
    size_t all = 0;
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;)
        all += (size_t)n;
    return all;
}

static bool reads(int fd, const char *expected)
{
    char buffer[64] = "";
    ssize_t n = read(fd, buffer, sizeof buffer - 1);
    return (n < 0 ? 0 : (size_t)n) == strlen(expected) && strcmp(buffer, expected) == 0;
}

TEST(poolrun_output, a_reader_that_is_slow_keeps_nobody_waiting)
{
    struct pipes pipes;
    CU_ASSERT_FATAL(begin(&pipes));
    struct pr_piece pieces[2] = {{pr_output_temporary(), 0, 3 << 20},
                                 {pr_output_temporary(), 0, 5}};
    CU_ASSERT_EQUAL(ftruncate(pieces[0].fd, 3 << 20), 0);
    CU_ASSERT_EQUAL(ftruncate(pieces[1].fd, 5), 0);
    size_t out = 0;
    int turns = 0, done;
    CU_ASSERT_EQUAL(pr_output_pump(&pipes.sinks, pieces), 0);
    CU_ASSERT_EQUAL(pr_output_blocked(&pipes.sinks), pipes.sinks.fd[0]);
    while ((done = pr_output_pump(&pipes.sinks, pieces)) == 0 && turns++ < 1000)
        out += read_all(pipes.read_fd[0]);
    out += read_all(pipes.read_fd[0]);
    CU_ASSERT_EQUAL(done, 1);
    CU_ASSERT_EQUAL(out, 3 << 20);
    CU_ASSERT_EQUAL(read_all(pipes.read_fd[1]), 5);
    CU_ASSERT_EQUAL(pr_output_blocked(&pipes.sinks), -1);
    (void)close(pieces[0].fd);
    (void)close(pieces[1].fd);
    end(&pipes);
}

TEST(poolrun_output, takes_turns_with_the_rest_of_the_loop)
{
    struct pr_sinks sinks = {.fd = {pr_output_temporary(), pr_output_temporary()}};
    struct pr_piece pieces[2] = {{pr_output_temporary(), 0, 3 << 20}, {-1, 0, 0}};
    int turns = 1;
    CU_ASSERT_EQUAL(ftruncate(pieces[0].fd, 3 << 20), 0);
    while (pr_output_pump(&sinks, pieces) == 0 && turns < 100)
        turns++;
    CU_ASSERT_EQUAL(turns, 4);
    CU_ASSERT_EQUAL(lseek(sinks.fd[0], 0, SEEK_CUR), 3 << 20);
    (void)close(pieces[0].fd);
    pr_output_close(&sinks);
}

TEST(poolrun_output, gives_whole_lines_and_what_is_left_at_the_end)
{
    struct pipes pipes;
    struct pr_lines lines;
    CU_ASSERT_FATAL(begin(&pipes));
    CU_ASSERT_EQUAL_FATAL(pr_output_open_lines(&lines), 0);
    CU_ASSERT_EQUAL(pr_output_read_lines(&lines, &pipes.sinks, 1, false), 0);
    CU_ASSERT_EQUAL(write(lines.write_fd, "one\ntwo\nthr", 11), 11);
    CU_ASSERT_EQUAL(pr_output_read_lines(&lines, &pipes.sinks, 1, false), 1);
    CU_ASSERT_EQUAL(pr_output_flush(&pipes.sinks), 1);
    CU_ASSERT(reads(pipes.read_fd[1], "one\ntwo\n"));
    CU_ASSERT_EQUAL(write(lines.write_fd, "ee\nfour", 7), 7);
    CU_ASSERT_EQUAL(pr_output_read_lines(&lines, &pipes.sinks, 1, true), 1);
    CU_ASSERT_EQUAL(pr_output_read_lines(&lines, &pipes.sinks, 1, true), 0);
    CU_ASSERT_EQUAL(pr_output_flush(&pipes.sinks), 1);
    CU_ASSERT(reads(pipes.read_fd[1], "three\nfour"));
    CU_ASSERT_EQUAL(lines.bytes, 18);
    pr_output_close_lines(&lines);
    end(&pipes);
}

TEST(poolrun_output, a_line_without_an_end_is_not_kept_for_ever)
{
    static char data[65536];
    struct pipes pipes;
    struct pr_lines lines;
    CU_ASSERT_FATAL(begin(&pipes));
    CU_ASSERT_EQUAL_FATAL(pr_output_open_lines(&lines), 0);
    memset(data, 'x', sizeof data);
    for (int i = 0; i < 40; i++) {
        CU_ASSERT_EQUAL(write(lines.write_fd, data, sizeof data), (ssize_t)sizeof data);
        CU_ASSERT_EQUAL(pr_output_read_lines(&lines, &pipes.sinks, 0, false), 1);
        CU_ASSERT(lines.part.n <= 1 << 20);
        pr_text_clear(&pipes.sinks.waiting[0]);
    }
    CU_ASSERT_EQUAL(lines.bytes, 40 * sizeof data);
    pr_output_close_lines(&lines);
    end(&pipes);
}
