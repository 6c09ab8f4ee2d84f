/* SPDX-License-Identifier: MIT */
/*
 * storm: very many tiny tasks while a random worker is SIGKILLed every 20 ms.
 *
 *     build/storm [TASKS [INTERVAL_MS [KILLS]]]     1000000 tasks, 20 ms, 200 kills
 *
 * It lasts until there were so many tasks and so many kills.
 *
 * What has to hold: every future ends, once, within its time; a completed one has brought back exactly
 * its bytes; the books balance in the end; descriptors and memory of this process are where they were.
 * The victims are the workers that gave the latest results, signalled through pidfds.
 */
#include <libpool.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define WINDOW 1024
#define WORKERS 2
#define SLOTS (WORKERS + 2)
#define WAIT_MS 20000
#define WARM_TASKS 20000 /* memory is compared from here on */
#define MEMORY_SLACK_KIB 2048

struct storm {
    libpool *pool;
    long least_tasks, interval_ms, least_kills;
    long tasks;              /* in all */
    _Atomic int pids[SLOTS]; /* of the latest result from there; 0: none yet */
    unsigned seed;
    _Atomic long kills;
    atomic_bool over;
};

struct tally {
    long ended[LIBPOOL_CAUSES], wrong, hung;
};

static int echo(libpool_worker *worker, const void *input, size_t size)
{
    return libpool_reply(worker, input, size);
}

/* ---- the killer ------------------------------------------------------------------------------ */

/* The number may be a stranger's by now: what the pidfd means is checked by the process's name. */
static bool is_worker(int pid)
{
    char path[40], name[16] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/comm", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool named = fgets(name, sizeof name, file) && strncmp(name, "storm:", 6) == 0;
    (void)fclose(file);
    return named;
}

static void kill_one(struct storm *storm)
{
    int pid = atomic_load(&storm->pids[(unsigned)rand_r(&storm->seed) % SLOTS]);
    if (pid == 0)
        return;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return;
    if (is_worker(pid) && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0)
        storm->kills++;
    (void)close(fd);
}

static void *kill_on(void *arg)
{
    struct storm *storm = arg;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct timespec every = {storm->interval_ms / 1000, storm->interval_ms % 1000 * 1000000};
    (void)timerfd_settime(timer, 0, &(struct itimerspec){every, every}, NULL);
    uint64_t ticks;
    while (!atomic_load(&storm->over) && read(timer, &ticks, sizeof ticks) > 0)
        kill_one(storm);
    (void)close(timer);
    return NULL;
}

/* ---- the load -------------------------------------------------------------------------------- */

static void collect(struct storm *storm, struct tally *tally, libpool_future *future, long expected)
{
    const libpool_result *result = NULL;
    if (!future)
        return;
    if (libpool_future_wait(future, WAIT_MS) == 0)
        result = libpool_future_result(future);
    if (!result) {
        tally->hung++;
    } else {
        tally->ended[result->cause]++;
        if (result->slot < SLOTS)
            atomic_store(&storm->pids[result->slot], result->pid);
        bool exact = result->data_size == sizeof expected &&
                     memcmp(result->data, &expected, sizeof expected) == 0;
        tally->wrong += result->cause == LIBPOOL_COMPLETED && !exact;
    }
    libpool_future_free(future);
}

static long memory_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    if (file)
        (void)fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static int count_fds(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        count++;
    if (directory)
        (void)closedir(directory);
    return count;
}

static bool goes_on(const struct storm *storm, long submitted)
{
    return submitted < storm->least_tasks || atomic_load(&storm->kills) < storm->least_kills;
}

