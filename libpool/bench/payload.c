/* SPDX-License-Identifier: MIT */
/*
 * Payload: 64 MiB to a worker and back.
 *
 * One way is from the call of submit until the task is entered with all of its input in its own memory;
 * back is from its reply until the caller's wait returns. Clocks stop before the bytes are looked at:
 * the task compares its input with a copy that it inherited, the caller compares the echo. Floors: one
 * memcpy of the same size into memory that was used before, and into fresh pages, which is what
 * anybody pays who hands out such a buffer once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pool.h"

#define BYTES ((size_t)64 << 20)
#define TIMES 4
#define TIMES_QUICK 1

struct clocks {
    uint64_t entered_ns, replying_ns;
};

static struct clocks *clocks; /* shared with the worker */
static unsigned char *original;

static int echo(libpool_worker *worker, const void *input, size_t input_size)
{
    clocks->entered_ns = bench_now_ns();
    if (input_size != BYTES || memcmp(input, original, BYTES) != 0)
        return -EBADMSG;
    clocks->replying_ns = bench_now_ns();
    return libpool_reply(worker, input, input_size);
}

static unsigned char *new_memory(void)
{
    unsigned char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                 -1, 0);
    bench_must(memory != MAP_FAILED, "no memory: %s", strerror(errno));
    return memory;
}

static void fill(unsigned char *memory)
{
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < BYTES; i += sizeof state) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(memory + i, &state, sizeof state);
    }
}

/* Bytes a nanosecond are GB/s. */
static double gbps(struct bench_samples *samples)
{
    return (double)BYTES / 1000 / bench_percentile_us(samples, 50);
}

static void echo_once(libpool *pool, struct bench_samples *there, struct bench_samples *back)
{
    uint64_t begun_ns = bench_now_ns();
    libpool_future *future = bench_submit(
        pool, &(libpool_task){.function = echo, .input = original, .input_size = BYTES});
    const libpool_result *result = bench_end(future, LIBPOOL_COMPLETED);
    uint64_t ended_ns = bench_now_ns();
    bench_sample(there, clocks->entered_ns - begun_ns);
    bench_sample(back, ended_ns - clocks->replying_ns);
    bench_must(result->data_size == BYTES && memcmp(result->data, original, BYTES) == 0,
               "the echo is not what was sent");
    libpool_future_free(future);
}

static void measure_payload(struct bench_round *round)
{
    unsigned times = round->quick ? TIMES_QUICK : TIMES;
    struct bench_samples there = bench_samples_new(TIMES), back = bench_samples_new(TIMES);
    clocks = bench_share(sizeof *clocks);
    original = new_memory();
    fill(original);
    libpool *pool = bench_pool_open((libpool_options){.min_workers = 1, .max_workers = 1});
    for (unsigned i = 0; i < times; i++)
        echo_once(pool, &there, &back);
    bench_pool_close(pool, times);
    round->values[0] = gbps(&there);
    round->values[1] = gbps(&back);
}

static uint64_t copy_to(unsigned char *target)
{
    uint64_t begun_ns = bench_now_ns();
    memcpy(target, original, BYTES);
    uint64_t took_ns = bench_now_ns() - begun_ns;
    bench_must(memcmp(target, original, BYTES) == 0, "memcpy does not copy");
    return took_ns;
}

static void measure_memcpy(struct bench_round *round)
{
    unsigned times = round->quick ? TIMES_QUICK : TIMES;
    struct bench_samples fresh = bench_samples_new(TIMES), used = bench_samples_new(TIMES);
    original = new_memory();
    fill(original);
    for (unsigned i = 0; i < times; i++) {
        unsigned char *target = new_memory();
        bench_sample(&fresh, copy_to(target));
        bench_sample(&used, copy_to(target));
        (void)munmap(target, BYTES);
    }
    round->values[0] = gbps(&used);
    round->values[1] = gbps(&fresh);
}

BENCH(payload, BENCH_POOL, measure_payload, {"payload_64mib_gbps", "GB/s"},
      {"payload_64mib_back_gbps", "GB/s"});
BENCH(floor_memcpy, BENCH_FLOOR, measure_memcpy, {"floor_memcpy_gbps", "GB/s"},
      {"floor_memcpy_fresh_gbps", "GB/s"});
