/* SPDX-License-Identifier: MIT */
/*
 * What rounds are made of: a clock, samples, shared memory, children, futexes.
 *
 * A round owns its process, so whatever goes wrong in it ends the process with a sentence in the
 * round's shared memory: no error is carried upwards, and nothing is left, because the children die
 * with their parent.
 */
#include "bench.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS 10000
#define PAUSES 16

static struct bench_round *current;
static size_t first_cpu, last_cpu;

/* Before anything is pinned: the first CPU that this process may use, and the last. */
static void find_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return; /* then it can't be pinned either, and that is told */
    for (size_t cpu = CPU_SETSIZE; cpu-- > 0;)
        if (CPU_ISSET(cpu, &set))
            first_cpu = cpu;
    for (size_t cpu = first_cpu; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set))
            last_cpu = cpu;
}

void bench_begin_round(struct bench_round *round)
{
    current = round;
    find_cpus();
}

void bench_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(current->error, sizeof current->error, format, arguments);
    va_end(arguments);
    _exit(EXIT_FAILURE);
}

void bench_lack(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(current->error, sizeof current->error, format, arguments);
    va_end(arguments);
    current->missing = true;
    _exit(EXIT_SUCCESS);
}

void bench_idle(uint64_t time_ns)
{
    struct timespec time = {.tv_sec = (time_t)(time_ns / 1000000000u),
                            .tv_nsec = (long)(time_ns % 1000000000u)};
    while (nanosleep(&time, &time) != 0) /* sleeps: an idle machine is what is measured */
        bench_must(errno == EINTR, "nanosleep: %s", strerror(errno));
}

uint64_t bench_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void *bench_share(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bench_must(memory != MAP_FAILED, "no shared memory: %s", strerror(errno));
    return memory;
}

/* ---- samples ------------------------------------------------------------------------------ */

struct bench_samples bench_samples_new(size_t capacity)
{
    struct bench_samples samples = {.capacity = capacity};
    samples.ns = calloc(capacity, sizeof *samples.ns);
    bench_must(samples.ns != NULL, "no memory for %zu samples", capacity);
    memset(samples.ns, 1, capacity * sizeof *samples.ns); /* its page faults belong to no sample */
    return samples;
}

void bench_sample(struct bench_samples *samples, uint64_t ns)
{
    if (samples->count < samples->capacity)
        samples->ns[samples->count++] = ns;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

double bench_percentile_us(struct bench_samples *samples, double percent)
{
    bench_must(samples->count > 0, "not one sample");
    qsort(samples->ns, samples->count, sizeof *samples->ns, by_value);
    size_t last = samples->count - 1;
    size_t at = (size_t)(percent / 100 * (double)last + 0.5);
    return (double)samples->ns[at < last ? at : last] / 1000;
}

/* ---- children ----------------------------------------------------------------------------- */

pid_t bench_fork(int (*body)(void *argument), void *argument)
{
    pid_t parent = getpid(), pid = fork();
    bench_must(pid >= 0, "fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
    _exit(body(argument));
}

void bench_kill(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    bench_must(waitpid(pid, NULL, 0) == pid, "a killed child could not be reaped");
}

void bench_reap(pid_t pid, int expected)
{
    int status = 0;
    bench_must(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
    bench_must(WIFEXITED(status) && WEXITSTATUS(status) == expected,
               "a child ended with status %#x, not with code %d", (unsigned)status, expected);
}

int bench_pidfd(pid_t pid)
{
    int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    bench_must(pid_fd >= 0, "pidfd_open: %s", strerror(errno));
    return pid_fd;
}

void bench_pidfd_kill(int pid_fd)
{
    long error = syscall(SYS_pidfd_send_signal, pid_fd, SIGKILL, NULL, 0);
    bench_must(error == 0, "pidfd_send_signal: %s", strerror(errno));
}

/* ---- waiting ------------------------------------------------------------------------------ */

void bench_futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

void bench_futex_wake(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void bench_raise(_Atomic uint32_t *flag)
{
    atomic_store(flag, 1);
    bench_futex_wake(flag);
}

void bench_await(_Atomic uint32_t *flag)
{
    while (atomic_load(flag) == 0)
        bench_futex_wait(flag, 0);
}

static void pause_briefly(void)
{
    for (int i = 0; i < PAUSES; i++)
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#else
        __asm__ volatile("" : : : "memory");
#endif
}

bool bench_yield_spin(bool (*is_ready)(void *argument), void *argument)
{
    uint64_t until_ns = bench_now_ns() + SPIN_NS;
    do {
        if (is_ready(argument))
            return true;
        pause_briefly();
        if (is_ready(argument))
            return true;
        (void)sched_yield();
    } while (bench_now_ns() < until_ns);
    return is_ready(argument);
}

/* ---- the machine -------------------------------------------------------------------------- */

static void pin(size_t cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    bench_must(sched_setaffinity(0, sizeof set, &set) == 0, "affinity: %s", strerror(errno));
}

void bench_place_others(enum bench_place place)
{
    if (place == BENCH_TWO_CORES && first_cpu == last_cpu)
        bench_lack("there is only one core");
    if (place != BENCH_ANYWHERE)
        pin(place == BENCH_ONE_CORE ? first_cpu : last_cpu);
}

void bench_place_client(enum bench_place place)
{
    if (place != BENCH_ANYWHERE)
        pin(first_cpu);
}

double bench_smaps_kib(pid_t pid, const char *field)
{
    char path[64], line[256];
    double kib = -1;
    size_t length = strlen(field);
    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    bench_must(file != NULL, "%s: %s", path, strerror(errno));
    while (kib < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, field, length) == 0 && line[length] == ':')
            kib = strtod(line + length + 1, NULL);
    (void)fclose(file);
    bench_must(kib >= 0, "%s has no %s", path, field);
    return kib;
}
