/* SPDX-License-Identifier: MIT */
/*
 * clock: CLOCK_MONOTONIC in nanoseconds, deadlines made of it, and the shared futex that waits for
 * one. A deadline is an absolute time; HN_NEVER has none.
 */
#ifndef HARNESS_CLOCK_H
#define HARNESS_CLOCK_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HN_NEVER UINT64_MAX
#define HN_US UINT64_C(1000)
#define HN_MS UINT64_C(1000000)
#define HN_S UINT64_C(1000000000)

static inline uint64_t hn_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * HN_S + (uint64_t)now.tv_nsec;
}

static inline struct timespec hn_clock_timespec(uint64_t time_ns)
{
    return (struct timespec){.tv_sec = (time_t)(time_ns / HN_S), .tv_nsec = (long)(time_ns % HN_S)};
}

/* Milliseconds until the deadline, rounded up, for poll(2); -1 for HN_NEVER. */
static inline int hn_clock_left_ms(uint64_t deadline_ns)
{
    uint64_t now_ns = hn_clock_ns();
    if (deadline_ns == HN_NEVER)
        return -1;
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t left_ms = (deadline_ns - now_ns + HN_MS - 1) / HN_MS;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

/*
 * Waits while *word is `value`. 0: woken, or the word is another one; -ETIMEDOUT; -EINTR. Works
 * between processes.
 */
static inline int hn_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t deadline_ns)
{
    struct timespec until = hn_clock_timespec(deadline_ns);
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value,
                      deadline_ns == HN_NEVER ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    if (rc == 0 || errno == EAGAIN)
        return 0;
    return -errno;
}

static inline void hn_futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

#endif
