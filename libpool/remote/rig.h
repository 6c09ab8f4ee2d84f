/* SPDX-License-Identifier: MIT */
/*
 * rig: for tests: a pool that is served, clients that are processes of their own, and words between workers,
 * clients and the test. Memory that all share is mapped before any of them is forked.
 */
#ifndef LPR_RIG_H
#define LPR_RIG_H

#include <libpool_remote.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"

#define RIG_MS 20000 /* nothing here takes so long */

struct rig_shared {
    sem_t gate;          /* what task "gate" waits for */
    atomic_uint begun;   /* how many of them do, or did */
    atomic_uint counted; /* runs of "count" */
    atomic_uint word[4]; /* for whatever a test likes */
};

struct rig {
    libpool *pool;
    libpool_remote_server *server;
    int listener;
    struct sockaddr_un address;
    socklen_t address_size;
};

/* One test at a time. */
static struct rig_shared *rig_shared;

/*
 * What a thread of the tests takes of memory (base_test.c): each thread its own, and nothing may be to be had
 * from the n-th time on, or then only. What the libraries of the system take is not seen.
 */
struct rig_memory {
    int64_t calls, fail_at; /* 0: never */
    bool for_good;
    int64_t bytes,
        most_bytes; /* taken and not given back by this thread; the most since it was set */
};

extern _Thread_local struct rig_memory rig_memory;
/* By all threads, taken and not given back. */
int64_t rig_blocks(void);
/* For a pool whose own memory is not to be counted; it is refused as all else is. */
extern const libpool_allocator rig_uncounted;

/* ---- tasks -------------------------------------------------------------------------------- */

static inline int rig_echo(libpool_worker *worker, const void *input, size_t size)
{
    return libpool_reply(worker, input, size);
}

static inline int rig_gate(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    atomic_fetch_add(&rig_shared->begun, 1);
    while (sem_wait(&rig_shared->gate) < 0)
        ;
    return 0;
}

static inline int rig_count(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    atomic_fetch_add(&rig_shared->counted, 1);
    return 0;
}

static inline int rig_crash(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return raise(SIGSEGV);
}

static inline int rig_fail(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 42;
}

/* As many bytes as its input says. */
static inline int rig_grow(libpool_worker *worker, const void *input, size_t size)
{
    size_t wanted;
    if (size != sizeof wanted)
        return 1;
    memcpy(&wanted, input, sizeof wanted);
    char *bytes = malloc(wanted + 1);
    if (!bytes)
        return 2;
    memset(bytes, 'g', wanted);
    int error = libpool_reply(worker, bytes, wanted);
    free(bytes);
    return error;
}

#define RIG_OFFER(name_)                                          \
    {                                                             \
#name_,                                                   \
        {                                                         \
            .size = sizeof(libpool_task), .function = rig_##name_ \
        }                                                         \
    }

/* ---- server ------------------------------------------------------------------------------- */

static inline bool rig_share(void)
{
    rig_shared = mmap(NULL, sizeof *rig_shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                      -1, 0);
    return rig_shared != MAP_FAILED && sem_init(&rig_shared->gate, 1, 0) == 0;
}

/* A socket that clients can connect to before anybody serves it. */
static inline bool rig_listen(struct rig *rig)
{
    *rig = (struct rig){.address = {.sun_family = AF_UNIX}, .address_size = sizeof rig->address};
    rig->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return rig->listener >= 0 &&
           bind(rig->listener, (struct sockaddr *)&rig->address, sizeof(sa_family_t)) == 0 &&
           listen(rig->listener, 64) == 0 &&
           getsockname(rig->listener, (struct sockaddr *)&rig->address, &rig->address_size) == 0;
}

static inline const libpool_remote_offer *rig_offers(uint32_t *n)
{
    static const libpool_remote_offer offers[] = {RIG_OFFER(echo),
                                                  RIG_OFFER(gate),
                                                  RIG_OFFER(count),
                                                  RIG_OFFER(crash),
                                                  RIG_OFFER(fail),
                                                  RIG_OFFER(grow),
                                                  {"bounded",
                                                   {.size = sizeof(libpool_task),
                                                    .function = rig_gate,
                                                    .priority = 8,
                                                    .run_timeout_ms = 50,
                                                    .queue_timeout_ms = RIG_MS}}};
    *n = sizeof offers / sizeof offers[0];
    return offers;
}