/* Returns by how many KiB memory grew once everything was warm. */
static long run_load(struct storm *storm, struct tally *tally)
{
    static libpool_future *window[WINDOW];
    static long values[WINDOW];
    long warm_kib = memory_kib();
    long end = -1;
    for (long i = 0; (end < 0 || i < end + WINDOW) && !tally->hung; i++) {
        long at = i % WINDOW;
        if (end < 0 && !goes_on(storm, i))
            storm->tasks = end = i;
        collect(storm, tally, window[at], values[at]);
        window[at] = NULL;
        values[at] = i;
        libpool_task task = {.size = sizeof task,
                             .function = echo,
                             .input = &values[at],
                             .input_size = sizeof values[at]};
        if (end < 0 && libpool_submit(storm->pool, &task, WAIT_MS, &window[at]) != 0)
            tally->hung++;
        if (i == WARM_TASKS)
            warm_kib = memory_kib();
    }
    return memory_kib() - warm_kib;
}

/* ---- the verdict ----------------------------------------------------------------------------- */

static bool balanced(const libpool_stats *stats, long tasks)
{
    uint64_t ended = 0, exits = 0;
    for (int cause = 0; cause < LIBPOOL_CAUSES_MAX; cause++) {
        ended += stats->tasks_ended[cause];
        exits += stats->workers_ended[cause];
    }
    return stats->tasks_received == (uint64_t)tasks && ended == (uint64_t)tasks &&
           stats->worker_processes_created == stats->worker_processes_still_alive + exits;
}

static int check(const char *what, bool holds, int *failed)
{
    printf("  %-50s %s\n", what, holds ? "holds" : "DOES NOT HOLD");
    *failed += !holds;
    return *failed;
}

static int judge(struct storm *storm, const struct tally *tally, long grown_kib)
{
    int failed = 0;
    long tasks = storm->tasks;
    libpool_stats stats = {.size = sizeof stats};
    (void)libpool_stats_read(storm->pool, &stats);
    long others = tasks - tally->ended[LIBPOOL_COMPLETED] - tally->ended[LIBPOOL_KILLED];
    printf(
        "%ld tasks, %ld workers killed: %ld completed, %ld killed, %llu given to another worker\n",
        tasks, storm->kills, tally->ended[LIBPOOL_COMPLETED], tally->ended[LIBPOOL_KILLED],
        (unsigned long long)stats.tasks_returned);
    check("every future has ended", tally->hung == 0, &failed);
    check("no result is wrong", tally->wrong == 0, &failed);
    check("no other cause than completed and killed", others == 0, &failed);
    check("a kill costs one task at most", tally->ended[LIBPOOL_KILLED] <= storm->kills, &failed);
    check("as many workers were killed as should be", storm->kills >= storm->least_kills, &failed);
    check("the books balance", balanced(&stats, tasks), &failed);
    check("memory is where it was", grown_kib <= MEMORY_SLACK_KIB, &failed);
    return failed;
}

static long number(int argc, char **argv, int index, long fallback)
{
    return argc > index ? strtol(argv[index], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
    struct storm storm = {.least_tasks = number(argc, argv, 1, 1000000),
                          .interval_ms = number(argc, argv, 2, 20),
                          .least_kills = number(argc, argv, 3, 200),
                          .seed = (unsigned)getpid()};
    struct tally tally = {.hung = 0};
    libpool_options options = {.size = sizeof options,
                               .min_workers = WORKERS,
                               .max_workers = WORKERS,
                               .backlog_tasks = WINDOW + 1,
                               .name = "storm"};
    int fds = count_fds();
    pthread_t killer;
    if (storm.least_tasks <= 0 || storm.interval_ms <= 0 ||
        libpool_open(&storm.pool, &options) < 0 ||
        pthread_create(&killer, NULL, kill_on, &storm) != 0) {
        (void)fprintf(stderr, "usage: storm [TASKS [INTERVAL_MS [KILLS]]]\n");
        return 2;
    }
    long grown_kib = run_load(&storm, &tally);
    atomic_store(&storm.over, true);
    pthread_join(killer, NULL);
    int failed = judge(&storm, &tally, grown_kib);
    libpool_close(storm.pool);
    check("descriptors are where they were", count_fds() == fds, &failed);
    return failed ? 1 : 0;
}
