/* SPDX-License-Identifier: MIT */
/*
 * mix: sixteen threads use one pool in every way at once, while its processes are killed, if it has any.
 *
 *     build/mix [SECONDS [SEED [ROUND]]]     4 seconds, a seed of its own, which it says, from round 0
 *
 * A round is a pool with options at random, each start method in turn: load, resize, recycle,
 * outfits, cancellations, groups, drains, all numbers, events, kills; then four shutdowns at once and the
 * close. What has to hold: each call returns what it may; each task ends once, by its event, its future,
 * its callback and the numbers alike, with a cause it could have; the books balance in every snapshot;
 * afterwards processes, threads, descriptors and the pool's memory are as before, and no child was ever to
 * be seen.
 */
#include "harness/mix.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUND_MS 700
#define STUCK_MS 90000
#define FAILURES_SHOWN 20
#define SHUTDOWNS 4
#define LAST_DEATHS_MS 2000

/* ---- tools --------------------------------------------------------------------------------------------- */

void hn_mix_fail(struct hn_mix *mix, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (atomic_fetch_add(&mix->failures, 1) < FAILURES_SHOWN)
        (void)fprintf(stderr, "mix: seed %llu, round %u: %s\n", (unsigned long long)mix->seed,
                      mix->round, text);
}

uint32_t hn_mix_random(uint64_t *state, uint32_t below)
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return below ? (uint32_t)((mixed ^ mixed >> 31) >> 32) % below : 0;
}

void hn_mix_pause(uint32_t us)
{
    (void)usleep(us); /* sleeps: a thread's pace, nothing is waited for */
}

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The size stands before each block, so that it can be compared with what is given back. */
static void *allocate(void *context, size_t size)
{
    struct hn_mix *mix = context;
    size_t *block = malloc(size + 16);
    if (!block)
        return NULL;
    *block = size;
    atomic_fetch_add(&mix->blocks, 1);
    atomic_fetch_add(&mix->bytes, (long)size);
    return block + 16 / sizeof *block;
}

static void release(void *context, void *pointer, size_t size)
{
    struct hn_mix *mix = context;
    size_t *block = (size_t *)pointer - 16 / sizeof *block;
    HN_MIX_EXPECT(mix, *block == size, "a block of %zu bytes given back as one of %zu", *block,
                  size);
    atomic_fetch_sub(&mix->blocks, 1);
    atomic_fetch_sub(&mix->bytes, (long)size);
    free(block);
}

static int count_entries(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    while (directory && readdir(directory))
        count++;
    if (directory)
        (void)closedir(directory);
    return count;
}

static bool is_alive(const char *pid, const char *name)
{
    char path[300], line[64] = "";
    (void)snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fgets(line, sizeof line, file);
    (void)fclose(file);
    const char *comm = strchr(line, '('), *state = strrchr(line, ')');
    size_t length = strlen(name);
    return read && comm && state && !strncmp(comm + 1, name, length) && comm[1 + length] == ':' &&
           strlen(state) > 2 && state[2] != 'Z' && state[2] != 'X';
}

/* What it is and waits for, for who has to find out why. */
static void tell_of(int pid)
{
    static const char *const files[] = {"stat", "wchan", "syscall", "cgroup"};
    char path[64], line[400];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
        FILE *file = fopen(path, "re");
        while (file && fgets(line, sizeof line, file))
            (void)fprintf(stderr, "  left: %s", line);
        if (file)
            (void)fclose(file);
    }
}

static bool outlives(int pid, int patience_ms)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd death = {.fd = fd, .events = POLLIN};
    bool alive = fd >= 0 && poll(&death, 1, patience_ms) == 0;
    if (alive)
        tell_of(pid);
    if (fd >= 0)
        (void)close(fd);
    return alive;
}

/* Workers, what they have started, the zygote: all have its name. */
static int count_processes(const char *name, int patience_ms)
{
    int count = 0;
    DIR *directory = opendir("/proc");
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        count += entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
                 is_alive(entry->d_name, name) && outlives(atoi(entry->d_name), patience_ms);
    if (directory)
        (void)closedir(directory);
    return count;
}

static void find_beside_us(char *path, size_t size, const char *name)
{
    char self[400] = "";
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = length > 0 ? strrchr(self, '/') : NULL;
    if (slash)
        *slash = 0;
    (void)snprintf(path, size, "%s/%s", self, name);
}

/* ---- one round ----------------------------------------------------------------------------------------- */

