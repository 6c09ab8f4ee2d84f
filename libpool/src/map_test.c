/* SPDX-License-Identifier: MIT */
/* Batches: every element has one result, in the order asked for; what one does costs one; halting. */
#include <libpool.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"

#define MANY 10000
#define STUCK 4321u

/* ---- tasks ---------------------------------------------------------------------------------- */

static int twice(libpool_worker *worker, const void *input, size_t size)
{
    uint32_t value;
    memcpy(&value, input, size);
    value *= 2;
    return libpool_reply(worker, &value, sizeof value);
}

static int twice_or_hang(libpool_worker *worker, const void *input, size_t size)
{
    while (*(const uint32_t *)input == STUCK)
        (void)pause();
    return twice(worker, input, size);
}

/* Of ten, one returns an error and one crashes. */
static int fail_some(libpool_worker *worker, const void *input, size_t size)
{
    uint32_t value = *(const uint32_t *)input;
    (void)worker, (void)size;
    if (value % 10 == 7)
        (void)raise(SIGKILL);
    return value % 10 == 3 ? 3 : 0;
}

/* The third fails; the others wait for what never comes. */
static int fail_third(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    while (*(const uint32_t *)input != 2)
        (void)pause();
    return 1;
}

static int nap_backwards(libpool_worker *worker, const void *input, size_t size)
{
    uint32_t value = *(const uint32_t *)input;
    (void)poll(NULL, 0, value < 4 ? 80 - 20 * (int)value : 0);
    return twice(worker, input, size);
}

static int fail_all(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 1;
}

/* ---- what is handed over --------------------------------------------------------------------- */

struct log {
    uint32_t n;
    uint64_t elements[MANY];
    libpool_cause causes[MANY]; /* by element; 0: none */
    uint32_t wrong;             /* twice the same, or not twice the value */
    uint32_t never_submitted;
    uint32_t halt_at; /* results; 0: never */
};

static int note(void *arg, uint64_t element, const libpool_result *result)
{
    struct log *log = arg;
    uint32_t value = (uint32_t)element * 2;
    if (element >= MANY || log->causes[element] != LIBPOOL_PENDING) {
        log->wrong++;
        return 0;
    }
    log->causes[element] = result->cause;
    log->elements[log->n++] = element;
    log->never_submitted += result->task_id == 0;
    if (result->data_size && memcmp(result->data, &value, sizeof value) != 0)
        log->wrong++;
    return log->n == log->halt_at;
}

static struct log *new_log(void)
{
    struct log *log = calloc(1, sizeof *log);
    CU_ASSERT_PTR_NOT_NULL_FATAL(log);
    return log;
}

static bool is_in_order(const struct log *log)
{
    for (uint32_t i = 0; i < log->n; i++)
        if (log->elements[i] != i)
            return false;
    return true;
}

static uint32_t position_of(const struct log *log, uint64_t element)
{
    uint32_t at = 0;
    while (at < log->n && log->elements[at] != element)
        at++;
    return at;
}

/* What `next` yields is in one buffer that is used again at once. */
struct source {
    uint32_t next, end, buffer;
    const struct log *log;
    uint32_t ahead_max; /* how far it was ahead of the results */
    int error;          /* at the end */
};

static int yield_number(void *arg, const void **input, size_t *size)
{
    struct source *source = arg;
    if (source->next == source->end)
        return source->error;
    source->buffer = source->next++;
    if (source->log && source->next - source->log->n > source->ahead_max)
        source->ahead_max = source->next - source->log->n;
    *input = &source->buffer;
    *size = sizeof source->buffer;
    return 1;
}

static libpool *open_pool(uint32_t flags, uint32_t workers)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .flags = flags, .min_workers = workers, .max_workers = workers};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static uint32_t *count_up(uint32_t n)
{
    uint32_t *numbers = malloc(n * sizeof *numbers);
    CU_ASSERT_PTR_NOT_NULL_FATAL(numbers);
    for (uint32_t i = 0; i < n; i++)
        numbers[i] = i;
    return numbers;
}

static libpool_batch batch_of(libpool_task_function *function, const uint32_t *numbers, uint32_t n,
                              struct log *log)
{
    return (libpool_batch){.size = sizeof(libpool_batch),
                           .function = function,
                           .inputs = numbers,
                           .input_size = sizeof *numbers,
                           .elements = n,
                           .result = note,
                           .result_arg = log};
}

