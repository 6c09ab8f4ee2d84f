/* SPDX-License-Identifier: MIT */
/*
 * poller: everything the supervisor waits for, behind one descriptor.
 *
 * An epoll set that also holds a timerfd (the next deadline, CLOCK_MONOTONIC) and an eventfd (a nudge
 * from another thread). The set itself is pollable, so that an application's own event loop can
 * drive the pool. Three descriptors, all CLOEXEC.
 */
#ifndef LP_OS_POLLER_H
#define LP_OS_POLLER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lp_poller {
    int epoll_fd, timer_fd, nudge_fd;
    uint64_t armed_ns;  /* what the timer is set to; UINT64_MAX: off */
    _Atomic bool fired; /* and was taken since */
};

#define LP_POLLER_NULL ((struct lp_poller){.epoll_fd = -1, .timer_fd = -1, .nudge_fd = -1})
#define LP_POLLER_BATCH 64

struct lp_poller_event {
    uint64_t tag; /* as given to lp_poller_add */
    bool writable;
};

int lp_poller_open(struct lp_poller *poller); /* 0 or -errno */
void lp_poller_close(struct lp_poller *poller);

/* The descriptor stays the caller's. Watched for reading, and for writing too when told. */
int lp_poller_add(struct lp_poller *poller, int fd, uint64_t tag);
/* The same for one that is told once for each write and never read: its flags are not ours alone. */
int lp_poller_add_edge(struct lp_poller *poller, int fd, uint64_t tag);
int lp_poller_change(struct lp_poller *poller, int fd, uint64_t tag, bool for_writing);
void lp_poller_remove(struct lp_poller *poller, int fd);

/* When the poller is to become readable by itself: absolute ns, UINT64_MAX: never. From any thread
 * that holds the pool's lock. A later time than the one armed costs nothing: the timer fires early. */
void lp_poller_set_deadline(struct lp_poller *poller, uint64_t deadline_ns, uint64_t now_ns);
/* Makes a wait return; from any thread. Never blocks. */
void lp_poller_nudge(struct lp_poller *poller);

/* Waits (timeout_ms as epoll_wait). How many events were stored; the timer and, when told so, nudges
 * are taken here and not reported. -errno on failure; -EINTR is 0 events. */
int lp_poller_wait(struct lp_poller *poller, struct lp_poller_event events[LP_POLLER_BATCH],
                   int timeout_ms, bool take_nudges);

#endif
