/* SPDX-License-Identifier: MIT */
/*
 * Floor: the least that gets tasks to two worker processes and back.
 *
 * Two rings a worker in shared memory, one producer and one consumer each, a cache line a message.
 * Every message is published and its doorbell checked, or every 32 are. Whoever has nothing to do
 * yields for 10 us, then sleeps in a futex after saying so. No futures, deaths, timeouts, priorities:
 * what the pool adds to this is what its promises cost.
 */
#include <stdalign.h>
#include <stdlib.h>

#include "bench.h"

#define WORKERS 2
#define MESSAGES 1024 /* in a ring; a power of two */
#define STOP UINT64_MAX
#define STOPPED 3 /* exit code of a worker that was told to stop */
#define ROUND_TRIPS_MAX 100000
#define WARM_UP 200
#define WINDOW 1024 /* over both workers */
#define BATCH 32

/* All of it is written and read: a task's function, input and times would take as much. */
struct message {
    alignas(64) uint64_t number;
    uint64_t words[7];
};

struct ring {
    alignas(64) _Atomic uint64_t head;
    alignas(64) _Atomic uint64_t tail;
    struct message messages[MESSAGES];
};

struct line {
    struct ring requests, replies;
    alignas(64) _Atomic uint32_t asleep; /* the worker */
};

struct shared {
    struct line lines[WORKERS];
    alignas(64) _Atomic uint32_t asleep; /* the client */
};

struct worker {
    struct shared *shared;
    struct line *line;
    uint64_t batch;
};

struct client {
    struct shared *shared;
    uint64_t window, batch; /* over both workers; published at once */
    uint64_t sent[WORKERS], received[WORKERS];
    uint64_t sum_sent, sum_received;
    pid_t pids[WORKERS];
};

/* ---- rings and doorbells ------------------------------------------------------------------ */

static void ring_bell(_Atomic uint32_t *asleep)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(asleep, memory_order_relaxed) == 0)
        return;
    atomic_store_explicit(asleep, 0, memory_order_relaxed);
    bench_futex_wake(asleep);
}

static void write_message(struct message *message, uint64_t number)
{
    message->number = number;
    for (uint64_t i = 0; i < 7; i++)
        message->words[i] = number + i;
}

static void check_message(const struct message *message, uint64_t number)
{
    uint64_t wrong = message->number ^ number;
    for (uint64_t i = 0; i < 7; i++)
        wrong |= message->words[i] ^ (number + i);
    bench_must(wrong == 0, "a message came out of order or broken");
}

/* Numbers from `first` on; there is always room: no more are in flight than fit. */
static void put(struct ring *ring, uint64_t first, uint64_t count, _Atomic uint32_t *asleep)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    for (uint64_t i = 0; i < count; i++)
        write_message(&ring->messages[(head + i) % MESSAGES], first + i);
    atomic_store_explicit(&ring->head, head + count, memory_order_release);
    ring_bell(asleep);
}

static bool has_more(const struct ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_acquire) !=
           atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

/* Up to so many of those that are there, at least one; they are numbered one after the other. */
static uint64_t take(struct ring *ring, uint64_t count, uint64_t *first)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t there = atomic_load_explicit(&ring->head, memory_order_acquire) - tail;
    if (count > there)
        count = there;
    *first = ring->messages[tail % MESSAGES].number;
    for (uint64_t i = 0; i < count; i++)
        check_message(&ring->messages[(tail + i) % MESSAGES], *first + i);
    atomic_store_explicit(&ring->tail, tail + count, memory_order_release);
    return count;
}

static void wait_until(bool (*is_ready)(void *argument), void *argument, _Atomic uint32_t *asleep)
{
    while (!bench_yield_spin(is_ready, argument)) {
        atomic_store(asleep, 1);
        if (!is_ready(argument))
            bench_futex_wait(asleep, 1);
        atomic_store(asleep, 0);
    }
}

/* ---- the two sides ------------------------------------------------------------------------ */

static bool has_request(void *argument)
{
    const struct worker *worker = argument;
    return has_more(&worker->line->requests);
}

static int work(void *argument)
{
    struct worker *worker = argument;
    for (;;) {
        uint64_t first;
        wait_until(has_request, worker, &worker->line->asleep);
        uint64_t count = take(&worker->line->requests, worker->batch, &first);
        if (first == STOP)
            return STOPPED;
        put(&worker->line->replies, first + 1, count, &worker->shared->asleep);
    }
}

static bool has_reply(void *argument)
{
    const struct client *client = argument;
    for (int i = 0; i < WORKERS; i++)
        if (has_more(&client->shared->lines[i].replies))
            return true;
    return false;
}

/* Of `count` numbers from `first` on. */
static uint64_t sum_of(uint64_t first, uint64_t count)
{
    return count * first + count * (count - 1) / 2;
}

static void send_to(struct client *client, int worker, uint64_t count)
{
    struct line *line = &client->shared->lines[worker];
    uint64_t first = client->sent[worker];
    client->sent[worker] += count;
    client->sum_sent += sum_of(first + 1, count);
    put(&line->requests, first, count, &line->asleep);
}