static uint64_t tasks_left(libpool *pool)
{
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    return stats.tasks_pending + stats.tasks_running;
}

/* ---- all is well ---------------------------------------------------------------------------- */

static void map_all(uint32_t pool_flags, uint32_t flags, uint32_t chunk)
{
    libpool *pool = open_pool(pool_flags, 2);
    uint32_t *numbers = count_up(MANY);
    struct log *log = new_log();
    libpool_batch batch = batch_of(twice, numbers, MANY, log);
    libpool_batch_report report = {.size = sizeof report};
    batch.flags = flags;
    batch.chunk = chunk;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), 0);
    CU_ASSERT_EQUAL(log->n, MANY);
    CU_ASSERT_EQUAL(log->wrong, 0);
    CU_ASSERT_EQUAL(report.elements, MANY);
    CU_ASSERT_EQUAL(report.failed, 0);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_COMPLETED], MANY);
    if (flags & LIBPOOL_IN_ORDER)
        CU_ASSERT(is_in_order(log));
    libpool_close(pool);
    free(numbers);
    free(log);
}

TEST(map, an_array_as_results_come)
{
    map_all(0, 0, 0);
}

TEST(map, an_array_in_order)
{
    map_all(0, LIBPOOL_IN_ORDER, 0);
}

TEST(map, an_array_one_by_one_in_a_pool_without_a_thread)
{
    map_all(LIBPOOL_NO_THREAD, 0, 1);
}

TEST(map, an_array_in_order_in_a_pool_without_a_thread)
{
    map_all(LIBPOOL_NO_THREAD, LIBPOOL_IN_ORDER, 32);
}

TEST(map, results_come_as_they_end_or_in_order_as_asked)
{
    libpool *pool = open_pool(0, 4);
    uint32_t *numbers = count_up(8);
    for (uint32_t flags = 0; flags <= LIBPOOL_IN_ORDER; flags += LIBPOOL_IN_ORDER) {
        struct log *log = new_log();
        libpool_batch batch = batch_of(nap_backwards, numbers, 8, log);
        batch.flags = flags;
        CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), 0);
        CU_ASSERT_EQUAL(log->n, 8);
        CU_ASSERT_EQUAL(is_in_order(log), flags == LIBPOOL_IN_ORDER);
        free(log);
    }
    libpool_close(pool);
    free(numbers);
}

TEST(map, a_source_is_asked_no_further_ahead_than_allowed)
{
    libpool *pool = open_pool(0, 2);
    struct log *log = new_log();
    struct source source = {.end = 2000, .log = log};
    libpool_batch batch = {.size = sizeof batch,
                           .function = twice,
                           .next = yield_number,
                           .next_arg = &source,
                           .result = note,
                           .result_arg = log,
                           .in_flight = 7};
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), 0);
    CU_ASSERT_EQUAL(log->n, 2000);
    CU_ASSERT_EQUAL(log->wrong, 0);
    CU_ASSERT_EQUAL(source.ahead_max, 7);
    libpool_close(pool);
    free(log);
}

TEST(map, a_batch_larger_than_the_backlog_waits_for_room)
{
    libpool *pool = NULL;
    uint32_t *numbers = count_up(500);
    struct log *log = new_log();
    libpool_options options = {.size = sizeof options, .max_workers = 1, .backlog_tasks = 3};
    libpool_batch batch = batch_of(twice, numbers, 500, log);
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), 0);
    CU_ASSERT_EQUAL(log->n, 500);
    libpool_close(pool);
    free(numbers);
    free(log);
}

TEST(map, nothing_is_soon_done)
{
    libpool *pool = open_pool(0, 1);
    libpool_batch batch = {.size = sizeof batch, .function = twice};
    libpool_batch_report report = {.size = sizeof report, .elements = 9};
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), 0);
    CU_ASSERT_EQUAL(report.elements, 0);
    libpool_close(pool);
}

/* ---- what befalls one costs one -------------------------------------------------------------- */

TEST(map, one_that_is_stuck_among_10000_costs_one)
{
    libpool *pool = open_pool(0, 2);
    uint32_t *numbers = count_up(MANY);
    struct log *log = new_log();
    libpool_batch batch = batch_of(twice_or_hang, numbers, MANY, log);
    libpool_batch_report report = {.size = sizeof report};
    batch.run_timeout_ms = 300;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), 0);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_COMPLETED], MANY - 1);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_TIMEOUT], 1);
    CU_ASSERT_EQUAL(report.failed, 1);
    CU_ASSERT_EQUAL(log->causes[STUCK], LIBPOOL_TIMEOUT);
    CU_ASSERT(position_of(log, STUCK) > STUCK + 1000); /* nobody waited for it */
    CU_ASSERT_EQUAL(log->wrong, 0);
    libpool_close(pool);
    free(numbers);
    free(log);
}

