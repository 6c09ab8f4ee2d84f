/* SPDX-License-Identifier: MIT */
/*
 * Mapped: a file that already holds the data, handed over without a copy (LIBPOOL_FILE). From the call
 * of submit until the caller's wait returns; the task looks at the first and the last byte. What a task
 * pays for each page that it reads is the kernel's, and in none of this.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"
#include "pool.h"

#define SMALL_BYTES ((size_t)64 * 1024)
#define LARGE_BYTES (1024 * BENCH_MIB)
#define TIMES 400u

static int look(libpool_worker *worker, const void *input, size_t input_size)
{
    const unsigned char *bytes = input;
    return libpool_reply(worker, (unsigned char[]){bytes[0], bytes[input_size - 1]}, 2);
}

static int make_file(size_t size, unsigned char last)
{
    int fd = memfd_create("bench", MFD_CLOEXEC);
    bench_must(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "a memfd");
    unsigned char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    bench_must(bytes != MAP_FAILED, "a memfd is mapped");
    memset(bytes, 1, size);
    bytes[size - 1] = last;
    munmap(bytes, size);
    return fd;
}

static uint64_t hand_over(libpool *pool, int fd, size_t size, unsigned char last)
{
    uint64_t begun_ns = bench_now_ns();
    libpool_future *future = bench_submit(
        pool, &(libpool_task){
                  .function = look, .input_fd = fd, .input_size = size, .flags = LIBPOOL_FILE});
    const libpool_result *result = bench_end(future, LIBPOOL_COMPLETED);
    uint64_t took_ns = bench_now_ns() - begun_ns;
    bench_must(result->data_size == 2 && ((const unsigned char *)result->data)[0] == 1 &&
                   ((const unsigned char *)result->data)[1] == last,
               "the worker sees what is in the file");
    libpool_future_free(future);
    return took_ns;
}

/* In turns, so that both meet the same machine. */
static void measure_mapped(struct bench_round *round)
{
    unsigned times = round->quick ? 20 : TIMES;
    struct bench_samples small = bench_samples_new(TIMES), large = bench_samples_new(TIMES);
    libpool *pool = bench_pool_open((libpool_options){.min_workers = 1, .max_workers = 1});
    int small_fd = make_file(SMALL_BYTES, 2), large_fd = make_file(LARGE_BYTES, 3);
    for (unsigned i = 0; i < times; i++) {
        bench_sample(&small, hand_over(pool, small_fd, SMALL_BYTES, 2));
        bench_sample(&large, hand_over(pool, large_fd, LARGE_BYTES, 3));
    }
    close(small_fd);
    close(large_fd);
    bench_pool_close(pool, 2 * times);
    round->values[0] = bench_percentile_us(&small, 50);
    round->values[1] = bench_percentile_us(&large, 50);
}

BENCH(mapped, BENCH_POOL, measure_mapped, {"memfd_64kib_us", "us"}, {"memfd_1gib_us", "us"});
