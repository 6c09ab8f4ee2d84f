/* SPDX-License-Identifier: MIT */
/* bench: the command. Options in, exit code out: 0 only if every number was measured and checked. */
#include <errno.h>
#include <getopt.h>
#include <libpool.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"
#include "json.h"

#define ROUNDS 5
#define USAGE_CODE 2

static const char usage[] =
    "usage: bench [--rounds N] [--only NAME] [--quick] [--json FILE] [--html FILE]\n"
    "             [--compare OLD.json] [--markdown] [--list]\n"
    "  --rounds N     measure so often, tell the median (5)\n"
    "  --only NAME    what has NAME in its name, and what that is held to\n"
    "  --quick        one short round of all: does every number come out?\n"
    "  --json FILE    where to write the results (bench.json beside this program, or\n"
    "                 bench-quick.json; none with --only)\n"
    "  --html FILE    the same as a page with plots (bench.html, or bench-quick.html)\n"
    "  --compare OLD  old, new and ratio; OLD is a file that --json wrote\n"
    "  --markdown     the table of ratios as PERFORMANCE.md has it\n"
    "  --list         the benches and their numbers\n"
    "exit code: 0 every number came out, met or missed; 1 one did not; 2 mistake on the command "
    "line\n";

static const struct option long_options[] = {
    {"rounds", required_argument, NULL, 'r'}, {"only", required_argument, NULL, 'o'},
    {"quick", no_argument, NULL, 'q'},        {"json", required_argument, NULL, 'j'},
    {"html", required_argument, NULL, 'p'},   {"compare", required_argument, NULL, 'c'},
    {"markdown", no_argument, NULL, 'm'},     {"list", no_argument, NULL, 'l'},
    {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
};

static unsigned read_rounds(const char *text)
{
    char *end;
    unsigned long rounds = strtoul(text, &end, 10);
    return *end || rounds > BENCH_ROUNDS_MAX ? 0 : (unsigned)rounds;
}

/* False: all is said, *code is how to exit. */
static bool read_options(int argc, char **argv, struct bench_options *options, int *code)
{
    int letter;
    *code = EXIT_SUCCESS;
    while ((letter = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (letter) {
        case 'r':
            options->rounds = read_rounds(optarg);
            if (!options->rounds)
                (void)fprintf(stderr, "bench: --rounds: expected 1 to %d, not '%s'\n",
                              BENCH_ROUNDS_MAX, optarg);
            break;
        case 'o': options->only = optarg; break;
        case 'q': options->quick = true; break;
        case 'j': options->json = optarg; break;
        case 'p': options->html = optarg; break;
        case 'c': options->compare = optarg; break;
        case 'm': options->markdown = true; break;
        case 'l': bench_list(); return false;
        case 'h': (void)fputs(usage, stdout); return false;
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
static const char *beside(const char *program, const char *name, char path[PATH_MAX])
{
    const char *slash = strrchr(program, '/');
    (void)snprintf(path, PATH_MAX, "%.*s%s", slash ? (int)(slash - program + 1) : 0, program, name);
    return path;
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
        failed = failed || (run->results[i].error[0] && !run->results[i].missing);
    return failed;
}

static int write_json(const struct bench_options *options, const struct bench_run *run)
{
    struct utsname name = {.release = ""};
    double load[1] = {0};
    FILE *file = fopen(options->json, "we");
    if (!file)
        return -errno;
    (void)uname(&name);
    (void)getloadavg(load, 1);
    struct bench_machine machine = {.libpool = libpool_version(),
                                    .kernel = name.release,
                                    .machine = name.machine,
                                    .cpus = sysconf(_SC_NPROCESSORS_ONLN),
                                    .load_after = load[0],
                                    .rounds = options->rounds,
                                    .quick = options->quick};
    bench_json_write(file, &machine, run, bench_ratios, bench_ratio_count);
    bool failed = ferror(file) != 0;
    return fclose(file) || failed ? -EIO : 0;
}

static int compare(const struct bench_options *options, const struct bench_run *run)
{
    FILE *old = fopen(options->compare, "re");
    if (!old)
        return -errno;
    int known = bench_json_compare(old, run, stdout);
    (void)fclose(old);
    return known ? 0 : -ENODATA;
}

/* A part of the numbers must not take the place of all of them, unless that is asked for. */
static bool tell(const struct bench_options *options, const struct bench_run *run)
{
    bool told = true;
    bench_print(options, run);
    if (options->compare) /* first: it may be the file that is about to be written */
        told = succeeded(options->compare, compare(options, run));
    if (options->json)
        told = succeeded(options->json, write_json(options, run)) && told;
    if (options->html)
        told = succeeded(options->html, bench_write_html(options, run)) && told;
    return told;
}

/* A thousand workers take more descriptors than shells usually allow, and fewer than they may. */
static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    char json[PATH_MAX], html[PATH_MAX];
    struct bench_options options = {.rounds = ROUNDS};
    struct bench_run run = {.count = 0};
    int code;
    if (!read_options(argc, argv, &options, &code))
        return code;
    if (!options.json && !options.only)
        options.json = beside(argv[0], options.quick ? "bench-quick.json" : "bench.json", json);
    if (!options.html && !options.only)
        options.html = beside(argv[0], options.quick ? "bench-quick.html" : "bench.html", html);
    if (options.quick)
        options.rounds = 1;
    if (options.compare && access(options.compare, R_OK) != 0) {
        (void)succeeded(options.compare, -errno); /* now, and not after minutes of measuring */
        return USAGE_CODE;
    }
    allow_descriptors();
    int error = bench_run_all(&options, &run);
    code = EXIT_FAILURE;
    if (error == -ENOENT)
        (void)fprintf(stderr, "bench: nothing has %s in its name\n", options.only);
    else if (succeeded("bench", error))
        code = tell(&options, &run) && !has_failed(&run) ? EXIT_SUCCESS : EXIT_FAILURE;
    free(run.results);
    return code;
}