static void choose_options(struct hn_mix *mix, uint64_t *random)
{
    static const uint32_t starts[] = {LIBPOOL_FORK, LIBPOOL_SPAWN, LIBPOOL_THREADS};
    uint32_t start = starts[mix->round % 3];
    bool spawned = start == LIBPOOL_SPAWN, threads = start == LIBPOOL_THREADS;
    uint32_t flags = hn_mix_random(random, 4) ? 0 : LIBPOOL_NO_THREAD;
    flags |= flags || hn_mix_random(random, 2) ? 0 : LIBPOOL_CALLBACKS;
    flags |= hn_mix_random(random, 2) ? 0 : LIBPOOL_NO_CGROUP;
    flags |= hn_mix_random(random, 4) ? 0 : LIBPOOL_EXCLUSIVE;
    flags |= spawned && hn_mix_random(random, 2) ? LIBPOOL_PRELOAD : 0;
    uint32_t most = 1 + hn_mix_random(random, HN_MIX_WORKERS);
    libpool_allocator allocator = {mix, allocate, release};
    static libpool_allocator kept;
    kept = allocator;
    mix->options = (libpool_options){.size = sizeof mix->options,
                                     .flags = flags,
                                     .max_workers = most,
                                     .min_workers = hn_mix_random(random, most + 1),
                                     .workers_limit = HN_MIX_WORKERS,
                                     .spare_workers = hn_mix_random(random, HN_MIX_SPARE + 1),
                                     .idle_timeout_ms = 1 + hn_mix_random(random, 100),
                                     .tasks_per_worker = hn_mix_random(random, 3) * 40,
                                     .backlog_tasks = 20 + hn_mix_random(random, 400),
                                     .initializer_failures = 1000000,
                                     .event_buffer = 1u << 20,
                                     .allocator = &kept,
                                     .name = mix->name,
                                     .max_age_ms = hn_mix_random(random, 2) * 1000,
                                     .recycle_jitter_percent = hn_mix_random(random, 101),
                                     .recycle_bytes = hn_mix_random(random, 2) * (8u << 20),
                                     .trim_bytes = hn_mix_random(random, 2) * (4u << 20),
                                     .ageing_ms = hn_mix_random(random, 3)};
    mix->options.memory_limit_bytes = hn_mix_random(random, 2) * (64u << 20);
    mix->options.tail_bytes = hn_mix_random(random, 2) * 1000;
    if (threads) /* a process's own */
        mix->options.memory_limit_bytes = mix->options.recycle_bytes = mix->options.trim_bytes =
            mix->options.tail_bytes = 0;
    mix->outfit = (libpool_outfit){.size = sizeof mix->outfit,
                                   .stdio = {[1] = LIBPOOL_STDIO_TAIL, [2] = LIBPOOL_STDIO_TAIL}};
    mix->options.outfit = mix->options.tail_bytes ? &mix->outfit : NULL;
    mix->options.start = start;
    mix->options.zygote_path = spawned ? mix->zygote_path : NULL;
    mix->options.object = spawned ? mix->object : NULL;
    mix->options.initializer = spawned ? NULL : hn_mix_initialize;
    mix->options.finalizer = spawned ? NULL : hn_mix_finalize;
    mix->options.initializer_symbol = spawned ? "hn_mix_initialize" : NULL;
    mix->options.finalizer_symbol = spawned ? "hn_mix_finalize" : NULL;
}

static void *run_thread(void *arg)
{
    struct hn_mix_thread *thread = arg;
    thread->run(thread);
    thread->doing = "done";
    return NULL;
}

static void start_threads(struct hn_mix *mix, uint64_t *random)
{
    static void (*const meddlers[])(struct hn_mix_thread *) = {
        hn_mix_touch,         hn_mix_resize,     hn_mix_recycle,   hn_mix_drain,      hn_mix_kill,
        hn_mix_cancel_groups, hn_mix_read_books, hn_mix_read_text, hn_mix_read_events};
    _Static_assert(HN_MIX_LOADERS + sizeof meddlers / sizeof *meddlers == HN_MIX_THREADS,
                   "each thread has something to do");
    for (uint32_t i = 0; i < HN_MIX_THREADS; i++) {
        struct hn_mix_thread *thread = &mix->threads[i];
        thread->mix = mix;
        thread->number = i;
        thread->random = *random + i * UINT64_C(0x1234567);
        thread->doing = "start";
        thread->run = i < HN_MIX_LOADERS ? hn_mix_load : meddlers[i - HN_MIX_LOADERS];
        if (pthread_create(&thread->thread, NULL, run_thread, thread))
            abort();
    }
}

struct ending {
    struct hn_mix *mix;
    pthread_t thread;
    uint32_t flags;
    int deadline_ms;
    bool timely; /* none of them had a deadline */
};

