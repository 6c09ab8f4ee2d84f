/* SPDX-License-Identifier: MIT */
/* test_object: functions that the tests call by name, in a worker that has none of the test's memory. */
#include <libpool.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int test_echo(libpool_worker *worker, const void *input, size_t size);
int test_is_aligned(libpool_worker *worker, const void *input, size_t size);
int test_environment(libpool_worker *worker, const void *input, size_t size);
int test_hang(libpool_worker *worker, const void *input, size_t size);
int test_crash(libpool_worker *worker, const void *input, size_t size);
int test_allocate(libpool_worker *worker, const void *input, size_t size);
int test_descriptors(libpool_worker *worker, const void *input, size_t size);
int test_count_in(libpool_worker *worker, void *arg);
int test_count_seen(libpool_worker *worker, const void *input, size_t size);
void test_write_out(libpool_worker *worker, void *arg);

int test_echo(libpool_worker *worker, const void *input, size_t size)
{
    return libpool_reply(worker, input, size);
}

int test_is_aligned(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    return (uintptr_t)input % 16 != 0;
}

/* Replies the variable that the input names. */
int test_environment(libpool_worker *worker, const void *input, size_t size)
{
    char name[64] = {0};
    memcpy(name, input, size < sizeof name ? size : sizeof name - 1);
    const char *value = getenv(name);
    return value ? libpool_reply(worker, value, strlen(value)) : 1;
}

int test_hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)pause();
}

int test_crash(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    abort();
}

/* Takes the lock of malloc's first arena, whatever its caches hold. */
int test_allocate(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    void *volatile memory = malloc(100000);
    free(memory);
    return memory == NULL;
}

/* How many are open from 3 on. */
int test_descriptors(libpool_worker *worker, const void *input, size_t size)
{
    int n = 0;
    (void)worker, (void)input, (void)size;
    for (int fd = 3; fd < 1024; fd++) {
        int copy = dup(fd);
        if (copy >= 0)
            (void)close(copy);
        n += copy >= 0;
    }
    return n;
}

int test_count_in(libpool_worker *worker, void *arg)
{
    libpool_worker_set_data(worker, (void *)(uintptr_t)(arg == NULL ? 41 : 0));
    return 0;
}

int test_count_seen(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    return (int)(uintptr_t)libpool_worker_data(worker);
}

/* To standard output, which the test has put into a pipe. */
void test_write_out(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    (void)!write(STDOUT_FILENO, "final", 5);
}
