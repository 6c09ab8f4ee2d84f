/* SPDX-License-Identifier: MIT */
/* Filled by xorshift: a byte that is lost, doubled or moved changes what is compared. */
#include "bytes.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

unsigned char *bench_bytes_new(size_t size)
{
    unsigned char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                                0);
    bench_must(bytes != MAP_FAILED, "no memory: %s", strerror(errno));
    return bytes;
}

void bench_bytes_free(unsigned char *bytes, size_t size)
{
    (void)munmap(bytes, size);
}

void bench_bytes_fill(unsigned char *bytes, size_t size)
{
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i + sizeof state <= size; i += sizeof state) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(bytes + i, &state, sizeof state);
    }
}

double bench_gbps(struct bench_samples *samples, size_t size)
{
    return (double)size / 1000 / bench_percentile_us(samples, 50);
}
