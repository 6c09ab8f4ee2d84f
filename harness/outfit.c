/* SPDX-License-Identifier: MIT */
/* outfit: made in the target, looked at in its workers. */
#include "harness/outfit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DIRECTORY_FD 900 /* in the target; nothing else gets that far unless a table is filled */
#define NICE_MOST 19

bool hn_outfit_is_any(const struct hn_outfit *wanted)
{
    return wanted->variables || wanted->nice || wanted->stdio || wanted->deal_cpus ||
           wanted->no_core || wanted->limit_as || wanted->directory_late;
}

/* ---- In the target --------------------------------------------------------------------------- */

static void add_variables(const struct hn_outfit *wanted, struct hn_outfit_given *given)
{
    for (uint32_t i = 0; i < wanted->variables && i < HN_VARIABLES_MAX; i++) {
        snprintf(given->texts[i], sizeof given->texts[i], "CHAOS_%u=%u", i, i * 7);
        given->environment[i] = given->texts[i];
        given->outfit.environment_count = i + 1;
    }
    if (wanted->variables)
        given->outfit.environment = given->environment;
}

static int add_cpus(struct hn_outfit_given *given)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return -errno;
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set))
            given->cpus[given->outfit.cpus_count++] = cpu;
    given->outfit.cpus = given->cpus;
    given->outfit.flags |= LIBPOOL_DEAL_CPUS;
    return 0;
}

static void add_limit(struct hn_outfit_given *given, int resource, uint64_t value)
{
    given->limits[given->outfit.limits_count++] = (libpool_limit){resource, value, value};
    given->outfit.limits = given->limits;
}

int hn_outfit_make(const struct hn_outfit *wanted, struct hn_outfit_given *given)
{
    memset(given, 0, sizeof *given);
    given->outfit.size = sizeof given->outfit;
    given->outfit.stdio[1] = given->outfit.stdio[2] = wanted->stdio;
    given->outfit.nice = (int32_t)wanted->nice;
    add_variables(wanted, given);
    if (wanted->no_core)
        add_limit(given, RLIMIT_CORE, 0);
    if (wanted->limit_as)
        add_limit(given, RLIMIT_AS, wanted->limit_as);
    if (wanted->directory_late) {
        snprintf(given->directory, sizeof given->directory, "/proc/%d/fd/%d", (int)getpid(),
                 DIRECTORY_FD);
        given->outfit.directory = given->directory;
    }
    return wanted->deal_cpus ? add_cpus(given) : 0;
}

int hn_outfit_change(libpool *pool, const libpool_outfit *wearing, uint32_t times)
{
    char text[32];
    const char *environment[HN_VARIABLES_MAX + 1];
    libpool_outfit outfit = wearing ? *wearing : (libpool_outfit){.size = sizeof outfit};
    for (uint32_t i = 0; i < outfit.environment_count; i++)
        environment[i] = outfit.environment[i];
    outfit.directory = outfit.directory ? "/" : NULL; /* the one that is late leads there, too */
    snprintf(text, sizeof text, HN_DRESS_VARIABLE "=%u", times);
    environment[outfit.environment_count++] = text;
    outfit.environment = environment;
    return libpool_set_outfit(pool, &outfit);
}

void hn_outfit_init_failed(const struct hn_outfit *wanted, uint64_t failures)
{
    if (!wanted->directory_late || failures != wanted->directory_late)
        return;
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    (void)dup3(fd, DIRECTORY_FD, O_CLOEXEC); /* refused: the scenario does not heal, and tells */
    (void)close(fd);
}

void hn_outfit_put_away(const struct hn_outfit *wanted)
{
    if (wanted->directory_late)
        (void)close(DIRECTORY_FD);
}

static int make_line(char line[32], uint32_t task)
{
    return snprintf(line, 32, "task %u begins\n", task);
}

enum hn_tail hn_outfit_read_tail(const struct hn_outfit *wanted, uint32_t task,
                                 const libpool_result *result)
{
    char line[32];
    int size = make_line(line, task);
    if (wanted->stdio != LIBPOOL_STDIO_TAIL)
        return HN_TAIL_UNKNOWN;
    if (!result->tail && result->tail_size == 0)
        return HN_TAIL_NONE;
    bool own = result->tail_size == (size_t)size && memcmp(result->tail, line, (size_t)size) == 0;
    return own ? HN_TAIL_OWN : HN_TAIL_OTHER;
}

/* ---- In a worker ----------------------------------------------------------------------------- */

void hn_outfit_say(const struct hn_outfit *wanted, uint32_t task)
{
    char line[32];
    int size = make_line(line, task);
    if (wanted->stdio == LIBPOOL_STDIO_TAIL)
        (void)!write(STDERR_FILENO, line, (size_t)size); /* lost: the judge will miss it */
}

static void object(struct hn_findings *findings, const char *what)
{
    hn_findings_add(findings, HN_I5_ISOLATION, what, "what the outfit has", "something else");
}

static bool has_limit(int resource, uint64_t value)
{
    struct rlimit limit;
    return getrlimit((__rlimit_resource_t)resource, &limit) == 0 && limit.rlim_cur == value &&
           limit.rlim_max == value;
}

static bool has_variables(const struct hn_outfit_given *given)
{
    bool all = true;
    for (uint32_t i = 0; i < given->outfit.environment_count; i++) {
        char name[32], value[32];
        snprintf(name, sizeof name, "CHAOS_%u", i);
        snprintf(value, sizeof value, "%u", i * 7);
        const char *there = getenv(name);
        all = all && there && strcmp(there, value) == 0;
    }
    return all;
}

void hn_outfit_check_change(uint32_t times, struct hn_findings *findings)
{
    char wanted[16];
    const char *there = getenv(HN_DRESS_VARIABLE);
    snprintf(wanted, sizeof wanted, "%u", times);
    if (!there || strcmp(there, wanted) != 0)
        hn_findings_add(findings, HN_I5_ISOLATION, "the worker's environment",
                        "what libpool_set_outfit was given", "change %s, not %s",
                        there ? there : "none", wanted);
}

static bool is_null_device(int fd)
{
    struct stat file;
    return fstat(fd, &file) == 0 && S_ISCHR(file.st_mode) && file.st_rdev == makedev(1, 3);
}

static bool has_one_cpu(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1;
}

static bool is_in_root(void)
{
    char path[8];
    return getcwd(path, sizeof path) && strcmp(path, "/") == 0;
}

void hn_outfit_check(const struct hn_outfit *wanted, const struct hn_outfit_given *given,
                     struct hn_findings *findings)
{
    if (!has_variables(given))
        object(findings, "the worker's environment");
    if (wanted->no_core && !has_limit(RLIMIT_CORE, 0))
        object(findings, "the worker's RLIMIT_CORE");
    if (wanted->limit_as && !has_limit(RLIMIT_AS, wanted->limit_as))
        object(findings, "the worker's RLIMIT_AS");
    if (wanted->stdio == LIBPOOL_STDIO_NULL && (!is_null_device(1) || !is_null_device(2)))
        object(findings, "the worker's descriptors 1 and 2");
    if (wanted->deal_cpus && !has_one_cpu())
        object(findings, "the worker's CPUs");
    if (wanted->directory_late && !is_in_root())
        object(findings, "the worker's directory");
    int least = (int)wanted->nice < NICE_MOST ? (int)wanted->nice : NICE_MOST;
    if (wanted->nice && getpriority(PRIO_PROCESS, 0) < least)
        object(findings, "the worker's nice value");
}
