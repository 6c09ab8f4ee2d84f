/* SPDX-License-Identifier: MIT */
/* One pool for several: who gets which, what becomes of one that is replaced, and a fork in between. */
#include <libpool.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/test.h"

#define THREADS 8

static int answer(libpool_worker *worker, const void *input, size_t size)
{
    pid_t pid = getpid();
    (void)input, (void)size;
    return libpool_reply(worker, &pid, sizeof pid);
}

/* In memory that the test shares with its workers. */
static int wait_for(libpool_worker *worker, const void *input, size_t size)
{
    _Atomic int *word = *(_Atomic int *const *)input;
    (void)worker, (void)size;
    while (!atomic_load(word))
        (void)poll(NULL, 0, 1);
    return 0;
}

static libpool_options of_workers(uint32_t min_workers, uint32_t max_workers)
{
    return (libpool_options){.size = sizeof(libpool_options),
                             .min_workers = min_workers,
                             .max_workers = max_workers,
                             .workers_limit = 4};
}

static libpool *get(libpool_shared *home, libpool_options options)
{
    libpool *pool = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_shared_get(home, &options, &pool), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pool);
    return pool;
}

/* 0, or what went wrong: also for threads and children, which must not assert. */
static int run(libpool *pool, pid_t *pid)
{
    libpool_future *future = NULL;
    const libpool_task task = {.size = sizeof task, .function = answer};
    int error = libpool_submit(pool, &task, -1, &future);
    if (!error)
        error = libpool_future_wait(future, 20000);
    const libpool_result *result = error ? NULL : libpool_future_result(future);
    if (result && result->data_size == sizeof *pid)
        memcpy(pid, result->data, sizeof *pid);
    else if (!error)
        error = 1;
    libpool_future_free(future);
    return error;
}

static libpool_stats stats_of(libpool *pool)
{
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    return stats;
}

TEST(shared, what_is_the_same_is_had_by_all)
{
    libpool_shared home = LIBPOOL_SHARED_INIT;
    char name[] = "shared", same_name[] = "shared";
    static const char *const variables[] = {"SHARED=1"}, *const same_variables[] = {"SHARED=1"};
    libpool_outfit outfit = {
        .size = sizeof outfit, .environment = variables, .environment_count = 1};
    libpool_outfit same_outfit = outfit;
    libpool_options options = of_workers(0, 2), same_options = options;
    same_outfit.environment = same_variables;
    options.name = name;
    options.outfit = &outfit;
    same_options.name = same_name;
    same_options.outfit = &same_outfit;
    libpool *pool = get(&home, options);
    CU_ASSERT_PTR_EQUAL(get(&home, same_options), pool);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), -EBUSY);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), -EBUSY);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), -ENOENT);
    CU_ASSERT_PTR_EQUAL(get(&home, options), pool); /* nobody had it, and it is still there */
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), 0);
    CU_ASSERT_PTR_NULL(home.page);
}

TEST(shared, other_numbers_of_workers_are_a_resize)
{
    libpool_shared home = LIBPOOL_SHARED_INIT;
    pid_t pid;
    libpool *pool = get(&home, of_workers(0, 1));
    CU_ASSERT_EQUAL(run(pool, &pid), 0);
    CU_ASSERT_PTR_EQUAL(get(&home, of_workers(3, 4)), pool);
    for (int i = 0; i < 2000 && stats_of(pool).worker_processes_idle < 3; i++)
        (void)poll(NULL, 0, 5);
    CU_ASSERT_EQUAL(stats_of(pool).worker_processes_idle, 3);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), 0);
}

TEST(shared, what_somebody_has_resized_is_as_it_was_asked_for_again)
{
    libpool_shared home = LIBPOOL_SHARED_INIT;
    libpool *pool = get(&home, of_workers(1, 1));
    CU_ASSERT_EQUAL(libpool_resize(pool, 0, 1), 0);
    CU_ASSERT_PTR_EQUAL(get(&home, of_workers(1, 1)), pool);
    for (int i = 0; i < 2000 && stats_of(pool).worker_processes_idle < 1; i++)
        (void)poll(NULL, 0, 5);
    CU_ASSERT_EQUAL(stats_of(pool).worker_processes_idle, 1);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), 0);
}