/* Each element's first run crashes. */
static uint32_t *runs;

static int crash_first(libpool_worker *worker, const void *input, size_t size)
{
    if (runs[*(const uint32_t *)input]++ == 0)
        (void)raise(SIGKILL);
    return twice(worker, input, size);
}

static void never_called(libpool_future *future, void *arg)
{
    (void)future, (void)arg;
    abort();
}

TEST(map, what_each_of_its_tasks_may_it_may)
{
    const size_t bytes = 20 * sizeof *runs;
    runs = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(runs != MAP_FAILED);
    libpool *pool = open_pool(0, 2);
    uint32_t *numbers = count_up(20);
    struct log *log = new_log();
    libpool_task each = {.size = sizeof each,
                         .group = 5,
                         .retries = 1,
                         .retry_causes = 1u << LIBPOOL_KILLED,
                         .retry_min_ms = 1};
    libpool_batch batch = batch_of(crash_first, numbers, 20, log);
    batch.each = &each;
    libpool_batch_report report = {.size = sizeof report};
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), 0);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_COMPLETED], 20);
    CU_ASSERT_EQUAL(log->wrong, 0);
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.tasks_retried, 20);
    each.priority = 1;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), -EINVAL);
    each.priority = 0;
    each.done = never_called;
    libpool *driven = open_pool(LIBPOOL_NO_THREAD, 1);
    CU_ASSERT_EQUAL(libpool_map(driven, &batch, &report), -EINVAL); /* who would dispatch? */
    libpool_close(driven);
    each.size = 1u << 20;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), -E2BIG);
    libpool_close(pool);
    (void)munmap(runs, bytes);
    free(numbers);
    free(log);
}

TEST(map, errors_and_crashes_are_the_elements_own)
{
    libpool *pool = open_pool(0, 2);
    uint32_t *numbers = count_up(100);
    struct log *log = new_log();
    libpool_batch batch = batch_of(fail_some, numbers, 100, log);
    libpool_batch_report report = {.size = sizeof report};
    batch.flags = LIBPOOL_IN_ORDER;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), 0);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_COMPLETED], 80);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_ERROR], 10);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_KILLED], 10);
    CU_ASSERT_EQUAL(report.failed, 20);
    CU_ASSERT_EQUAL(log->causes[53], LIBPOOL_ERROR);
    CU_ASSERT_EQUAL(log->causes[57], LIBPOOL_KILLED);
    libpool_close(pool);
    free(numbers);
    free(log);
}

/* ---- halting -------------------------------------------------------------------------------- */

/* Who is in the pool is cancelled; what was not taken never was. */
TEST(map, it_halts_at_the_first_failure_and_kills_what_runs_if_told)
{
    libpool *pool = open_pool(0, 3);
    uint32_t *numbers = count_up(1000);
    struct log *log = new_log();
    libpool_batch batch = batch_of(fail_third, numbers, 1000, log);
    libpool_batch_report report = {.size = sizeof report};
    batch.halt_failures = 1;
    batch.in_flight = 50;
    batch.flags = LIBPOOL_HALT_NOW;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), LIBPOOL_HALTED);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_ERROR], 1);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_CANCELLED], report.elements - 1);
    CU_ASSERT(report.elements <= 50);
    CU_ASSERT_EQUAL(log->n, report.elements);
    CU_ASSERT_EQUAL(log->wrong, 0);
    CU_ASSERT_EQUAL(tasks_left(pool), 0);
    libpool_close(pool);
    free(numbers);
    free(log);
}

static int fail_first_nap_others(libpool_worker *worker, const void *input, size_t size)
{
    if (*(const uint32_t *)input == 1)
        return poll(NULL, 0, 100) + 1;
    (void)poll(NULL, 0, 300);
    return twice(worker, input, size);
}

