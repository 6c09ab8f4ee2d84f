/* SPDX-License-Identifier: MIT */
/*
 * test_openmp: a task that runs in parallel, as the compiler has it (-fopenmp), and the same for an
 * application. OpenMP keeps its threads for the next region; a copy of the process has only the note of them.
 */
#include <libpool.h>

#include <stdint.h>

int test_openmp(uint64_t sum_and_threads[2]);
int test_openmp_task(libpool_worker *worker, const void *input, size_t size);

/* The sum of 1 to 1000 and how many threads have taken part. Not 0: the compiler knows nothing of OpenMP. */
int test_openmp(uint64_t sum_and_threads[2])
{
#ifdef _OPENMP
    uint64_t sum = 0, threads = 0;
#pragma omp parallel num_threads(4) reduction(+ : sum, threads)
    {
        threads++;
#pragma omp for
        for (uint64_t i = 1; i <= 1000; i++)
            sum += i;
    }
    sum_and_threads[0] = sum;
    sum_and_threads[1] = threads;
    return 0;
#else
    (void)sum_and_threads;
    return 1;
#endif
}

int test_openmp_task(libpool_worker *worker, const void *input, size_t size)
{
    uint64_t sum_and_threads[2];
    (void)input, (void)size;
    int error = test_openmp(sum_and_threads);
    return error ? error : libpool_reply(worker, sum_and_threads, sizeof sum_and_threads);
}