TEST(shared, what_libpool_open_takes_is_taken)
{
    libpool_shared home = LIBPOOL_SHARED_INIT;
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options, .max_workers = 1, .waiting_workers = 4095};
    CU_ASSERT_EQUAL(libpool_shared_get(&home, &options, &pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), 0);
}

/* Without a limit of one's own there is room for as many as there are CPUs, and no more. */
TEST(shared, more_workers_than_there_is_room_for_are_another_pool)
{
    libpool_shared home = LIBPOOL_SHARED_INIT;
    uint32_t cpus = libpool_default_workers();
    libpool_options options = {.size = sizeof options, .max_workers = 1};
    libpool *pool = get(&home, options);
    options.max_workers = cpus;
    CU_ASSERT_PTR_EQUAL(get(&home, options), pool);
    options.max_workers = cpus + 1;
    libpool *larger = get(&home, options);
    CU_ASSERT_PTR_NOT_EQUAL(larger, pool);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, larger), 0);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), 0);
}

static libpool_future *begin(libpool *pool, _Atomic int *word)
{
    libpool_future *future = NULL;
    const libpool_task task = {
        .size = sizeof task, .function = wait_for, .input = &word, .input_size = sizeof word};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}

TEST(shared, other_options_are_another_pool_and_the_one_before_runs_what_it_has)
{
    libpool_shared home = LIBPOOL_SHARED_INIT;
    pid_t pid;
    _Atomic int *word = mmap(NULL, sizeof *word, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                             -1, 0);
    CU_ASSERT_FATAL(word != MAP_FAILED);
    libpool_options options = of_workers(0, 1), others = options;
    others.name = "other";
    libpool *pool = get(&home, options);
    libpool_future *running = begin(pool, word);
    libpool *other = get(&home, others);
    CU_ASSERT_PTR_NOT_EQUAL(other, pool);
    libpool_future *pending = begin(pool, word); /* its user still may */
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(running, 0), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_future_wait(pending, 0), -ETIMEDOUT);
    CU_ASSERT_EQUAL(run(other, &pid), 0);
    atomic_store(word, 1);
    CU_ASSERT_EQUAL(libpool_future_wait(running, 20000), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(pending, 20000), 0);
    CU_ASSERT_EQUAL(libpool_future_result(running)->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(libpool_future_result(pending)->cause, LIBPOOL_COMPLETED);
    libpool_future_free(running);
    libpool_future_free(pending);
    libpool *again = get(&home,
                         options); /* one pool a home, not one for each that was ever wanted */
    CU_ASSERT_PTR_NOT_EQUAL(again, other);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), -EBUSY);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, other), 0);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, again), 0);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), 0);
    (void)munmap(word, sizeof *word);
}

TEST(shared, what_can_not_be_opened_leaves_what_is_there)
{
    libpool_shared home = LIBPOOL_SHARED_INIT;
    libpool_options options = of_workers(0, 1), wrong = options;
    libpool *pool = get(&home, options), *none = pool;
    wrong.cgroup = "/nowhere/at/all";
    CU_ASSERT(libpool_shared_get(&home, &wrong, &none) < 0);
    CU_ASSERT_PTR_NULL(none);
    wrong = options;
    wrong.flags = LIBPOOL_NO_THREAD;
    CU_ASSERT_EQUAL(libpool_shared_get(&home, &wrong, &none), -EINVAL);
    CU_ASSERT_PTR_EQUAL(get(&home, options), pool);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), 0);
}

/* Whoever comes finds one that works, whatever was done to it. */
TEST(shared, one_that_lost_its_workers_or_was_shut_down_is_no_obstacle)
{
    libpool_shared home = LIBPOOL_SHARED_INIT;
    libpool_options options = of_workers(1, 1);
    pid_t first = 0, second = 0;
    libpool *pool = get(&home, options);
    CU_ASSERT_EQUAL(run(pool, &first), 0);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(kill(first, SIGKILL), 0);
    CU_ASSERT_PTR_EQUAL(get(&home, options), pool);
    CU_ASSERT_EQUAL(run(pool, &second), 0);
    CU_ASSERT_NOT_EQUAL(first, second);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, 20000), 0);
    libpool *next = get(&home, options);
    CU_ASSERT_EQUAL(run(next, &first), 0);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, pool), 0);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, next), 0);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), 0);
}

