/* SPDX-License-Identifier: MIT */
/* poolrun: jobs from lines, as xargs -P and GNU parallel run them, in the workers of a libpool. */
#include <errno.h>
#include <fcntl.h>
#include <libpool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

static int wrong(const char *what, const char *name, const char *why)
{
    (void)fprintf(stderr, "poolrun: %s%s%s: %s\n", what, *what ? ": " : "", name, why);
    return PR_FAILED;
}

static int open_log(const struct pr_options *options, struct pr_joblog *log)
{
    *log = (struct pr_joblog){.fd = -1};
    if (!options->joblog || (options->dry_run && !options->resume))
        return 0;
    int64_t error = pr_joblog_open(log, options->joblog, options->resume);
    if (error < 0)
        return wrong("--joblog", options->joblog, strerror((int)-error));
    if (error > 0) {
        (void)fprintf(stderr, "poolrun: --joblog: %s:%lld: this is no line of a job log\n",
                      options->joblog, (long long)error);
        return PR_FAILED;
    }
    return 0;
}

static int run(const struct pr_options *options, int fd)
{
    struct pr_joblog log;
    struct pr_input input;
    int code = open_log(options, &log);
    if (code)
        return code;
    pr_input_open(&input, fd, options->null ? '\0' : '\n');
    code = options->dry_run ? pr_run_dry(options, &input, &log) : pr_run(options, &input, &log);
    pr_input_close(&input);
    pr_joblog_close(&log);
    return code;
}

static int open_and_run(const struct pr_options *options)
{
    int fd = STDIN_FILENO;
    if (options->arg_file && strcmp(options->arg_file, "-") != 0)
        fd = open(options->arg_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return wrong("--arg-file", options->arg_file, strerror(errno));
    int code = run(options, fd);
    if (fd != STDIN_FILENO)
        (void)close(fd);
    return code;
}

/*
 * What we open must not become our own 0, 1 or 2. A standard output that is closed can't be written, by a
 * job of --ungroup either: that is told like any other failure to write.
 */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDERR_FILENO ? O_RDWR : O_RDONLY);
}

static int print(const char *text, const char *end)
{
    if (fputs(text, stdout) < 0 || fputs(end, stdout) < 0 || fflush(stdout) != 0)
        return wrong("", "standard output", strerror(errno));
    return 0;
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    struct pr_options options;
    struct pr_text error = {.data = NULL};
    switch (pr_options_parse(argc, argv, &options, &error)) {
    case PR_WISH_RUN: return open_and_run(&options);
    case PR_WISH_HELP: return print(pr_options_help, "");
    case PR_WISH_VERSION: return print(libpool_version(), "\n");
    case PR_WISH_WRONG:
        (void)fprintf(stderr, "poolrun: %s\nTry `poolrun --help`.\n", error.data);
        pr_text_free(&error);
    }
    return PR_FAILED;
}
