/* SPDX-License-Identifier: MIT */
#include "os/outfit.h"

#include "base/alloc.h"
#include "base/fd.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CPUS_MAX 8192u /* the most that Linux can be built for */
#define NICE_RANGE 39  /* from the lowest to the highest */
#define ENTRIES_MAX 4096u

struct lp_outfit {
    libpool_outfit is; /* its pointers lead into the same block */
    size_t bytes;
};

/* ---- In the host: checked ---------------------------------------------------------------- */

static bool is_environment(const char *const *entries, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (entries[i] == NULL || entries[i][0] == '\0' || entries[i][0] == '=')
            return false;
    return true;
}

static bool are_limits(const libpool_limit *limits, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (limits[i].resource < 0 || limits[i].resource >= (int)RLIM_NLIMITS ||
            limits[i].soft > limits[i].hard)
            return false;
    return true;
}

static bool are_cpus(const uint32_t *cpus, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (cpus[i] >= CPUS_MAX)
            return false;
    return true;
}

static bool are_streams(const uint32_t *policies)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (policies[fd] > LIBPOOL_STDIO_TAIL)
            return false;
    return policies[STDIN_FILENO] != LIBPOOL_STDIO_TAIL;
}

/* A count without an array, or the other way round, is a mistake. */
static bool is_array(const void *array, uint32_t n)
{
    return n <= ENTRIES_MAX && !array == !n;
}

static bool is_outfit(const libpool_outfit *is)
{
    const uint32_t known = LIBPOOL_SET_UMASK | LIBPOOL_DEAL_CPUS;
    bool flagged = !(is->flags & ~known) && (is->cpus_count || !(is->flags & LIBPOOL_DEAL_CPUS));
    bool masked = is->umask <= ((is->flags & LIBPOOL_SET_UMASK) ? 0777u : 0u);
    bool nice = is->nice >= -NICE_RANGE && is->nice <= NICE_RANGE;
    return flagged && masked && nice && !is->reserved &&
           (!is->directory || is->directory[0] == '/') &&
           is_array(is->environment, is->environment_count) &&
           is_array(is->limits, is->limits_count) && is_array(is->cpus, is->cpus_count) &&
           is_environment(is->environment, is->environment_count) &&
           are_limits(is->limits, is->limits_count) && are_cpus(is->cpus, is->cpus_count) &&
           are_streams(is->stdio);
}

/* ---- In the host: copied ----------------------------------------------------------------- */

/* Arrays first, those of the strictest alignment before the others; then the strings. */
static size_t bytes_needed(const libpool_outfit *is)
{
    size_t bytes = sizeof(struct lp_outfit) + is->limits_count * sizeof(is->limits[0]) +
                   is->environment_count * sizeof(is->environment[0]) +
                   is->cpus_count * sizeof(is->cpus[0]);
    for (uint32_t i = 0; i < is->environment_count; i++)
        bytes += strlen(is->environment[i]) + 1;
    return bytes + (is->directory ? strlen(is->directory) + 1 : 0);
}

static void *add(char **at, const void *data, size_t size)
{
    if (size == 0)
        return NULL;
    void *copy = memcpy(*at, data, size);
    *at += size;
    return copy;
}

static void fill(struct lp_outfit *outfit)
{
    libpool_outfit *is = &outfit->is;
    char *at = (char *)(outfit + 1);
    is->limits = add(&at, is->limits, is->limits_count * sizeof(is->limits[0]));
    const char **entries = add(&at, is->environment,
                               is->environment_count * sizeof(is->environment[0]));
    is->cpus = add(&at, is->cpus, is->cpus_count * sizeof(is->cpus[0]));
    for (uint32_t i = 0; i < is->environment_count; i++)
        entries[i] = add(&at, entries[i], strlen(entries[i]) + 1);
    is->environment = entries;
    if (is->directory)
        is->directory = add(&at, is->directory, strlen(is->directory) + 1);
}

int lp_outfit_copy(struct lp_outfit **copy, const libpool_outfit *given,
                   const libpool_allocator *allocator)
{
    *copy = NULL;
    if (given == NULL)
        return 0;
    if (!is_outfit(given))
        return -EINVAL;
    size_t bytes = bytes_needed(given);
    struct lp_outfit *outfit = lp_alloc(allocator, bytes);
    if (outfit == NULL)
        return -ENOMEM;
    *outfit = (struct lp_outfit){.is = *given, .bytes = bytes};
    fill(outfit);
    *copy = outfit;
    return 0;
}

void lp_outfit_release(struct lp_outfit *outfit, const libpool_allocator *allocator)
{
    if (outfit != NULL)
        lp_release(allocator, outfit, outfit->bytes);
}

bool lp_outfit_keeps_stdin(const struct lp_outfit *outfit)
{
    return outfit != NULL && outfit->is.stdio[STDIN_FILENO] == LIBPOOL_STDIO_INHERIT;
}

