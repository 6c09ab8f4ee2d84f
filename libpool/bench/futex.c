/* SPDX-License-Identifier: MIT */
/*
 * Floor: the round trip between two processes that do nothing but wake each other.
 *
 * By futex or eventfd, asleep at once or spinning before; back to back, and after a millisecond in which
 * both have gone to sleep. Left alone, the scheduler puts the two on one core or on both, as it does with
 * the pool, and that costs very different amounts: so they are measured placed as well.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench.h"

#define STOP UINT32_MAX
#define STOPPED 3
#define ROUND_TRIPS_MAX 100000
#define WARM_UP 200
#define WARM_UP_ASLEEP 10

/* One way of a round trip: a number that counts up, and what wakes who waits for it. */
struct way {
    _Atomic uint32_t number;
    char apart[60];
    int event_fd;
};

struct bell {
    void (*await)(struct way *way, uint32_t heard); /* until it is another number */
    void (*tell)(struct way *way, uint32_t number);
};

struct table {
    struct way ping, pong;
    const struct bell *bell;
};

/* ---- bells -------------------------------------------------------------------------------- */

static void futex_await(struct way *way, uint32_t heard)
{
    while (atomic_load(&way->number) == heard)
        bench_futex_wait(&way->number, heard);
}

static void futex_tell(struct way *way, uint32_t number)
{
    atomic_store(&way->number, number);
    bench_futex_wake(&way->number);
}

struct expected {
    struct way *way;
    uint32_t heard;
};

static bool has_changed(void *argument)
{
    const struct expected *expected = argument;
    return atomic_load(&expected->way->number) != expected->heard;
}

/* Its peer wakes it all the same: whether it sleeps is not told. */
static void spin_await(struct way *way, uint32_t heard)
{
    struct expected expected = {way, heard};
    if (!bench_yield_spin(has_changed, &expected))
        futex_await(way, heard);
}

static void eventfd_await(struct way *way, uint32_t heard)
{
    eventfd_t count;
    bench_must(eventfd_read(way->event_fd, &count) == 0, "eventfd: %s", strerror(errno));
    bench_must(atomic_load(&way->number) != heard, "woken for nothing");
}

static void eventfd_tell(struct way *way, uint32_t number)
{
    atomic_store(&way->number, number);
    bench_must(eventfd_write(way->event_fd, 1) == 0, "eventfd: %s", strerror(errno));
}

static void eventfd_spin_await(struct way *way, uint32_t heard)
{
    (void)bench_yield_spin(has_changed, &(struct expected){way, heard});
    eventfd_await(way, heard);
}

static const struct bell futex = {futex_await, futex_tell}, spin = {spin_await, futex_tell},
                         eventfd_ = {eventfd_await, eventfd_tell},
                         eventfd_spin = {eventfd_spin_await, eventfd_tell};

/* ---- the game ----------------------------------------------------------------------------- */

static int answer(void *argument)
{
    struct table *table = argument;
    for (uint32_t heard = 0; heard != STOP;) {
        table->bell->await(&table->ping, heard);
        heard = atomic_load(&table->ping.number);
        if (heard != STOP)
            table->bell->tell(&table->pong, heard);
    }
    return STOPPED;
}

static struct table *lay_table(const struct bell *bell)
{
    struct table *table = bench_share(sizeof *table);
    table->bell = bell;
    table->ping.event_fd = eventfd(0, EFD_CLOEXEC);
    table->pong.event_fd = eventfd(0, EFD_CLOEXEC);
    bench_must(table->ping.event_fd >= 0 && table->pong.event_fd >= 0, "eventfd: %s",
               strerror(errno));
    return table;
}

static struct bench_samples play(const struct bench_round *round, const struct bell *bell,
                                 enum bench_place place, uint64_t idle_ns)
{
    struct bench_samples samples = bench_samples_new(ROUND_TRIPS_MAX);
    struct table *table = lay_table(bell);
    uint32_t warm_up = idle_ns ? WARM_UP_ASLEEP : WARM_UP;
    bench_place_others(place);
    pid_t pid = bench_fork(answer, table);
    bench_place_client(place);
    uint64_t until_ns = bench_now_ns() + round->time_ns;
    for (uint32_t i = 1; samples.count == 0 || bench_now_ns() < until_ns; i++) {
        if (idle_ns)
            bench_idle(idle_ns);
        uint64_t begun_ns = bench_now_ns();
        bell->tell(&table->ping, i);
        bell->await(&table->pong, i - 1);
        if (i > warm_up)
            bench_sample(&samples, bench_now_ns() - begun_ns);
        bench_must(atomic_load(&table->pong.number) == i, "a ping was lost");
    }
    bell->tell(&table->ping, STOP);
    bench_reap(pid, STOPPED);
    return samples;
}

static double median_us(const struct bench_round *round, const struct bell *bell,
                        enum bench_place place, uint64_t idle_ns)
{
    struct bench_samples samples = play(round, bell, place, idle_ns);
    return bench_percentile_us(&samples, 50);
}

static void measure_anywhere(struct bench_round *round)
{
    struct bench_samples samples = play(round, &futex, BENCH_ANYWHERE, 0);
    round->values[0] = bench_percentile_us(&samples, 50);
    round->values[1] = bench_percentile_us(&samples, 99);
}

static void measure_asleep(struct bench_round *round)
{
    round->values[0] = median_us(round, &futex, BENCH_ANYWHERE, BENCH_MS);
}

static void measure_one_core(struct bench_round *round)
{
    round->values[0] = median_us(round, &futex, BENCH_ONE_CORE, 0);
    round->values[1] = median_us(round, &futex, BENCH_ONE_CORE, BENCH_MS);
}

static void measure_two_cores(struct bench_round *round)
{
    round->values[0] = median_us(round, &futex, BENCH_TWO_CORES, 0);
    round->values[1] = median_us(round, &futex, BENCH_TWO_CORES, BENCH_MS);
}

static void measure_others(struct bench_round *round)
{
    struct bench_round part = *round;
    part.time_ns /= 2;
    round->values[0] = median_us(&part, &spin, BENCH_ANYWHERE, 0);
    round->values[1] = median_us(&part, &eventfd_, BENCH_ANYWHERE, 0);
    round->values[2] = median_us(&part, &eventfd_spin, BENCH_ANYWHERE, 0);
}

BENCH(floor_futex, BENCH_FLOOR, measure_anywhere, {"floor_futex_p50", "us"},
      {"floor_futex_p99", "us"});
BENCH(floor_futex_asleep, BENCH_FLOOR, measure_asleep, {"floor_futex_asleep_p50", "us"});
BENCH(floor_futex_one_core, BENCH_FLOOR, measure_one_core, {"floor_futex_one_core_p50", "us"},
      {"floor_futex_asleep_one_core_p50", "us"});
BENCH(floor_futex_two_cores, BENCH_FLOOR, measure_two_cores, {"floor_futex_two_cores_p50", "us"},
      {"floor_futex_asleep_two_cores_p50", "us"});
BENCH(floor_bells, BENCH_FLOOR, measure_others, {"floor_futex_spin_p50", "us"},
      {"floor_eventfd_p50", "us"}, {"floor_eventfd_spin_p50", "us"});
