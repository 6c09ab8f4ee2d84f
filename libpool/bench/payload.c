/* SPDX-License-Identifier: MIT */
/*
 * Payload: a block to a worker and back.
 *
 * One way is from the call of submit until the task is entered with all of its input in its own memory;
 * back is from its reply until the caller's wait returns. Clocks stop before the bytes are looked at:
 * the task compares its input with a copy that it inherited, the caller compares the echo. Floors: the
 * bare ring (stream.c), and one memcpy of the same size into memory that was used before or is fresh,
 * which is what anybody pays who hands out such a buffer once. As in the bare ring, what counts is memory
 * that was used before: a worker keeps its buffers, and for 64 MiB the application has an allocator that
 * keeps a block. `_fresh_`, and 1 GiB: malloc, which gives such a block back to the kernel each time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "pool.h"

#define GIB (1024 * BENCH_MIB)
#define TIMES 4
#define ECHOES_MAX 2000

struct clocks {
    uint64_t entered_ns, replying_ns;
};

static struct clocks *clocks; /* shared with the worker */
static unsigned char *original;

static int echo(libpool_worker *worker, const void *input, size_t input_size)
{
    clocks->entered_ns = bench_now_ns();
    if (memcmp(input, original, input_size) != 0)
        return -EBADMSG;
    clocks->replying_ns = bench_now_ns();
    return libpool_reply(worker, input, input_size);
}

/* ---- an allocator that keeps a block ------------------------------------------------------- */

#define KEPT_BYTES (64 * BENCH_MIB)

static _Atomic(void *) kept; /* of KEPT_BYTES; NULL: none */

static void *keeper_allocate(void *context, size_t size)
{
    (void)context;
    void *block = size == KEPT_BYTES ? atomic_exchange(&kept, NULL) : NULL;
    return block ? block : malloc(size);
}

static void keeper_release(void *context, void *block, size_t size)
{
    (void)context;
    free(size == KEPT_BYTES ? atomic_exchange(&kept, block) : block);
}

static const libpool_allocator keeper = {.allocate = keeper_allocate, .release = keeper_release};

/* ---- there and back ----------------------------------------------------------------------- */

static libpool *open_pool(size_t size, const libpool_allocator *allocator)
{
    clocks = bench_share(sizeof *clocks);
    original = bench_bytes_new(size);
    bench_bytes_fill(original, size);
    return bench_pool_open((libpool_options){
        .min_workers = 1, .max_workers = 1, .backlog_bytes = 2 * GIB, .allocator = allocator});
}

/* The whole way there and back; how long each half took stands in clocks. */
static uint64_t echo_once(libpool *pool, size_t size, struct bench_samples *there,
                          struct bench_samples *back)
{
    uint64_t begun_ns = bench_now_ns();
    libpool_future *future = bench_submit(pool, &(libpool_task){.function = echo,
                                                                .input = original,
                                                                .input_size = size,
                                                                .flags = LIBPOOL_BORROW});
    const libpool_result *result = bench_end(future, LIBPOOL_COMPLETED);
    uint64_t ended_ns = bench_now_ns();
    bench_must(result->data_size == size && memcmp(result->data, original, size) == 0,
               "the echo is not what was sent");
    libpool_future_free(future);
    if (there)
        bench_sample(there, clocks->entered_ns - begun_ns);
    if (back)
        bench_sample(back, ended_ns - clocks->replying_ns);
    return ended_ns - begun_ns;
}

/* The first echo is into memory that nobody has used; what follows is counted. */
static void measure_both_ways(struct bench_round *round, size_t size, unsigned times,
                              const libpool_allocator *allocator)
{
    struct bench_samples there = bench_samples_new(TIMES), back = bench_samples_new(TIMES);
    libpool *pool = open_pool(size, allocator);
    (void)echo_once(pool, size, NULL, NULL);
    for (unsigned i = 0; i < times; i++)
        (void)echo_once(pool, size, &there, &back);
    bench_pool_close(pool, times + 1);
    round->values[0] = bench_gbps(&there, size);
    round->values[1] = bench_gbps(&back, size);
}

static void measure_64_mib(struct bench_round *round)
{
    measure_both_ways(round, KEPT_BYTES, round->quick ? 1 : TIMES, &keeper);
}

static void measure_64_mib_fresh(struct bench_round *round)
{
    measure_both_ways(round, KEPT_BYTES, round->quick ? 1 : TIMES, NULL);
    round->values[0] = round->values[1]; /* the way there is the same */
}

static void measure_1_gib(struct bench_round *round)
{
    measure_both_ways(round, GIB, 1, NULL);
}

/* ---- from small to large ------------------------------------------------------------------ */

static const size_t sizes[] = {0, 64, 4096, 65536, BENCH_MIB, 16 * BENCH_MIB};
#define SIZES (sizeof sizes / sizeof *sizes)

static void measure_sizes(struct bench_round *round)
{
    libpool *pool = open_pool(sizes[SIZES - 1], NULL);
    uint64_t echoes = 0;
    for (size_t i = 0; i < SIZES; i++) {
        struct bench_samples samples = bench_samples_new(ECHOES_MAX);
        uint64_t until_ns = bench_now_ns() + round->time_ns / 4;
        do
            bench_sample(&samples, echo_once(pool, sizes[i], NULL, NULL));
        while (samples.count < ECHOES_MAX && bench_now_ns() < until_ns);
        echoes += samples.count;
        round->values[i] = bench_percentile_us(&samples, 50);
    }
    bench_pool_close(pool, echoes);
}

/* ---- memcpy ------------------------------------------------------------------------------- */

static uint64_t copy_to(unsigned char *target)
{
    uint64_t begun_ns = bench_now_ns();
    memcpy(target, original, 64 * BENCH_MIB);
    uint64_t took_ns = bench_now_ns() - begun_ns;
    bench_must(memcmp(target, original, 64 * BENCH_MIB) == 0, "memcpy does not copy");
    return took_ns;
}

static void measure_memcpy(struct bench_round *round)
{
    size_t size = 64 * BENCH_MIB;
    struct bench_samples fresh = bench_samples_new(TIMES), used = bench_samples_new(TIMES);
    original = bench_bytes_new(size);
    bench_bytes_fill(original, size);
    for (unsigned i = 0; i < (round->quick ? 1 : TIMES); i++) {
        unsigned char *target = bench_bytes_new(size);
        bench_sample(&fresh, copy_to(target));
        bench_sample(&used, copy_to(target));
        bench_bytes_free(target, size);
    }
    round->values[0] = bench_gbps(&used, size);
    round->values[1] = bench_gbps(&fresh, size);
}

BENCH(payload_64mib, BENCH_POOL, measure_64_mib, {"payload_64mib_gbps", "GB/s"},
      {"payload_64mib_back_gbps", "GB/s"});
BENCH(payload_64mib_fresh, BENCH_POOL, measure_64_mib_fresh,
      {"payload_64mib_back_fresh_gbps", "GB/s"});
BENCH_FULL(payload_1gib, BENCH_POOL, measure_1_gib, {"payload_1gib_gbps", "GB/s"},
           {"payload_1gib_back_gbps", "GB/s"});
BENCH(echo, BENCH_POOL, measure_sizes, {"echo_0_us", "us"}, {"echo_64_us", "us"},
      {"echo_4096_us", "us"}, {"echo_65536_us", "us"}, {"echo_1048576_us", "us"},
      {"echo_16777216_us", "us"});
BENCH(floor_memcpy, BENCH_FLOOR, measure_memcpy, {"floor_memcpy_gbps", "GB/s"},
      {"floor_memcpy_fresh_gbps", "GB/s"});
