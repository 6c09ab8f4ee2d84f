/* SPDX-License-Identifier: MIT */
/*
 * bytes: payloads that can't be right by chance, and how fast they went.
 */
#ifndef BENCH_BYTES_H
#define BENCH_BYTES_H

#include "bench.h"

#define BENCH_MIB ((size_t)1 << 20)

/* Pages that nobody has touched; a multiple of 8 bytes. */
unsigned char *bench_bytes_new(size_t size);
void bench_bytes_free(unsigned char *bytes, size_t size);
/* The same bytes each time, no two words of them alike. */
void bench_bytes_fill(unsigned char *bytes, size_t size);

/* The median of samples of so many bytes each. */
double bench_gbps(struct bench_samples *samples, size_t size);

#endif