static void receive_all(struct client *client)
{
    for (int i = 0; i < WORKERS; i++)
        while (has_more(&client->shared->lines[i].replies)) {
            uint64_t first;
            uint64_t count = take(&client->shared->lines[i].replies, client->batch, &first);
            client->sum_received += sum_of(first, count);
            client->received[i] += count;
        }
}

static uint64_t in_flight(const struct client *client)
{
    uint64_t count = 0;
    for (int i = 0; i < WORKERS; i++)
        count += client->sent[i] - client->received[i];
    return count;
}

/* ---- a round ------------------------------------------------------------------------------ */

static void start(struct client *client, uint64_t window, uint64_t batch, enum bench_place place)
{
    *client = (struct client){
        .shared = bench_share(sizeof(struct shared)), .window = window, .batch = batch};
    bench_place_others(place);
    for (int i = 0; i < WORKERS; i++) {
        struct worker worker = {
            .shared = client->shared, .line = &client->shared->lines[i], .batch = batch};
        client->pids[i] = bench_fork(work, &worker);
    }
    bench_place_client(place);
}

static void stop(struct client *client)
{
    for (int i = 0; i < WORKERS; i++) {
        put(&client->shared->lines[i].requests, STOP, 1, &client->shared->lines[i].asleep);
        bench_reap(client->pids[i], STOPPED);
    }
    bench_must(client->sum_sent == client->sum_received, "the rings lost something");
}

static void await_replies(struct client *client)
{
    wait_until(has_reply, client, &client->shared->asleep);
    receive_all(client);
}

static double stream(struct client *client, uint64_t time_ns)
{
    uint64_t before = client->sent[0] + client->sent[1], begun_ns = bench_now_ns();
    while (bench_now_ns() - begun_ns < time_ns) {
        for (int i = 0; i < WORKERS; i++)
            while (client->sent[i] - client->received[i] + client->batch <=
                   client->window / WORKERS)
                send_to(client, i, client->batch);
        await_replies(client);
    }
    while (in_flight(client))
        await_replies(client);
    uint64_t tasks = client->sent[0] + client->sent[1] - before;
    return (double)tasks * 1e9 / (double)(bench_now_ns() - begun_ns);
}

static double measure_stream(const struct bench_round *round, uint64_t window, uint64_t batch)
{
    struct client client;
    start(&client, window, batch, BENCH_ANYWHERE);
    (void)stream(&client, round->time_ns / 10);
    double rate = stream(&client, round->time_ns);
    stop(&client);
    return rate;
}

static void measure_throughput(struct bench_round *round)
{
    round->values[0] = measure_stream(round, WINDOW, 1);
}

static void measure_batches(struct bench_round *round)
{
    round->values[0] = measure_stream(round, WINDOW, BATCH);
}

static void measure_throughput_2(struct bench_round *round)
{
    round->values[0] = measure_stream(round, WORKERS, 1);
}

static struct bench_samples round_trips(const struct bench_round *round, enum bench_place place)
{
    struct client client;
    struct bench_samples samples = bench_samples_new(ROUND_TRIPS_MAX);
    start(&client, 1, 1, place);
    uint64_t until_ns = bench_now_ns() + round->time_ns, begun_ns;
    for (int i = 0; (begun_ns = bench_now_ns()) < until_ns || samples.count == 0; i++) {
        send_to(&client, 0, 1);
        await_replies(&client);
        if (i >= WARM_UP)
            bench_sample(&samples, bench_now_ns() - begun_ns);
    }
    stop(&client);
    return samples;
}

static void measure_round_trip(struct bench_round *round)
{
    struct bench_samples samples = round_trips(round, BENCH_ANYWHERE);
    round->values[0] = bench_percentile_us(&samples, 50);
    round->values[1] = bench_percentile_us(&samples, 99);
}

static void measure_placed(struct bench_round *round)
{
    struct bench_samples together = round_trips(round, BENCH_ONE_CORE);
    struct bench_samples apart = round_trips(round, BENCH_TWO_CORES);
    round->values[0] = bench_percentile_us(&together, 50);
    round->values[1] = bench_percentile_us(&apart, 50);
}

BENCH(floor_rings_throughput, BENCH_FLOOR, measure_throughput,
      {"floor_rings_throughput", "tasks/s"});
BENCH(floor_rings_batch, BENCH_FLOOR, measure_batches, {"floor_rings_batch_throughput", "tasks/s"});
BENCH(floor_rings_throughput_2, BENCH_FLOOR, measure_throughput_2,
      {"floor_rings_throughput_2", "tasks/s"});
BENCH(floor_rings_roundtrip, BENCH_FLOOR, measure_round_trip, {"floor_rings_roundtrip_p50", "us"},
      {"floor_rings_roundtrip_p99", "us"});
BENCH(floor_rings_placed, BENCH_FLOOR, measure_placed, {"floor_rings_one_core_p50", "us"},
      {"floor_rings_two_cores_p50", "us"});