bool lp_outfit_keeps_tail_of(const struct lp_outfit *outfit, int fd)
{
    return outfit != NULL && outfit->is.stdio[fd] == LIBPOOL_STDIO_TAIL;
}

bool lp_outfit_keeps_tail(const struct lp_outfit *outfit)
{
    return lp_outfit_keeps_tail_of(outfit, STDOUT_FILENO) ||
           lp_outfit_keeps_tail_of(outfit, STDERR_FILENO);
}

/* ---- To another program ------------------------------------------------------------------ */

static void pack(const libpool_outfit *is, void (*put)(void *pen, const void *data, size_t size),
                 void *pen)
{
    put(pen, is, sizeof(*is)); /* of its pointers only whether they are NULL counts there */
    put(pen, is->limits ? is->limits : (const void *)"", is->limits_count * sizeof(is->limits[0]));
    put(pen, is->cpus ? is->cpus : (const void *)"", is->cpus_count * sizeof(is->cpus[0]));
    if (is->directory)
        put(pen, is->directory, strlen(is->directory) + 1);
    for (uint32_t i = 0; i < is->environment_count; i++)
        put(pen, is->environment[i], strlen(is->environment[i]) + 1);
}

void lp_outfit_pack(const struct lp_outfit *outfit,
                    void (*put)(void *pen, const void *data, size_t size), void *pen)
{
    if (outfit == NULL)
        put(pen, "", 0);
    else
        pack(&outfit->is, put, pen);
}

int lp_outfit_pack_given(const libpool_outfit *given,
                         void (*put)(void *pen, const void *data, size_t size), void *pen)
{
    if (!is_outfit(given))
        return -EINVAL;
    pack(given, put, pen);
    return 0;
}

static const char *take_text(const void *(*take)(void *reader, size_t *size), void *reader)
{
    size_t size;
    const char *text = take(reader, &size);
    return size && memchr(text, 0, size) == text + size - 1 ? text : NULL;
}

static int unpack(libpool_outfit *is, const char **environment,
                  const void *(*take)(void *reader, size_t *size), void *reader)
{
    size_t limits, cpus;
    is->limits = take(reader, &limits);
    is->cpus = take(reader, &cpus);
    if (limits != is->limits_count * sizeof(is->limits[0]) ||
        cpus != is->cpus_count * sizeof(is->cpus[0]))
        return -EPROTO;
    is->limits = limits ? is->limits : NULL;
    is->cpus = cpus ? is->cpus : NULL;
    if (is->directory && !(is->directory = take_text(take, reader)))
        return -EPROTO;
    for (uint32_t i = 0; i < is->environment_count; i++)
        if (!(environment[i] = take_text(take, reader)))
            return -EPROTO;
    is->environment = is->environment_count ? environment : NULL;
    return 0;
}

int lp_outfit_unpack(struct lp_outfit **copy, const void *(*take)(void *reader, size_t *size),
                     void *reader)
{
    static const libpool_allocator from_malloc;
    libpool_outfit is;
    size_t size;
    *copy = NULL;
    const void *packed = take(reader, &size);
    if (size == 0)
        return 0;
    if (size != sizeof(is))
        return -EPROTO;
    memcpy(&is, packed, sizeof(is));
    if (is.environment_count > ENTRIES_MAX)
        return -EPROTO;
    size_t bytes = is.environment_count * sizeof(const char *);
    const char **environment = lp_alloc(&from_malloc, bytes);
    int error = bytes && !environment ? -ENOMEM : unpack(&is, environment, take, reader);
    if (error == 0)
        error = lp_outfit_copy(copy, &is, &from_malloc);
    lp_release(&from_malloc, environment, bytes);
    return error == -EINVAL ? -EPROTO : error;
}

/* ---- In a worker ------------------------------------------------------------------------- */

static int wear_stdio(const libpool_outfit *is, uint32_t slot)
{
    (void)slot;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (is->stdio[fd] != LIBPOOL_STDIO_NULL)
            continue;
        lp_fd_auto int null_fd = lp_sys.openat(AT_FDCWD, "/dev/null", O_RDWR);
        int done = null_fd < 0 ? null_fd : lp_sys.dup_to(null_fd, fd, 0);
        if (done < 0)
            return done;
    }
    return 0;
}

/* The mask can't fail, so it has no step of its own. */
static int wear_directory(const libpool_outfit *is, uint32_t slot)
{
    (void)slot;
    if (is->flags & LIBPOOL_SET_UMASK)
        (void)lp_sys.umask((mode_t)is->umask);
    return is->directory ? lp_sys.chdir(is->directory) : 0;
}

/* Up to the end of the name. */
static size_t name_length(const char *entry)
{
    return strcspn(entry, "=");
}