struct asker {
    libpool_shared *home;
    libpool_options options;
    libpool *pool;
    _Atomic int *errors;
};

static void *ask(void *arg)
{
    struct asker *asker = arg;
    pid_t pid;
    if (libpool_shared_get(asker->home, &asker->options, &asker->pool) != 0 ||
        run(asker->pool, &pid) != 0)
        atomic_fetch_add(asker->errors, 1);
    return NULL;
}

static void *ask_again_and_again(void *arg)
{
    struct asker *asker = arg;
    for (int i = 0; i < 10; i++) {
        asker->options.name = i % 3 ? "one" : "other";
        asker->options.max_workers = 1 + (uint32_t)i % 2;
        (void)ask(asker);
        if (libpool_shared_put(asker->home, asker->pool) != 0)
            atomic_fetch_add(asker->errors, 1);
    }
    return NULL;
}

static void race(libpool_shared *home, void *(*body)(void *), struct asker askers[THREADS])
{
    _Atomic int errors = 0;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){home, of_workers(0, 2), NULL, &errors};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, body, &askers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
    CU_ASSERT_EQUAL(errors, 0);
}

TEST(shared, threads_that_ask_at_once_have_one_pool)
{
    libpool_shared home = LIBPOOL_SHARED_INIT;
    struct asker askers[THREADS];
    race(&home, ask, askers);
    for (int i = 0; i < THREADS; i++) {
        CU_ASSERT_PTR_EQUAL(askers[i].pool, askers[0].pool);
        CU_ASSERT_EQUAL(libpool_shared_put(&home, askers[i].pool), 0);
    }
    CU_ASSERT_EQUAL(libpool_shared_close(&home), 0);
}

TEST(shared, threads_that_want_different_ones_all_get_on)
{
    libpool_shared home = LIBPOOL_SHARED_INIT;
    struct asker askers[THREADS];
    race(&home, ask_again_and_again, askers);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), 0);
}

struct copy {
    libpool_shared *home;
    libpool *parents;
};

/* 0: it has a pool of its own, which works. */
static int use_in_copy(void *arg)
{
    const struct copy *copy = arg;
    libpool_options options = of_workers(0, 1);
    libpool *pool = NULL;
    pid_t pid = 0;
    if (libpool_shared_put(copy->home, copy->parents) != -ENOENT)
        return 1;
    if (libpool_shared_get(copy->home, &options, &pool) != 0 || pool == copy->parents)
        return 2;
    if (run(pool, &pid) != 0 || libpool_shared_close(copy->home) != -EBUSY)
        return 3;
    return libpool_shared_put(copy->home, pool) || libpool_shared_close(copy->home) ? 4 : 0;
}

static int forget_in_copy(void *arg)
{
    const struct copy *copy = arg;
    return libpool_shared_close(copy->home) || copy->home->page ? 1 : 0;
}

TEST(shared, a_fork_of_the_application_has_one_of_its_own)
{
    libpool_shared home = LIBPOOL_SHARED_INIT;
    pid_t pid;
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("it can't start threads in a copy of a process that has some");
    struct copy copy = {&home, get(&home, of_workers(0, 1))};
    CU_ASSERT_EQUAL(run(copy.parents, &pid), 0);
    CU_ASSERT_EQUAL(hn_test_child(use_in_copy, &copy, 20000), TEST_EXIT(0));
    CU_ASSERT_EQUAL(hn_test_child(forget_in_copy, &copy, 20000), TEST_EXIT(0));
    CU_ASSERT_EQUAL(run(copy.parents, &pid), 0);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, copy.parents), 0);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), 0);
}

TEST(shared, a_home_has_to_be_there)
{
    libpool_shared home = LIBPOOL_SHARED_INIT;
    libpool *pool = NULL;
    CU_ASSERT_EQUAL(libpool_shared_get(NULL, NULL, &pool), -EINVAL);
    CU_ASSERT_EQUAL(libpool_shared_get(&home, NULL, NULL), -EINVAL);
    CU_ASSERT_EQUAL(libpool_shared_put(&home, NULL), -EINVAL);
    CU_ASSERT_EQUAL(libpool_shared_close(NULL), -EINVAL);
    CU_ASSERT_EQUAL(libpool_shared_close(&home), 0);
}