/* options may be NULL; what it has not is filled in. */
static inline int rig_serve(struct rig *rig, uint32_t workers, const libpool_remote_options *given)
{
    libpool_options pool_options = {
        .size = sizeof pool_options, .flags = LIBPOOL_CALLBACKS, .max_workers = workers};
    libpool_remote_options options = {.size = sizeof options};
    if (given)
        options = *given;
    if (!options.offers)
        options.offers = rig_offers(&options.offers_count);
    if (!options.listeners && rig->listener >= 0) {
        options.listeners = &rig->listener;
        options.listeners_count = 1;
    }
    int error = rig->pool ? 0 : libpool_open(&rig->pool, &pool_options);
    return error ? error : libpool_remote_serve(&rig->server, rig->pool, &options);
}

/* All in one: a pool that is served on a socket. */
static inline void rig_start(struct rig *rig, uint32_t workers,
                             const libpool_remote_options *options)
{
    CU_ASSERT_TRUE_FATAL(rig_share());
    CU_ASSERT_TRUE_FATAL(rig_listen(rig));
    CU_ASSERT_EQUAL_FATAL(rig_serve(rig, workers, options), 0);
}

static inline libpool_remote_stats rig_stats(struct rig *rig)
{
    libpool_remote_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_remote_stats_read(rig->server, &stats), 0);
    uint64_t tasks = stats.tasks_waiting + stats.tasks_in_pool, sessions = stats.sessions_open;
    for (int i = 0; i < LIBPOOL_CAUSES_MAX; i++)
        tasks += stats.tasks_ended[i];
    for (int i = 0; i < 8; i++)
        sessions += stats.sessions_ended[i];
    CU_ASSERT_EQUAL(stats.tasks_received, tasks);
    CU_ASSERT_EQUAL(stats.sessions_accepted, sessions);
    return stats;
}

static inline int64_t rig_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until what another process or thread does has happened; false: it has not within the time. */
#define RIG_AWAIT(condition_)                             \
    ({                                                    \
        int64_t until_ms_ = rig_now_ms() + RIG_MS;        \
        while (!(condition_) && rig_now_ms() < until_ms_) \
            (void)sched_yield();                          \
        (condition_);                                     \
    })

static inline void rig_open_gate(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        sem_post(&rig_shared->gate);
}

/* Nothing is left of anybody's tasks. */
static inline void rig_stop(struct rig *rig)
{
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig->server, 0, 0), 0);
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(rig->pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.tasks_pending + stats.tasks_running, 0);
    libpool_close(rig->pool);
    sem_destroy(&rig_shared->gate);
    munmap(rig_shared, sizeof *rig_shared);
}

/* ---- clients ------------------------------------------------------------------------------ */

/* A connection; negative: none. */
static inline int rig_connect(const struct rig *rig)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&rig->address, rig->address_size) < 0)
        return -errno;
    return fd;
}

static inline int rig_open_with(const struct rig *rig, const libpool_remote_client_options *options,
                                libpool_remote **remote)
{
    int fd = rig_connect(rig);
    return fd < 0 ? fd : libpool_remote_open(remote, fd, options);
}

static inline libpool_remote *rig_open(const struct rig *rig)
{
    libpool_remote *remote = NULL;
    CU_ASSERT_EQUAL_FATAL(rig_open_with(rig, NULL, &remote), 0);
    return remote;
}

static inline libpool_remote_future *rig_submit(libpool_remote *remote, const char *name,
                                                const void *input, size_t size)
{
    libpool_remote_future *future = NULL;
    libpool_remote_task task = {
        .size = sizeof task, .name = name, .input = input, .input_size = size};
    return libpool_remote_submit(remote, &task, RIG_MS, &future) == 0 ? future : NULL;
}

/* Waits for it, and frees it: its cause; PENDING: it did not end, or there was none. */
static inline libpool_cause rig_end(libpool_remote_future *future)
{
    libpool_cause cause = LIBPOOL_PENDING;
    if (future && libpool_remote_wait(future, RIG_MS) == 0)
        cause = libpool_remote_result(future)->cause;
    libpool_remote_free(future);
    return cause;
}

/* A client in a process of its own; its code is 0 when all was well. */
static inline pid_t rig_fork(int (*client)(const struct rig *rig), const struct rig *rig)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(client(rig));
    return pid;
}

static inline int rig_reap(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return status;
}

#endif
