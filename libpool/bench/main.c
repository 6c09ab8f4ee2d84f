/* SPDX-License-Identifier: MIT */
/* bench: the command. Options in, exit code out: 0 only if every number was measured and checked. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define ROUNDS 5
#define USAGE_CODE 2

static const char usage[] =
    "usage: bench [--rounds N] [--only NAME] [--quick] [--json FILE] [--compare OLD.json]\n"
    "  --rounds N     measure so often, tell the median (5)\n"
    "  --only NAME    what has NAME in its name, and its floors\n"
    "  --quick        one short round of all: does every number come out?\n"
    "  --json FILE    where to write the results (bench.json beside this program, unless --only)\n"
    "  --compare OLD  old, new and ratio; OLD is a file that --json wrote\n";

static const struct option long_options[] = {
    {"rounds", required_argument, NULL, 'r'},
    {"only", required_argument, NULL, 'o'},
    {"quick", no_argument, NULL, 'q'},
    {"json", required_argument, NULL, 'j'},
    {"compare", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static unsigned read_rounds(const char *text)
{
    char *end;
    unsigned long rounds = strtoul(text, &end, 10);
    return *end || rounds > BENCH_ROUNDS_MAX ? 0 : (unsigned)rounds;
}

/* False: usage was told to stderr or stdout, *code is how to exit. */
static bool read_options(int argc, char **argv, struct bench_options *options, int *code)
{
    int letter;
    while ((letter = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (letter) {
        case 'r': options->rounds = read_rounds(optarg); break;
        case 'o': options->only = optarg; break;
        case 'q': options->quick = true; break;
        case 'j': options->json = optarg; break;
        case 'c': options->compare = optarg; break;
        case 'h':
            (void)fputs(usage, stdout);
            *code = EXIT_SUCCESS;
            return false;
        default: options->rounds = 0;
        }
    }
    if (options->rounds && optind == argc)
        return true;
    (void)fputs(usage, stderr);
    *code = USAGE_CODE;
    return false;
}

/* The build directory is where this program is. */
static void default_json(char *path, size_t size, const char *program)
{
    const char *slash = strrchr(program, '/');
    (void)snprintf(path, size, "%.*sbench.json", slash ? (int)(slash - program + 1) : 0, program);
}

static bool succeeded(const char *what, int error)
{
    if (error)
        (void)fprintf(stderr, "bench: %s: %s\n", what, strerror(-error));
    return error == 0;
}

static bool has_failed(const struct bench_run *run)
{
    bool failed = false;
    for (size_t i = 0; i < run->count; i++)
        failed = failed || run->results[i].error[0];
    return failed;
}

/* A part of the numbers must not take the place of all of them, unless that is asked for. */
static bool tell(const struct bench_options *options, const struct bench_run *run)
{
    bool told = true;
    bench_print(run);
    if (options->compare) /* first: it may be the file that is about to be written */
        told = succeeded(options->compare, bench_compare(options, run));
    if (options->json)
        told = succeeded(options->json, bench_write_json(options, run)) && told;
    return told;
}

int main(int argc, char **argv)
{
    char path[4096];
    struct bench_options options = {.rounds = ROUNDS};
    struct bench_run run = {.count = 0};
    int code = EXIT_FAILURE;
    if (!read_options(argc, argv, &options, &code))
        return code;
    default_json(path, sizeof path, argv[0]);
    if (!options.json && !options.only)
        options.json = path;
    if (options.quick)
        options.rounds = 1;
    int error = bench_run_all(&options, &run);
    if (error == -ENOENT)
        (void)fprintf(stderr, "bench: nothing has %s in its name\n", options.only);
    else if (succeeded("bench", error))
        code = tell(&options, &run) && !has_failed(&run) ? EXIT_SUCCESS : EXIT_FAILURE;
    free(run.results);
    return code;
}
