/* SPDX-License-Identifier: MIT */
/*
 * A task by name, in a worker that has nothing of this process: no lock that one of its threads may hold,
 * no context of a library that does not bear a fork.
 *
 *     spawn [OBJECT]    default: spawn-tasks.so beside this program
 *
 * The zygote's program is the installed one, unless LIBPOOL_ZYGOTE names another.
 */
#include <libpool.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    char object[4096];
    int numbers[] = {20, 21, 1};
    libpool_options options = {
        .size = sizeof(options), .start = LIBPOOL_SPAWN, .zygote_path = getenv("LIBPOOL_ZYGOTE")};
    libpool_task task = {.size = sizeof(task),
                         .object = object,
                         .symbol = "add_up",
                         .input = numbers,
                         .input_size = sizeof(numbers)};
    libpool *pool;
    libpool_future *future;

    snprintf(object, sizeof(object), argc > 1 ? "%s" : "%s-tasks.so", argv[argc > 1]);
    int error = libpool_open(&pool, &options);
    if (error < 0) {
        fprintf(stderr, "no pool: %d (is libpool-zygote installed?)\n", error);
        return 1;
    }
    if (libpool_submit(pool, &task, -1, &future) < 0)
        return 1;
    libpool_future_wait(future, -1);
    const libpool_result *result = libpool_future_result(future);
    printf("%s: %s\n", libpool_cause_name(result->cause), result->text);
    int completed = result->cause == LIBPOOL_COMPLETED;
    if (completed)
        printf("the sum is %ld\n", *(const long *)result->data);
    libpool_future_free(future);
    libpool_close(pool);
    return completed ? 0 : 1;
}
