/* SPDX-License-Identifier: MIT */
/* The tasks of spawn.c, an object of their own: cc -shared -fPIC -o spawn-tasks.so spawn/tasks.c */
#include <libpool.h>
#include <stddef.h>

int add_up(libpool_worker *worker, const void *input, size_t input_size);

int add_up(libpool_worker *worker, const void *input, size_t input_size)
{
    const int *numbers = input;
    long sum = 0;
    for (size_t i = 0; i < input_size / sizeof(*numbers); i++)
        sum += numbers[i];
    return libpool_reply(worker, &sum, sizeof(sum));
}
