/* SPDX-License-Identifier: MIT */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "harness/test.h"
#include "text.h"

struct source {
    struct pr_input input;
    int fds[2];
};

static void begin(struct source *source, char delimiter)
{
    if (pipe2(source->fds, O_CLOEXEC) < 0)
        source->fds[0] = source->fds[1] = -1;
    pr_input_open(&source->input, source->fds[0], delimiter);
}

static void end(struct source *source)
{
    pr_input_close(&source->input);
    (void)close(source->fds[0]);
}

static bool send(struct source *source, const char *data, size_t n)
{
    return write(source->fds[1], data, n) == (ssize_t)n && pr_input_fill(&source->input) == 0;
}

/* Whether that is what comes next. */
static bool is_next(struct source *source, const char *expected)
{
    const char *line = "";
    return pr_input_next(&source->input, &line) == PR_INPUT_LINE && strcmp(line, expected) == 0;
}

TEST(poolrun_input, gives_lines_as_they_become_whole)
{
    struct source source;
    const char *line;
    begin(&source, '\n');
    CU_ASSERT_EQUAL(pr_input_next(&source.input, &line), PR_INPUT_WAIT);
    CU_ASSERT(send(&source, "one\n\ntw", 7));
    CU_ASSERT(is_next(&source, "one"));
    CU_ASSERT(is_next(&source, ""));
    CU_ASSERT_EQUAL(pr_input_next(&source.input, &line), PR_INPUT_WAIT);
    CU_ASSERT(send(&source, "o\nlast", 6));
    CU_ASSERT(is_next(&source, "two"));
    (void)close(source.fds[1]);
    CU_ASSERT_EQUAL(pr_input_fill(&source.input), 0);
    CU_ASSERT(is_next(&source, "last"));
    CU_ASSERT_EQUAL(pr_input_next(&source.input, &line), PR_INPUT_END);
    end(&source);
}

TEST(poolrun_input, a_zero_byte_ends_a_line_or_is_refused)
{
    struct source source;
    const char *line;
    begin(&source, '\0');
    CU_ASSERT(send(&source, "a\nb\0", 4));
    CU_ASSERT(is_next(&source, "a\nb"));
    (void)close(source.fds[1]);
    end(&source);
    begin(&source, '\n');
    CU_ASSERT(send(&source, "a\0b\n", 4));
    CU_ASSERT_EQUAL(pr_input_next(&source.input, &line), -EILSEQ);
    (void)close(source.fds[1]);
    end(&source);
}

TEST(poolrun_input, a_line_as_long_as_an_argument_passes_and_no_longer_one)
{
    for (size_t extra = 0; extra < 2; extra++) {
        struct source source;
        const char *line;
        size_t n = PR_INPUT_LINE_MAX + extra;
        char *data = pr_text_zeros(n + 2, 1);
        memset(data, 'x', n);
        data[n] = '\n';
        begin(&source, '\n');
        CU_ASSERT(fcntl(source.fds[1], F_SETPIPE_SZ, 1 << 20) > 0);
        CU_ASSERT(write(source.fds[1], data, n + 1) == (ssize_t)n + 1);
        int got;
        while ((got = pr_input_next(&source.input, &line)) == PR_INPUT_WAIT)
            (void)pr_input_fill(&source.input);
        CU_ASSERT_EQUAL(got, extra ? -E2BIG : PR_INPUT_LINE);
        (void)close(source.fds[1]);
        end(&source);
        pr_text_free(&(struct pr_text){.data = data});
    }
}