static bool has_name(const char *entry, const char *name, size_t length)
{
    return strncmp(entry, name, length) == 0 && (entry[length] == '=' || entry[length] == '\0');
}

/* All of that name are taken out; how many are left. */
static size_t take_out(char **entries, size_t n, const char *name, size_t length)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++)
        if (!has_name(entries[i], name, length))
            entries[left++] = entries[i];
    return left;
}

/*
 * Not by putenv: a thread of the application may have had the libc's lock when the zygote was forked, and
 * in the copy nobody ever gives it up. The strings stay where they are: the block lives as long as the
 * worker.
 */
static int wear_environment(const libpool_outfit *is, uint32_t slot)
{
    (void)slot;
    size_t n = 0;
    if (is->environment_count == 0)
        return 0;
    while (environ && environ[n])
        n++;
    char **entries = malloc((n + is->environment_count + 1) * sizeof(entries[0]));
    if (entries == NULL)
        return -ENOMEM;
    if (n > 0)
        memcpy(entries, environ, n * sizeof(entries[0]));
    for (uint32_t i = 0; i < is->environment_count; i++) {
        char *entry = (char *)(uintptr_t)is->environment[i];
        size_t length = name_length(entry);
        n = take_out(entries, n, entry, length);
        if (entry[length] == '=')
            entries[n++] = entry;
    }
    entries[n] = NULL;
    environ = entries;
    return 0;
}

static bool has_cpu(const uint64_t *mask, uint32_t cpu)
{
    return mask[cpu / 64] >> cpu % 64 & 1;
}

/* Of those that are there, in the order in which they were given, the slot's. */
static uint32_t deal_cpu(const libpool_outfit *is, const uint64_t *there, uint32_t slot)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < is->cpus_count; i++)
        n += has_cpu(there, is->cpus[i]);
    uint32_t nth = n ? slot % n : 0, at = 0;
    while (at + 1 < is->cpus_count && (!has_cpu(there, is->cpus[at]) || nth-- > 0))
        at++;
    return is->cpus[at];
}

/* To all of them at first: the kernel leaves out what is not there. */
static int wear_cpus(const libpool_outfit *is, uint32_t slot)
{
    uint64_t mask[CPUS_MAX / 64] = {0};
    if (is->cpus_count == 0)
        return 0;
    for (uint32_t i = 0; i < is->cpus_count; i++)
        mask[is->cpus[i] / 64] |= UINT64_C(1) << is->cpus[i] % 64;
    int error = lp_sys.sched_setaffinity(sizeof(mask), mask);
    if (error || !(is->flags & LIBPOOL_DEAL_CPUS))
        return error;
    memset(mask, 0, sizeof(mask)); /* the kernel fills in as many CPUs as it knows */
    error = lp_sys.sched_getaffinity(sizeof(mask), mask);
    if (error < 0)
        return error;
    uint32_t cpu = deal_cpu(is, mask, slot);
    memset(mask, 0, sizeof(mask));
    mask[cpu / 64] = UINT64_C(1) << cpu % 64;
    return lp_sys.sched_setaffinity(sizeof(mask), mask);
}

static int wear_nice(const libpool_outfit *is, uint32_t slot)
{
    (void)slot;
    return is->nice ? lp_sys.nice(is->nice) : 0;
}

static rlim_t as_limit(uint64_t value)
{
    return value == LIBPOOL_UNLIMITED ? RLIM_INFINITY : (rlim_t)value;
}

static int wear_limits(const libpool_outfit *is, uint32_t slot)
{
    (void)slot;
    int error = 0;
    for (uint32_t i = 0; i < is->limits_count && !error; i++) {
        const struct rlimit limit = {.rlim_cur = as_limit(is->limits[i].soft),
                                     .rlim_max = as_limit(is->limits[i].hard)};
        error = lp_sys.setrlimit(is->limits[i].resource, &limit);
    }
    return error;
}

int lp_outfit_wear(const struct lp_outfit *outfit, uint32_t slot)
{
    static const struct {
        int step;
        int (*wear)(const libpool_outfit *is, uint32_t slot);
    } steps[] = {
        {LIBPOOL_STEP_STDIO, wear_stdio},
        {LIBPOOL_STEP_DIRECTORY, wear_directory},
        {LIBPOOL_STEP_ENVIRONMENT, wear_environment},
        {LIBPOOL_STEP_CPUS, wear_cpus},
        {LIBPOOL_STEP_NICE, wear_nice},
        {LIBPOOL_STEP_LIMITS, wear_limits},
    };
    for (size_t i = 0; outfit != NULL && i < sizeof(steps) / sizeof(steps[0]); i++) {
        int error = steps[i].wear(&outfit->is, slot);
        if (error < 0)
            return error - steps[i].step;
    }
    return 0;
}
