/* SPDX-License-Identifier: MIT */
#include "os/poller.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "sys/sys.h"

#define TAG_TIMER UINT64_MAX
#define TAG_NUDGE (UINT64_MAX - 1)
#define NS_PER_S 1000000000ull

int lp_poller_open(struct lp_poller *poller)
{
    *poller = LP_POLLER_NULL;
    poller->armed_ns = UINT64_MAX;
    poller->epoll_fd = lp_sys.epoll_create(EPOLL_CLOEXEC);
    if (poller->epoll_fd < 0)
        return poller->epoll_fd;
    poller->timer_fd = lp_sys.timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int error = poller->timer_fd < 0 ? poller->timer_fd
                                     : lp_poller_add(poller, poller->timer_fd, TAG_TIMER);
    if (!error) {
        poller->nudge_fd = lp_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        error = poller->nudge_fd < 0 ? poller->nudge_fd
                                     : lp_poller_add(poller, poller->nudge_fd, TAG_NUDGE);
    }
    if (error)
        lp_poller_close(poller);
    return error;
}

void lp_poller_close(struct lp_poller *poller)
{
    lp_fd_close(&poller->epoll_fd);
    lp_fd_close(&poller->timer_fd);
    lp_fd_close(&poller->nudge_fd);
}

int lp_poller_add(struct lp_poller *poller, int fd, uint64_t tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};
    return lp_sys.epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

int lp_poller_add_edge(struct lp_poller *poller, int fd, uint64_t tag)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = tag};
    return lp_sys.epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

int lp_poller_change(struct lp_poller *poller, int fd, uint64_t tag, bool for_writing)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};
    if (for_writing)
        event.events |= EPOLLOUT;
    return lp_sys.epoll_ctl(poller->epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

void lp_poller_remove(struct lp_poller *poller, int fd)
{
    struct epoll_event unused = {.events = 0};
    (void)lp_sys.epoll_ctl(poller->epoll_fd, EPOLL_CTL_DEL, fd, &unused);
}

void lp_poller_set_deadline(struct lp_poller *poller, uint64_t deadline_ns, uint64_t now_ns)
{
    (void)now_ns;
    if (atomic_exchange_explicit(&poller->fired, false, memory_order_relaxed))
        poller->armed_ns = UINT64_MAX;
    if (deadline_ns >= poller->armed_ns)
        return;
    if (deadline_ns == 0)
        deadline_ns = 1; /* all zero would disarm */
    poller->armed_ns = deadline_ns;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
                                           .tv_nsec = (long)(deadline_ns % NS_PER_S)}};
    (void)lp_sys.timerfd_settime(poller->timer_fd, TFD_TIMER_ABSTIME, &when);
}

void lp_poller_nudge(struct lp_poller *poller)
{
    uint64_t one = 1;
    (void)lp_sys.write(poller->nudge_fd, &one, sizeof one); /* full: it is readable already */
}

/* The count is of no interest; reading it makes the descriptor quiet again. */
static void take_count(int fd)
{
    uint64_t count;
    (void)lp_sys.read(fd, &count, sizeof count);
}

int lp_poller_wait(struct lp_poller *poller, struct lp_poller_event events[LP_POLLER_BATCH],
                   int timeout_ms, bool take_nudges)
{
    struct epoll_event got[LP_POLLER_BATCH];
    int n = lp_sys.epoll_wait(poller->epoll_fd, got, LP_POLLER_BATCH, timeout_ms);
    if (n < 0)
        return n == -EINTR ? 0 : n;
    int stored = 0;
    for (int i = 0; i < n; i++) {
        if (got[i].data.u64 == TAG_NUDGE) {
            if (take_nudges)
                take_count(poller->nudge_fd);
        } else if (got[i].data.u64 == TAG_TIMER) {
            take_count(poller->timer_fd);
            atomic_store_explicit(&poller->fired, true, memory_order_relaxed);
        } else {
            events[stored++] = (struct lp_poller_event){.tag = got[i].data.u64,
                                                        .writable = got[i].events & EPOLLOUT};
        }
    }
    return stored;
}