static void *shut_down(void *arg)
{
    struct ending *ending = arg;
    int code = libpool_shutdown(ending->mix->pool, ending->flags, ending->deadline_ms);
    HN_MIX_EXPECT(ending->mix, code == 0 || (code == -ETIME && !ending->timely),
                  "shutdown %u with %d ms returned %d", ending->flags, ending->deadline_ms, code);
    return NULL;
}

static void end(struct hn_mix *mix, uint64_t *random)
{
    struct ending endings[SHUTDOWNS];
    uint32_t forms = 1 + hn_mix_random(random, 4), n = 1 + hn_mix_random(random, SHUTDOWNS);
    bool timely = hn_mix_random(random, 2);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t flags = (forms + hn_mix_random(random, forms)) % 4;
        int deadline_ms = timely ? -1 : (int)hn_mix_random(random, 200) - 1;
        endings[i] = (struct ending){mix, 0, flags, deadline_ms, timely};
        if (pthread_create(&endings[i].thread, NULL, shut_down, &endings[i]))
            abort();
    }
    for (uint32_t i = 0; i < n; i++)
        (void)pthread_join(endings[i].thread, NULL);
    hn_mix_pause(hn_mix_random(random, 20000));
}

/* Keeps the application's view: no child of the pool may be there to be waited for. */
static void look_for_children(struct hn_mix *mix)
{
    errno = 0;
    pid_t pid = waitpid(-1, NULL, WNOHANG);
    HN_MIX_EXPECT(mix, pid == -1 && errno == ECHILD, "waitpid found the child %d", pid);
}

static void reset(struct hn_mix *mix)
{
    mix->over = false;
    mix->zygote_killed = mix->overran = false;
    mix->kills = mix->submitted = mix->detached = 0;
    mix->asked = mix->begun = mix->told = 0;
    mix->random = mix->seed + mix->round;
    for (int cause = 0; cause < LIBPOOL_CAUSES; cause++)
        mix->judged[cause] = 0;
    for (size_t i = 0; i < sizeof mix->workers / sizeof *mix->workers; i++)
        mix->workers[i] = 0;
    mix->zygote = 0;
    mix->spawned = mix->exited = mix->events_missed = 0;
    memset(mix->entries, 0, sizeof mix->entries);
}

static void judge_rest(struct hn_mix *mix)
{
    for (int i = 0; i < HN_MIX_LOADERS; i++)
        for (int j = 0; j < HN_MIX_TICKETS; j++)
            if (mix->tickets[i][j].future)
                hn_mix_judge(mix, &mix->tickets[i][j]);
}

static void tell(const struct hn_mix *mix, const libpool_stats *stats)
{
    static const char *const starts[] = {
        [LIBPOOL_FORK] = "fork", [LIBPOOL_SPAWN] = "spawn", [LIBPOOL_THREADS] = "threads"};
    printf("round %u: %s, flags %#x, %llu tasks:", mix->round, starts[mix->options.start],
           mix->options.flags, (unsigned long long)stats->tasks_received);
    for (int cause = 0; cause < LIBPOOL_CAUSES; cause++)
        if (stats->tasks_ended[cause])
            printf(" %llu %s", (unsigned long long)stats->tasks_ended[cause],
                   libpool_cause_name((libpool_cause)cause));
    printf("; %llu workers, %llu zygotes\n", (unsigned long long)stats->worker_processes_created,
           (unsigned long long)stats->zygotes_started);
}

