/* SPDX-License-Identifier: MIT */
/*
 * target_drive: an application's event loop around a pool that has no thread of its own.
 *
 * It sleeps on the pool's descriptor and on nothing of the pool's: no timer, no tick. Whoever wants to
 * know whether a task has ended waits for the loop, not in the pool, lest that drive it.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/target_inner.h"

#define DISPATCH_BOUND_MS 500

static void dispatch(struct hn_target *target)
{
    struct hn_timing timing = hn_call_begin(target, HN_CALL_DISPATCH, DISPATCH_BOUND_MS);
    int rc = libpool_dispatch(target->pool);
    hn_call_end(&timing, rc, HN_NONE);
    if (rc)
        hn_findings_add(&target->world->findings, HN_I3_LIVENESS, "libpool_dispatch", "0", "%d",
                        rc);
}

void *hn_target_driver(void *argument)
{
    struct hn_target *target = argument;
    struct pollfd ends[2] = {{.fd = libpool_fd(target->pool), .events = POLLIN},
                             {.fd = target->drive_fd, .events = POLLIN}};
    for (uint32_t turns = 0; !atomic_load(&target->stopping); turns++) {
        if (poll(ends, 2, -1) < 0 && errno != EINTR)
            break;
        if (target->options->sabotage == HN_SABOTAGE_STOP_DRIVING && turns == 10)
            ends[0].fd = -1;
        if (ends[0].revents)
            dispatch(target);
        hn_target_observe(target, 0);
        hn_target_ring(target);
    }
    hn_target_read_kept(target);
    return NULL;
}

int hn_target_start_driver(struct hn_target *target)
{
    target->drive_fd = eventfd(0, EFD_CLOEXEC);
    if (target->drive_fd < 0)
        return errno;
    return pthread_create(&target->driver, NULL, hn_target_driver, target);
}

void hn_target_stop_driver(struct hn_target *target)
{
    eventfd_write(target->drive_fd, 1);
    pthread_join(target->driver, NULL);
    close(target->drive_fd);
}

/* ---- Whoever waits for it --------------------------------------------------------------------- */

void hn_target_ring(struct hn_target *target)
{
    atomic_fetch_add(&target->tick, 1);
    hn_futex_wake(&target->tick);
}

int hn_target_await(struct hn_target *target, libpool_future *future, uint64_t deadline_ns)
{
    int rc = 0;
    if (!target->options->driven)
        return libpool_future_wait(future, hn_clock_left_ms(deadline_ns));
    while (rc != -ETIMEDOUT) {
        uint32_t tick = atomic_load(&target->tick);
        if (libpool_future_result(future))
            return libpool_future_wait(future, 0);
        rc = hn_futex_wait(&target->tick, tick, deadline_ns);
    }
    return rc;
}

int hn_target_next_part(struct hn_target *target, libpool_future *future, const void **data,
                        size_t *size)
{
    if (!target->options->driven)
        return libpool_future_part(future, data, size, -1);
    for (;;) {
        uint32_t tick = atomic_load(&target->tick);
        int rc = libpool_future_part(future, data, size, 0);
        if (rc != -ETIMEDOUT)
            return rc;
        hn_futex_wait(&target->tick, tick, HN_NEVER);
    }
}
