/* SPDX-License-Identifier: MIT */
/*
 * Tasks that nobody waits for: each tells of its end by a callback, on a thread of the pool's own, which
 * takes the result, submits what follows from it, and lets go of the future.
 */
#include <libpool.h>

#include <semaphore.h>
#include <stdio.h>

#define TASKS 10

struct sum {
    libpool *pool;
    long total;
    int left;
    sem_t all;
};

static int square(libpool_worker *worker, const void *input, size_t size)
{
    const int *number = input;
    int result = *number * *number;
    return size == sizeof *number ? libpool_reply(worker, &result, sizeof result) : 1;
}

static void add(libpool_future *future, void *arg);

static int submit(struct sum *sum, int number)
{
    libpool_task task = {.size = sizeof task,
                         .function = square,
                         .input = &number,
                         .input_size = sizeof number,
                         .done = add,
                         .callback_arg = sum};
    return libpool_submit(sum->pool, &task, -1, NULL); /* detached: nothing to be freed */
}

/* One at a time, so `sum` needs no lock. */
static void add(libpool_future *future, void *arg)
{
    struct sum *sum = arg;
    const libpool_result *result = libpool_future_result(future);
    int is = result->cause == LIBPOOL_COMPLETED ? *(const int *)result->data : -1;
    sum->total += is;
    if (is == 9 && submit(sum, 100) == 0)
        sum->left++;
    if (--sum->left == 0)
        sem_post(&sum->all);
}

int main(void)
{
    struct sum sum = {.left = TASKS};
    libpool_options options = {.size = sizeof options, .flags = LIBPOOL_CALLBACKS};
    if (sem_init(&sum.all, 0, 0) != 0 || libpool_open(&sum.pool, &options) != 0)
        return 1;
    for (int number = 0; number < TASKS; number++)
        if (submit(&sum, number) != 0)
            return 1;
    sem_wait(&sum.all); /* the application's own affairs */
    libpool_close(sum.pool);
    sem_destroy(&sum.all);
    printf("sum %ld\n", sum.total);
    return sum.total == 285 + 10000 ? 0 : 1;
}
