/* SPDX-License-Identifier: MIT */
/* target_inner: what the files of the target share; see target.h. */
#ifndef HARNESS_TARGET_INNER_H
#define HARNESS_TARGET_INNER_H

#include <pthread.h>
#include <stdatomic.h>

#include <sys/socket.h>
#include <sys/un.h>

#include <libpool_remote.h>

#include "harness/asides.h"
#include "harness/neighbour.h"
#include "harness/target.h"

#define HN_HANDS 4 /* threads that take commands */
#define HN_FDS_MAX 32768
#define HN_PIDS_MAX 4100 /* the slots of the largest pool, and the zygote's place */

/* What a task's callbacks are called with. */
struct hn_teller {
    struct hn_target *target;
    uint32_t task;
};

/* An input that the pool has not copied: it stays until the task has ended. */
struct hn_kept {
    struct hn_order *order; /* NULL: nothing is kept */
    size_t size;
    int fd; /* -1: it is no file */
};

#define HN_OFFER_MAX 16 /* bytes of a name */

/* Processes that use the pool, and what serves them. */
struct hn_target_clients {
    pthread_mutex_t lock;
    int listener;
    int fds[HN_CLIENTS_MAX]; /* to each; -1: it is gone */
    uint32_t count;          /* that are there */
    struct sockaddr_un address;
    socklen_t address_size;
    libpool_remote_server *server; /* NULL: it is closed */
    libpool_remote_offer offers[HN_GROUPS_MAX];
    char names[HN_GROUPS_MAX][HN_OFFER_MAX];
    uint32_t offers_count;
    pthread_t thread;
};

struct hn_target {
    const struct hn_target_options *options;
    struct hn_world *world;
    libpool_governor *governor;
    struct hn_neighbour *neighbour;
    libpool *pool;
    const char *object; /* with the tasks; NULL: they are functions of the target */
    int command_fd;
    pthread_t hands[HN_HANDS], loader, collector, observer, sampler, thief;
    pthread_t waiters[HN_WAITERS_MAX];
    uint32_t waiters_count;

    pthread_mutex_t lock; /* guards what follows, and the order of submissions */
    pthread_cond_t changed;
    bool opened;  /* the pool is there */
    bool loaded;  /* the loader is done */
    bool leaving; /* no row will be added any more */
    bool closed;
    bool quitting;
    uint32_t submitting; /* calls of submit that are under way */
    uint32_t awaited;    /* rows that have a waiter, or need none */

    pthread_mutex_t submissions; /* one submit at a time: tasks are numbered as the pool does */
    uint64_t accepted;           /* so many: the pool's number of the last one */
    libpool_future **futures;    /* by row */
    int *filled_fds;
    int filled_count;
    _Atomic uint32_t stopping;         /* futex: observer, sampler and thief leave */
    _Atomic uint32_t tick;             /* futex: a sample was taken */
    _Atomic int32_t pids[HN_PIDS_MAX]; /* whom the pool has told of; the last: its zygote */
    _Atomic bool shut;                 /* a shutdown has begun: strength 0 is what the pool wants */
    struct hn_outfit_given outfit;
    uint32_t dressed;          /* changes of the outfit */
    uint64_t init_failures;    /* that the observer has read of */
    uint64_t events_read;      /* the number of the last one */
    struct hn_teller *tellers; /* by row */
    struct hn_kept *kept;      /* the same */
    _Atomic uint32_t telling;  /* callbacks that are under way */
    _Atomic uint32_t stalled;
    struct hn_asides asides;
    pthread_t aside;
    pthread_t driver;
    int drive_fd; /* wakes it */
    struct hn_target_clients clients;
};

/* One call into the pool, timed against its bound and watched for what it does to errno. */
struct hn_timing {
    struct hn_target *target;
    enum hn_call call;
    int bound_ms; /* -1: none */
    uint64_t begun_ns;
};
struct hn_timing hn_call_begin(struct hn_target *target, enum hn_call call, int bound_ms);
void hn_call_end(const struct hn_timing *timing, int code, uint32_t task);

/* target_load.c */
/* How many of them were not offered to the pool. */
int hn_target_submit(struct hn_target *target, uint32_t number, const struct hn_group *group);
/* A row for a task that is about to be offered; HN_NONE: no room. */
uint32_t hn_target_take_row(struct hn_target *target, uint32_t group);
struct hn_order *hn_target_make_order(const struct hn_group *what, uint32_t group, uint32_t task,
                                      size_t *size);
