/* SPDX-License-Identifier: MIT */
/*
 * Floor: a block through a bare ring of 256 KiB into another process's own memory.
 *
 * 64 KiB at a time, the two copies overlap on two cores and the ring stays in their caches. Whoever has
 * to wait yields for 10 us, then sleeps. The receiver's memory is fresh the first time, and used before
 * the second.
 */
#include <stdalign.h>
#include <string.h>

#include "bytes.h"

#define RING (256 * 1024)
#define STEP (64 * 1024)
#define RECEIVED 3
#define TIMES 4

struct shared {
    alignas(64) _Atomic uint64_t head;
    alignas(64) _Atomic uint64_t tail;
    alignas(64) _Atomic uint32_t sender_asleep;
    alignas(64) _Atomic uint32_t receiver_asleep;
    alignas(64) uint64_t received_ns[TIMES];
    _Atomic uint32_t received[TIMES];
    alignas(4096) unsigned char bytes[RING];
};

struct stream {
    struct shared *shared;
    unsigned char *original;
    size_t size;
    unsigned times;
};

static void ring_bell(_Atomic uint32_t *asleep)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(asleep, memory_order_relaxed) == 0)
        return;
    atomic_store_explicit(asleep, 0, memory_order_relaxed);
    bench_futex_wake(asleep);
}

static bool has_bytes(void *argument)
{
    struct shared *shared = argument;
    return atomic_load(&shared->head) != atomic_load(&shared->tail);
}

static bool has_room(void *argument)
{
    struct shared *shared = argument;
    return atomic_load(&shared->head) - atomic_load(&shared->tail) <= RING - STEP;
}

static void wait_until(bool (*is_ready)(void *argument), struct shared *shared,
                       _Atomic uint32_t *asleep)
{
    while (!bench_yield_spin(is_ready, shared)) {
        atomic_store(asleep, 1);
        if (!is_ready(shared))
            bench_futex_wait(asleep, 1);
        atomic_store(asleep, 0);
    }
}

static void send_all(struct shared *shared, const unsigned char *from, size_t size)
{
    for (size_t sent = 0; sent < size; sent += STEP) {
        uint64_t head = atomic_load_explicit(&shared->head, memory_order_relaxed);
        if (!has_room(shared))
            wait_until(has_room, shared, &shared->sender_asleep);
        memcpy(shared->bytes + head % RING, from + sent, STEP);
        atomic_store_explicit(&shared->head, head + STEP, memory_order_release);
        ring_bell(&shared->receiver_asleep);
    }
}

static void receive_all(struct shared *shared, unsigned char *to, size_t size)
{
    for (size_t received = 0; received < size; received += STEP) {
        uint64_t tail = atomic_load_explicit(&shared->tail, memory_order_relaxed);
        if (!has_bytes(shared))
            wait_until(has_bytes, shared, &shared->receiver_asleep);
        memcpy(to + received, shared->bytes + tail % RING, STEP);
        atomic_store_explicit(&shared->tail, tail + STEP, memory_order_release);
        ring_bell(&shared->sender_asleep);
    }
}

static int receive(void *argument)
{
    struct stream *stream = argument;
    unsigned char *memory = bench_bytes_new(stream->size);
    for (unsigned i = 0; i < stream->times; i++) {
        receive_all(stream->shared, memory, stream->size);
        stream->shared->received_ns[i] = bench_now_ns();
        bench_must(memcmp(memory, stream->original, stream->size) == 0, "the ring broke a byte");
        bench_raise(&stream->shared->received[i]);
    }
    return RECEIVED;
}

static void measure(struct bench_round *round, size_t size, unsigned times)
{
    struct stream stream = {.shared = bench_share(sizeof *stream.shared),
                            .original = bench_bytes_new(size),
                            .size = size,
                            .times = times};
    struct bench_samples fresh = bench_samples_new(1), used = bench_samples_new(TIMES);
    bench_bytes_fill(stream.original, size);
    pid_t pid = bench_fork(receive, &stream);
    for (unsigned i = 0; i < times; i++) {
        uint64_t begun_ns = bench_now_ns();
        send_all(stream.shared, stream.original, size);
        bench_await(&stream.shared->received[i]);
        bench_sample(i ? &used : &fresh, stream.shared->received_ns[i] - begun_ns);
    }
    bench_reap(pid, RECEIVED);
    round->values[0] = bench_gbps(&used, size);
    round->values[1] = bench_gbps(&fresh, size);
}

static void measure_64_mib(struct bench_round *round)
{
    measure(round, 64 * BENCH_MIB, TIMES);
}

static void measure_1_gib(struct bench_round *round)
{
    measure(round, 1024 * BENCH_MIB, 2);
}

BENCH(floor_ring_64mib, BENCH_FLOOR, measure_64_mib, {"floor_ring_64mib_gbps", "GB/s"},
      {"floor_ring_64mib_fresh_gbps", "GB/s"});
BENCH_FULL(floor_ring_1gib, BENCH_FLOOR, measure_1_gib, {"floor_ring_1gib_gbps", "GB/s"},
           {"floor_ring_1gib_fresh_gbps", "GB/s"});
