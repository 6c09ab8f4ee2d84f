/* SPDX-License-Identifier: MIT */
/* Two tasks in a pool: one crashes, the other and the application do not notice. */
#include <libpool.h>
#include <stdio.h>

static int add_up(libpool_worker *worker, const void *input, size_t input_size)
{
    const int *numbers = input;
    long sum = 0;
    for (size_t i = 0; i < input_size / sizeof(*numbers); i++)
        sum += numbers[i];
    return libpool_reply(worker, &sum, sizeof(sum));
}

static int crash(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)worker, (void)input, (void)input_size;
    return *(volatile int *)0;
}

int main(void)
{
    libpool *pool;
    libpool_future *sum, *crashed;
    int numbers[] = {20, 21, 1};
    libpool_task add_task = {.size = sizeof(add_task),
                             .function = add_up,
                             .input = numbers,
                             .input_size = sizeof(numbers)};
    libpool_task crash_task = {
        .size = sizeof(crash_task), .function = crash, .run_timeout_ms = 1000};

    if (libpool_open(&pool, NULL) < 0)
        return 1;
    if (libpool_submit(pool, &crash_task, -1, &crashed) < 0 ||
        libpool_submit(pool, &add_task, -1, &sum) < 0)
        return 1;
    libpool_future_wait(crashed, -1);
    libpool_future_wait(sum, -1);
    const libpool_result *bad = libpool_future_result(crashed), *good = libpool_future_result(sum);
    printf("%s: %s\n", libpool_cause_name(bad->cause), bad->text);
    if (good->cause == LIBPOOL_COMPLETED)
        printf("the sum is %ld\n", *(const long *)good->data);
    int as_expected = bad->cause == LIBPOOL_CRASH && good->cause == LIBPOOL_COMPLETED;
    libpool_future_free(crashed);
    libpool_future_free(sum);
    libpool_close(pool);
    return as_expected ? 0 : 1;
}