static void run_round(struct hn_mix *mix, uint32_t length_ms)
{
    uint64_t random = mix->seed * UINT64_C(1000003) + mix->round;
    libpool_stats stats = {.size = sizeof stats};
    int fds = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
    reset(mix);
    choose_options(mix, &random);
    int code = libpool_open(&mix->pool, &mix->options);
    if (code) {
        hn_mix_fail(mix, "open returned %d", code);
        return;
    }
    start_threads(mix, &random);
    hn_mix_pause(length_ms * 1000);
    look_for_children(mix);
    end(mix, &random);
    atomic_store(&mix->over, true);
    /* What was let go of and what the last futures are of: all of it ends, or it hangs here. */
    code = libpool_shutdown(mix->pool, LIBPOOL_WAIT, -1);
    mix->overran = code == -ETIME;
    HN_MIX_EXPECT(mix, code == 0 || mix->overran, "the last shutdown returned %d", code);
    for (int i = 0; i < HN_MIX_THREADS; i++)
        (void)pthread_join(mix->threads[i].thread, NULL);
    (void)libpool_stats_read(mix->pool, &stats);
    look_for_children(mix);
    tell(mix, &stats);
    judge_rest(mix);
    while (atomic_load(&mix->inside))
        hn_mix_pause(100); /* it may have submitted one and be about to count it */
    hn_mix_audit(mix, &stats);
    libpool_close(mix->pool);
    hn_mix_audit_callbacks(mix);
    HN_MIX_EXPECT(mix, mix->blocks == 0 && mix->bytes == 0, "%ld blocks of %ld bytes are left",
                  mix->blocks, mix->bytes);
    /* Who was killed too late for a proof may die yet. */
    int patience_ms = mix->overran || mix->zygote_killed ? LAST_DEATHS_MS : 0;
    int left = count_processes(mix->name, patience_ms), held = count_entries("/proc/self/fd");
    int run = count_entries("/proc/self/task");
    HN_MIX_EXPECT(mix, left == 0, "%d processes are left", left);
    HN_MIX_EXPECT(mix, held == fds, "%d descriptors, %d before", held, fds);
    HN_MIX_EXPECT(mix, run == threads, "%d threads, %d before", run, threads);
    look_for_children(mix);
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

struct watch {
    struct hn_mix *mix;
    int progress; /* an eventfd: a round is over */
};

/* A round that never ends says where its threads are, and dies with a core. */
static void *watch(void *arg)
{
    struct watch *watch = arg;
    struct pollfd ready = {.fd = watch->progress, .events = POLLIN};
    uint64_t rounds = 0;
    while (poll(&ready, 1, STUCK_MS) == 1 && read(ready.fd, &rounds, sizeof rounds) > 0)
        if (rounds >= UINT32_MAX)
            return NULL;
    hn_mix_fail(watch->mix, "nothing has moved for %d ms", STUCK_MS);
    for (int i = 0; i < HN_MIX_THREADS; i++)
        (void)fprintf(stderr, "  thread %d: %s\n", i, watch->mix->threads[i].doing);
    abort();
}

static int make_file(void)
{
    struct {
        struct hn_mix_order order;
        uint8_t bytes[HN_MIX_FILE_BYTES - sizeof(struct hn_mix_order)];
    } content = {.order = {.kind = HN_MIX_ECHO, .bytes = sizeof content.bytes}};
    int file = memfd_create("mix", MFD_CLOEXEC);
    return file >= 0 && write(file, &content, sizeof content) == sizeof content ? file : -1;
}

static struct hn_mix *new_mix(uint64_t seed)
{
    struct hn_mix *mix = calloc(1, sizeof *mix);
    if (!mix)
        abort();
    mix->seed = seed;
    (void)snprintf(mix->name, sizeof mix->name, "mix%d", getpid());
    find_beside_us(mix->object, sizeof mix->object, "mix-tasks.so");
    find_beside_us(mix->zygote_path, sizeof mix->zygote_path, "libpool-zygote");
    mix->file = make_file();
    for (int i = 0; i < HN_MIX_LOADERS; i++)
        for (int j = 0; j < HN_MIX_TICKETS; j++)
            (void)pthread_rwlock_init(&mix->tickets[i][j].lock, NULL);
    return mix;
}

int main(int argc, char **argv)
{
    long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 4;
    uint64_t seed = (uint64_t)getpid();
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 10);
    struct hn_mix *mix = new_mix(seed);
    struct watch watcher = {mix, eventfd(0, EFD_CLOEXEC)};
    pthread_t thread;
    if (seconds <= 0 || mix->file < 0 || pthread_create(&thread, NULL, watch, &watcher)) {
        (void)fprintf(stderr, "usage: mix [SECONDS [SEED [ROUND]]]\n");
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    printf("mix: seed %llu\n", (unsigned long long)seed);
    uint64_t until_ms = now_ms() + (uint64_t)seconds * 1000;
    uint32_t first = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    for (mix->round = first; mix->round < first + 3 || now_ms() < until_ms; mix->round++) {
        run_round(mix, ROUND_MS);
        (void)eventfd_write(watcher.progress, 1);
    }
    (void)eventfd_write(watcher.progress, UINT32_MAX);
    (void)pthread_join(thread, NULL);
    int failures = atomic_load(&mix->failures);
    printf("mix: %u rounds, %d failures\n", mix->round - first, failures);
    for (int i = 0; i < HN_MIX_LOADERS; i++)
        for (int j = 0; j < HN_MIX_TICKETS; j++)
            (void)pthread_rwlock_destroy(&mix->tickets[i][j].lock);
    (void)close(mix->file);
    (void)close(watcher.progress);
    free(mix);
    return failures ? 1 : 0;
}