TEST(map, it_lets_finish_what_runs_unless_told)
{
    libpool *pool = open_pool(0, 2);
    uint32_t *numbers = count_up(100);
    struct log *log = new_log();
    libpool_batch batch = batch_of(fail_first_nap_others, numbers, 100, log);
    libpool_batch_report report = {.size = sizeof report};
    batch.halt_failures = 1;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), LIBPOOL_HALTED);
    CU_ASSERT_EQUAL(log->causes[0], LIBPOOL_COMPLETED); /* it ran when the other failed */
    CU_ASSERT_EQUAL(log->causes[1], LIBPOOL_ERROR);
    CU_ASSERT(report.ended[LIBPOOL_COMPLETED] <= 2); /* the one who failed may get one more */
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_CANCELLED],
                    report.elements - 1 - report.ended[LIBPOOL_COMPLETED]);
    CU_ASSERT_EQUAL(log->n, report.elements);
    libpool_close(pool);
    free(numbers);
    free(log);
}

TEST(map, it_halts_at_so_many_failures)
{
    libpool *pool = open_pool(0, 1);
    uint32_t *numbers = count_up(1000);
    libpool_batch batch = batch_of(fail_all, numbers, 1000, NULL);
    libpool_batch_report report = {.size = sizeof report};
    batch.result = NULL;
    batch.halt_failures = 5;
    batch.in_flight = 1;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), LIBPOOL_HALTED);
    CU_ASSERT_EQUAL(report.failed, 5);
    CU_ASSERT_EQUAL(report.elements, 5);
    libpool_close(pool);
    free(numbers);
}

TEST(map, it_halts_at_a_share_of_failures_but_not_of_too_few_results)
{
    libpool *pool = open_pool(0, 1);
    uint32_t *numbers = count_up(1000);
    libpool_batch batch = batch_of(fail_some, numbers, 1000, NULL);
    libpool_batch_report report = {.size = sizeof report};
    batch.result = NULL;
    batch.in_flight = 1;
    batch.halt_percent = 25;
    batch.halt_sample = 30;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), 0); /* 2 of 10 fail, but 2 of the first 8 */
    CU_ASSERT_EQUAL(report.elements, 1000);
    batch.halt_percent = 20;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), LIBPOOL_HALTED);
    CU_ASSERT_EQUAL(report.elements, 30);
    CU_ASSERT_EQUAL(report.failed, 6);
    batch.halt_sample = 1;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), LIBPOOL_HALTED);
    CU_ASSERT_EQUAL(report.elements, 4);
    libpool_close(pool);
    free(numbers);
}

TEST(map, the_callback_halts_it)
{
    libpool *pool = open_pool(0, 2);
    uint32_t *numbers = count_up(1000);
    struct log *log = new_log();
    libpool_batch batch = batch_of(twice, numbers, 1000, log);
    libpool_batch_report report = {.size = sizeof report};
    log->halt_at = 100;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), LIBPOOL_HALTED);
    CU_ASSERT(report.elements >= 100 && report.elements < 200);
    CU_ASSERT_EQUAL(log->n, report.elements);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_COMPLETED] + report.ended[LIBPOOL_CANCELLED],
                    report.elements);
    libpool_close(pool);
    free(numbers);
    free(log);
}

TEST(map, a_batch_has_its_own_deadline)
{
    libpool *pool = open_pool(0, 2);
    uint32_t *numbers = count_up(5000);
    struct log *log = new_log();
    libpool_batch batch = batch_of(fail_third, numbers + 3, 500, log);
    libpool_batch_report report = {.size = sizeof report};
    batch.timeout_ms = 100;
    batch.flags = LIBPOOL_IN_ORDER;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), -ETIMEDOUT);
    CU_ASSERT_EQUAL(report.elements, 64);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_CANCELLED], 64);
    CU_ASSERT_EQUAL(log->n, 64);
    CU_ASSERT(is_in_order(log));
    CU_ASSERT_EQUAL(tasks_left(pool), 0);
    libpool_close(pool);
    free(numbers);
    free(log);
}

/* Few of the first chunk find room; the others were taken from the input, and are told of, too. */
TEST(map, what_was_taken_and_found_no_room_has_a_result)
{
    libpool *pool = NULL;
    uint32_t *numbers = count_up(500);
    struct log *log = new_log();
    libpool_options options = {
        .size = sizeof options, .min_workers = 1, .max_workers = 1, .backlog_tasks = 2};
    libpool_batch batch = batch_of(fail_third, numbers + 3, 400, log);
    libpool_batch_report report = {.size = sizeof report};
    batch.timeout_ms = 100;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, &report), -ETIMEDOUT);
    CU_ASSERT_EQUAL(report.elements, 16);
    CU_ASSERT_EQUAL(report.ended[LIBPOOL_CANCELLED], 16);
    CU_ASSERT_EQUAL(log->n, 16);
    CU_ASSERT(log->never_submitted > 0);
    libpool_close(pool);
    free(numbers);
    free(log);
}

