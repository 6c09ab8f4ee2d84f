/* SPDX-License-Identifier: MIT */
/*
 * Peers: what others use for the same thing, under the same load (peers/). Each is a program of its own
 * beside this one; a round starts it, and it prints one number for each thing that it was asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define WINDOW "1024"
#define NOT_INSTALLED 77
#define ARGUMENTS_MAX 10

struct command {
    const char *arguments[ARGUMENTS_MAX]; /* the program first, as its name in peers/ */
    int out[2], err[2];
};

/* peers/ is where this program is. */
static void find_program(const char *name, char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 64);
    bench_must(length > 0, "/proc/self/exe: %s", strerror(errno));
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    bench_must(slash != NULL, "%s is no path", path);
    (void)snprintf(slash + 1, 64, "peers/%s", name);
    if (access(path, X_OK) != 0)
        bench_lack("peers/%s was not built (make setup-bench)", name);
}

static int become(void *argument)
{
    struct command *command = argument;
    char path[PATH_MAX];
    find_program(command->arguments[0], path);
    (void)dup2(command->out[1], STDOUT_FILENO);
    (void)dup2(command->err[1], STDERR_FILENO);
    (void)execv(path, (char *const *)command->arguments);
    bench_fail("%s: %s", path, strerror(errno));
}

/* What it has to say, until it ends. Little enough for a pipe to hold, so one after the other will do. */
static void read_all(const int ends[2], char *text, size_t size)
{
    size_t length = 0;
    ssize_t count;
    (void)close(ends[1]);
    while (length + 1 < size && (count = read(ends[0], text + length, size - 1 - length)) > 0)
        length += (size_t)count;
    text[length] = '\0';
    (void)close(ends[0]);
}

static void run(struct command *command, char *out, size_t size)
{
    char errors[160], path[PATH_MAX];
    int status = 0;
    find_program(command->arguments[0], path);
    bench_must(pipe2(command->out, O_CLOEXEC) == 0 && pipe2(command->err, O_CLOEXEC) == 0,
               "pipe: %s", strerror(errno));
    pid_t pid = bench_fork(become, command);
    read_all(command->out, out, size);
    read_all(command->err, errors, sizeof errors);
    errors[strcspn(errors, "\n")] = '\0';
    bench_must(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_INSTALLED)
        bench_lack("%s (make setup-bench)", errors);
    bench_must(status == 0, "status %#x: %s", (unsigned)status, errors);
}

/* program PREFIX TIME_NS WINDOW MODE...; the numbers come in the order of the modes. */
static void measure(struct bench_round *round, const char *program, const char *prefix,
                    const char *const *modes)
{
    char out[1024], time_ns[24], *rest = out;
    struct command command = {.arguments = {program}};
    size_t count = 1, i;
    (void)snprintf(time_ns, sizeof time_ns, "%llu", (unsigned long long)round->time_ns);
    if (prefix)
        command.arguments[count++] = prefix;
    command.arguments[count++] = time_ns;
    command.arguments[count++] = WINDOW;
    for (i = 0; modes[i]; i++)
        command.arguments[count++] = modes[i];
    run(&command, out, sizeof out);
    for (i = 0; modes[i]; i++) {
        char *end;
        round->values[i] = strtod(rest, &end);
        bench_must(end != rest && round->values[i] > 0, "no number %zu in what it said", i + 1);
        rest = end;
    }
}

static const char *const streams[] = {"stream", "wide", NULL};
static const char *const all[] = {"stream", "patient", "roundtrip", "asleep", NULL};
static const char *const without_patience[] = {"stream", "roundtrip", "asleep", NULL};

static void measure_libuv(struct bench_round *round)
{
    measure(round, "libuv", NULL, all);
}

static void measure_glib(struct bench_round *round)
{
    measure(round, "glib", NULL, all);
}

static void measure_condition(struct bench_round *round)
{
    measure(round, "condition", NULL, all);
}

static void measure_onetbb(struct bench_round *round)
{
    measure(round, "onetbb", NULL, streams);
}

static void measure_futures(struct bench_round *round)
{
    measure(round, "pools.py", "futures", without_patience);
}

static void measure_pebble(struct bench_round *round)
{
    measure(round, "pools.py", "pebble", without_patience);
}

static void measure_loky(struct bench_round *round)
{
    measure(round, "pools.py", "loky", without_patience);
}

/* A client that waits for the next one to end; one that waits for half a window; one task at a time. */
#define PEER(name, measure_)                                                        \
    BENCH(name, BENCH_PEER, measure_, {#name "_throughput", "tasks/s"},             \
          {#name "_patient_throughput", "tasks/s"}, {#name "_roundtrip_p50", "us"}, \
          {#name "_asleep_p50", "us"})

#define PYTHON_PEER(name, measure_)                                     \
    BENCH(name, BENCH_PEER, measure_, {#name "_throughput", "tasks/s"}, \
          {#name "_roundtrip_p50", "us"}, {#name "_asleep_p50", "us"})

PEER(libuv, measure_libuv);
PEER(glib, measure_glib);
PEER(condition, measure_condition);
BENCH(onetbb, BENCH_PEER, measure_onetbb, {"onetbb_throughput", "tasks/s"},
      {"onetbb_wide_throughput", "tasks/s"});
PYTHON_PEER(futures, measure_futures);
PYTHON_PEER(pebble, measure_pebble);
PYTHON_PEER(loky, measure_loky);