/* What is the same for one by one and for a batch; nothing of what it does. */
libpool_task hn_target_task_of(const struct hn_group *what, uint32_t group);
void hn_target_copy_result(struct hn_row *row, const libpool_result *result);
/*
 * The task that is offered; the wrapper finds in its input what to do, and hn_target_take_input takes that
 * back. 0, or -errno.
 */
int hn_target_prepare(struct hn_target *target, const struct hn_group *what, uint32_t group,
                      uint32_t task, libpool_task *offered);
void hn_target_note_offered(struct hn_target *target, uint32_t task, int rc,
                            libpool_future *future);
void hn_target_note_collected(struct hn_target *target, uint32_t task,
                              const libpool_result *result);
void *hn_target_loader(void *target);
void *hn_target_collector(void *target);
void *hn_target_waiter(void *target);
void hn_target_look_again(struct hn_target *target, uint32_t task);
int hn_target_cancel(struct hn_target *target, uint32_t group, uint32_t nth);
int hn_target_cancel_group(struct hn_target *target, uint32_t group);
int hn_target_probe(struct hn_target *target, uint64_t deadline_ns);

/* target_watch.c */
void *hn_target_observer(void *target);
void *hn_target_sampler(void *target);
int hn_target_settle(struct hn_target *target, uint64_t deadline_ns);

/* Reads what events there are, waiting so long for the first. False: none will come any more. */
bool hn_target_observe(struct hn_target *target, int timeout_ms);
/* When the pool is about to be closed: what is left. */
void hn_target_read_kept(struct hn_target *target);
/* Every task but that one has ended, and nobody is about to submit another. */
bool hn_target_others_ended(struct hn_target *target, uint32_t task);

/* target_batch.c */
void hn_target_map(struct hn_target *target, uint32_t number, const struct hn_group *group);

/* target_many.c */
/* So many of a group by libpool_submit_many. The row of the first; HN_NONE: none was offered. */
uint32_t hn_target_submit_many(struct hn_target *target, uint32_t number,
                               const struct hn_group *what, uint32_t count);

/* target_gather.c */
/* Those of the group whose first row this is, each as it ends. */
void hn_target_gather(struct hn_target *target, uint32_t first);

/* target_input.c */
/* Fills in the input, and keeps the order until it is taken back. 0, or -errno of a file. */
int hn_target_give_input(struct hn_target *target, uint32_t task, const struct hn_group *what,
                         struct hn_order *order, size_t size, libpool_task *offered);
void hn_target_take_input(struct hn_target *target, uint32_t task);
bool hn_target_file_is_right(struct hn_target *target, uint32_t task, bool completed);

/* target_clients.c: each does nothing when there are none */
/* Before the pool, and with it: 0, or -errno. */
int hn_clients_start(struct hn_target *target);
int hn_clients_serve(struct hn_target *target);
/* How many of them were not offered. */
uint32_t hn_clients_submit(struct hn_target *target, uint32_t number, const struct hn_group *group);
/* Under which a group is offered. */
void hn_target_name_offer(char name[HN_OFFER_MAX], uint32_t group);
void hn_clients_read_stats(struct hn_target *target);
bool hn_clients_are_settled(struct hn_target *target);
/* What libpool_remote_server_close returned; -EALREADY. */
int hn_clients_unserve(struct hn_target *target, uint32_t flags, int deadline_ms);
/* So many connections that send nonsense: how many of them the server has ended. */
int hn_clients_noise(struct hn_target *target, uint32_t connections);
void hn_clients_close(struct hn_target *target);

/* target_told.c */
void hn_target_started(libpool_future *future, void *teller);
void hn_target_done(libpool_future *future, void *teller);

/* target_drive.c */
/* 0, or an errno. */
int hn_target_start_driver(struct hn_target *target);
void hn_target_stop_driver(struct hn_target *target);
/* Something has changed: whoever waits for it looks again. */
void hn_target_ring(struct hn_target *target);
/* As libpool_future_wait and libpool_future_part, but in a driven pool: there nothing is driven by it. */
int hn_target_await(struct hn_target *target, libpool_future *future, uint64_t deadline_ns);
int hn_target_next_part(struct hn_target *target, libpool_future *future, const void **data,
                        size_t *size);

/* target_host.c */
int hn_host_prepare(const struct hn_target_options *options);
int hn_host_post_sentinel(struct hn_world *world);
void *hn_host_thief(void *target);
uint32_t hn_host_sigchld_count(void);

#endif