TEST(map, a_source_that_fails_ends_it)
{
    libpool *pool = open_pool(0, 2);
    struct log *log = new_log();
    struct source source = {.end = 10, .error = -EIO};
    libpool_batch batch = {.size = sizeof batch,
                           .function = twice,
                           .next = yield_number,
                           .next_arg = &source,
                           .result = note,
                           .result_arg = log};
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), -EIO);
    CU_ASSERT_EQUAL(log->n, 10);
    libpool_close(pool);
    free(log);
}

TEST(map, a_pool_that_is_shut_down_takes_none)
{
    libpool *pool = open_pool(0, 1);
    uint32_t *numbers = count_up(10);
    struct log *log = new_log();
    libpool_batch batch = batch_of(twice, numbers, 10, log);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, -1), 0);
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), -ESHUTDOWN);
    CU_ASSERT_EQUAL(log->n, 10);
    CU_ASSERT_EQUAL(log->never_submitted, 10);
    libpool_close(pool);
    free(numbers);
    free(log);
}

static int map_inside(void *arg, uint64_t element, const libpool_result *result)
{
    libpool *pool = arg;
    uint32_t numbers[] = {0, 1, 2};
    struct log *log = new_log();
    libpool_batch batch = batch_of(twice, numbers, 3, log);
    (void)element, (void)result;
    int error = libpool_map(pool, &batch, NULL);
    bool good = error == 0 && log->n == 3;
    free(log);
    return !good;
}

TEST(map, a_callback_may_use_the_pool)
{
    libpool *pool = open_pool(0, 1);
    uint32_t *numbers = count_up(20);
    libpool_batch batch = batch_of(twice, numbers, 20, NULL);
    batch.result = map_inside;
    batch.result_arg = pool;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), 0);
    libpool_close(pool);
    free(numbers);
}

static int copy_at_third(void *arg, uint64_t element, const libpool_result *result)
{
    pid_t *copy = arg;
    (void)result;
    if (element == 2)
        *copy = fork();
    return 0;
}

static int map_in_two(void *unused)
{
    (void)unused;
    libpool *pool = open_pool(0, 1);
    pid_t copy = -1;
    int status = -1;
    uint32_t *numbers = count_up(1000);
    libpool_batch batch = batch_of(twice, numbers, 1000, NULL);
    batch.result = copy_at_third;
    batch.result_arg = &copy;
    int error = libpool_map(pool, &batch, NULL);
    if (copy == 0)
        _exit(error == -ECHILD ? 0 : 1);
    if (waitpid(copy, &status, 0) != copy)
        return 2;
    libpool_close(pool);
    free(numbers);
    return error ? 3 : status;
}

TEST(map, a_copy_of_the_process_that_a_callback_made_gets_out)
{
    CU_ASSERT_EQUAL(hn_test_child(map_in_two, NULL, 10000), TEST_EXIT(0));
}

TEST(map, what_is_no_batch_is_refused)
{
    libpool *pool = open_pool(0, 1);
    uint32_t number = 0;
    libpool_batch good = batch_of(twice, &number, 1, NULL), batch;
    libpool_batch_report report = {.size = 1};
    good.result = NULL;
    CU_ASSERT_EQUAL(libpool_map(NULL, &good, NULL), -EINVAL);
    CU_ASSERT_EQUAL(libpool_map(pool, NULL, NULL), -EINVAL);
    CU_ASSERT_EQUAL(libpool_map(pool, &good, &report), -EINVAL);
    batch = good, batch.function = NULL;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), -EINVAL);
    batch = good, batch.flags = LIBPOOL_NO_CGROUP;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), -EINVAL);
    batch = good, batch.inputs = NULL;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), -EINVAL);
    batch = good, batch.next = yield_number;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), -EINVAL);
    batch = good, batch.halt_percent = 101;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), -EINVAL);
    batch = good, batch.priority = LIBPOOL_PRIORITIES;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), -EINVAL);
    batch = good, batch.in_flight = UINT32_MAX;
    CU_ASSERT_EQUAL(libpool_map(pool, &batch, NULL), -EINVAL);
    CU_ASSERT_EQUAL(libpool_map(pool, &good, NULL), 0);
    libpool_close(pool);
}
