/* SPDX-License-Identifier: MIT */
/*
 * Timeouts: how long after its 100 ms a task that hangs has ended, as its waiting caller sees it.
 *
 * The task writes down when it began; the caller reads the clock when its wait returns. Twenty
 * workers are staggered by 5 ms, so that no two expire at once and each expiry finds the machine asleep. The
 * floor is a timerfd under epoll, with nothing to do but look at the clock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "pool.h"

#define WORKERS 20
#define MORE_SAMPLES 5 /* for a p99 that is more than the worst */
#define TIMEOUT_MS 100
#define STAGGER_NS (TIMEOUT_MS * BENCH_MS / WORKERS)
#define ID_MAX 1024

static uint64_t *begun_ns; /* by task id; shared with the workers */

static int overrun(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)input, (void)input_size;
    begun_ns[libpool_worker_task_id(worker) % ID_MAX] = bench_now_ns();
    for (;;)
        (void)pause();
    return 0;
}

/* Sleeps in epoll until a timer expires; the nanoseconds that it was late. */
static uint64_t wait_for_timer(uint64_t delay_ns)
{
    int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC),
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    uint64_t due_ns = bench_now_ns() + delay_ns;
    struct itimerspec due = {.it_value = {.tv_sec = (time_t)(due_ns / 1000000000u),
                                          .tv_nsec = (long)(due_ns % 1000000000u)}};
    bench_must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event) == 0 &&
                   timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &due, NULL) == 0,
               "timerfd: %s", strerror(errno));
    bench_must(epoll_wait(epoll_fd, &event, 1, -1) == 1, "epoll_wait: %s", strerror(errno));
    uint64_t woken_ns = bench_now_ns();
    (void)close(timer_fd);
    (void)close(epoll_fd);
    bench_must(woken_ns >= due_ns, "a timer was early");
    return woken_ns - due_ns;
}

struct overrunning {
    libpool_future *future;
    uint64_t submitted_ns;
};

static struct overrunning submit_overrun(libpool *pool)
{
    libpool_task task = {.function = overrun, .run_timeout_ms = TIMEOUT_MS};
    struct overrunning overrunning = {.submitted_ns = bench_now_ns()};
    overrunning.future = bench_submit(pool, &task);
    return overrunning;
}

/*
 * The worker's clock starts before the task's first line, and on a busy machine the task may have to
 * wait in between: what is early by that much is on time. Early is what did not get its time at all.
 */
static uint64_t lateness(const struct overrunning *overrunning)
{
    const libpool_result *result = bench_end(overrunning->future, LIBPOOL_TIMEOUT);
    uint64_t now_ns = bench_now_ns();
    uint64_t due_ns = begun_ns[result->task_id % ID_MAX] + TIMEOUT_MS * BENCH_MS;
    bench_must(due_ns > TIMEOUT_MS * BENCH_MS, "a task timed out before it began");
    bench_must(now_ns - overrunning->submitted_ns >= TIMEOUT_MS * BENCH_MS,
               "a task was ended before its time");
    libpool_future_free(overrunning->future);
    return now_ns > due_ns ? now_ns - due_ns : 1;
}

static void tell(struct bench_round *round, struct bench_samples *samples)
{
    round->values[0] = bench_percentile_us(samples, 50);
    round->values[1] = bench_percentile_us(samples, 99);
}

static void measure_timeout(struct bench_round *round)
{
    struct overrunning running[WORKERS];
    size_t count = MORE_SAMPLES * round->samples;
    struct bench_samples samples = bench_samples_new(count);
    begun_ns = bench_share(ID_MAX * sizeof *begun_ns);
    libpool *pool = bench_pool_open(
        (libpool_options){.min_workers = WORKERS, .max_workers = WORKERS});
    for (size_t i = 0; i < WORKERS; i++) {
        (void)wait_for_timer(STAGGER_NS);
        running[i] = submit_overrun(pool);
    }
    for (size_t i = 0; i < count; i++) {
        bench_sample(&samples, lateness(&running[i % WORKERS]));
        if (i + WORKERS < count)
            running[i % WORKERS] = submit_overrun(pool);
    }
    bench_pool_close(pool, 0);
    tell(round, &samples);
}

static void measure_timerfd(struct bench_round *round)
{
    size_t count = MORE_SAMPLES * round->samples;
    struct bench_samples samples = bench_samples_new(count);
    for (size_t i = 0; i < count; i++)
        bench_sample(&samples, wait_for_timer(STAGGER_NS));
    tell(round, &samples);
}

BENCH(timeout_late, BENCH_POOL, measure_timeout, {"timeout_late_p50", "us"},
      {"timeout_late_p99", "us"});
BENCH(floor_timerfd_late, BENCH_FLOOR, measure_timerfd, {"floor_timerfd_late_p50", "us"},
      {"floor_timerfd_late_p99", "us"});
