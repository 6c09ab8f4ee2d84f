/* SPDX-License-Identifier: MIT */
/* The texts are read here by the letter of their formats: what a lax reader forgives is an error. */
#include <libpool.h>

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"

#define TEXT_BYTES 32768

static int sleep_ms(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    (void)poll(NULL, 0, *(const int *)input);
    return 0;
}

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    while (poll(NULL, 0, 1000) == 0)
        continue;
    return 0;
}

static libpool *open_named(const char *name)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .max_workers = 1, .name = name, .event_buffer = 64};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static void run(libpool *pool, int ms, uint32_t timeout_ms)
{
    libpool_task task = {.size = sizeof task,
                         .function = timeout_ms ? hang : sleep_ms,
                         .input = &ms,
                         .input_size = sizeof ms,
                         .run_timeout_ms = timeout_ms};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, NULL), 0);
}

static libpool_histogram read_times(libpool *pool, libpool_histogram_kind kind)
{
    libpool_histogram histogram = {.size = sizeof histogram};
    CU_ASSERT_EQUAL(libpool_histogram_read(pool, kind, &histogram), 0);
    CU_ASSERT_EQUAL(histogram.size, sizeof histogram);
    return histogram;
}

/* Two tasks of 20 ms one after the other, and one that is killed after 50. */
TEST(numbers, histograms_tell_what_was_done)
{
    libpool *pool = open_named("times");
    run(pool, 20, 0);
    run(pool, 20, 0);
    run(pool, 0, 50);
    CU_ASSERT_EQUAL(libpool_drain(pool, 20000), 0);
    libpool_histogram wait = read_times(pool, LIBPOOL_HISTOGRAM_WAIT);
    libpool_histogram times = read_times(pool, LIBPOOL_HISTOGRAM_RUN);
    CU_ASSERT_EQUAL(times.count, 3);
    CU_ASSERT_EQUAL(wait.count, 3);
    CU_ASSERT(libpool_histogram_quantile(&times, 0.5) >= 20000000);
    CU_ASSERT(libpool_histogram_quantile(&times, 0) < 50000000); /* of those that slept */
    CU_ASSERT(libpool_histogram_quantile(&times, 1) >= 50000000);
    CU_ASSERT(times.sum_ns >= 90000000);
    CU_ASSERT(libpool_histogram_quantile(&wait, 1) >= 40000000); /* behind two */
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, 20000), 0);
    CU_ASSERT_EQUAL(read_times(pool, LIBPOOL_HISTOGRAM_SPAWN).count, 1);
    CU_ASSERT_EQUAL(read_times(pool, LIBPOOL_HISTOGRAM_KILL).count, 1);
    CU_ASSERT(read_times(pool, LIBPOOL_HISTOGRAM_KILL).max_ns > 0);
    CU_ASSERT_EQUAL(libpool_histogram_read(pool, LIBPOOL_HISTOGRAMS, &wait), -EINVAL);
    CU_ASSERT_EQUAL(libpool_histogram_read(pool, LIBPOOL_HISTOGRAM_RUN, NULL), -EINVAL);
    libpool_close(pool);
}

TEST(numbers, drain_waits_until_nothing_is_left_and_the_pool_goes_on)
{
    libpool *pool = open_named("drain");
    libpool_event event = {.size = sizeof event};
    CU_ASSERT_EQUAL(libpool_drain(pool, 0), 0);
    run(pool, 100, 0);
    run(pool, 1, 0);
    CU_ASSERT_EQUAL(libpool_drain(pool, 10), -ETIMEDOUT);
    CU_ASSERT_EQUAL(libpool_drain(pool, -1), 0);
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.tasks_ended[LIBPOOL_COMPLETED], 2);
    int ended = 0;
    while (libpool_event_next(pool, &event, 20000) == 0 && event.kind != LIBPOOL_EVENT_DRAINED)
        ended += event.kind == LIBPOOL_EVENT_TASK_ENDED;
    CU_ASSERT_EQUAL(ended, 2);
    run(pool, 1, 0);
    CU_ASSERT_EQUAL(libpool_drain(pool, 20000), 0);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, 20000), 0);
    CU_ASSERT_EQUAL(libpool_drain(pool, 0), 0);
    libpool_close(pool);
}

TEST(numbers, drain_drives_a_pool_without_a_thread)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .flags = LIBPOOL_NO_THREAD, .max_workers = 1};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    run(pool, 5, 0);
    CU_ASSERT_EQUAL(libpool_drain(pool, 20000), 0);
    libpool_close(pool);
}

/* ---- what a task has used ------------------------------------------------------------------- */

static uint64_t cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int burn(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    uint64_t end_ns = cpu_ns() + (uint64_t) * (const int *)input * 1000;
    while (cpu_ns() < end_ns)
        continue;
    return 0;
}

static int burn_in_child(libpool_worker *worker, const void *input, size_t size)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(burn(worker, input, size));
    return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : 1;
}

static libpool_result result_of(libpool *pool, libpool_task_function *function, int input)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .function = function,
                         .input = &input,
                         .input_size = sizeof input,
                         .run_timeout_ms = 5000};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, 20000), 0);
    libpool_result result = *libpool_future_result(future);
    libpool_future_free(future);
    CU_ASSERT_EQUAL(result.cause, LIBPOOL_COMPLETED);
    return result;
}

TEST(numbers, a_result_says_what_its_task_has_used)
{
    libpool *pool = open_named("usage");
    libpool_result result = result_of(pool, burn, 50000);
    CU_ASSERT(result.user_ns + result.system_ns >= 48000000);
    CU_ASSERT(result.user_ns + result.system_ns <= 60000000);
    CU_ASSERT(result.max_rss_bytes > 100000);
    result = result_of(pool, sleep_ms, 30);
    CU_ASSERT(result.user_ns + result.system_ns <= 5000000);
    CU_ASSERT(result.max_rss_bytes > 100000);
    result = result_of(pool, burn_in_child, 50000);
    CU_ASSERT(result.user_ns + result.system_ns >= 48000000);
    result = result_of(pool, burn, 0);
    CU_ASSERT(result.running_ns >= 1000000 || result.user_ns + result.max_rss_bytes == 0);
    libpool_close(pool);
}

TEST(numbers, short_tasks_before_are_not_on_the_bill)
{
    libpool *pool = open_named("short");
    for (int i = 0; i < 100; i++)
        (void)result_of(pool, burn, 500);
    libpool_result result = result_of(pool, sleep_ms, 20);
    CU_ASSERT(result.user_ns + result.system_ns <= 8000000);
    libpool_close(pool);
}

struct spent {
    int burn_us;
    bool crash; /* else it waits to be killed */
};

static int burn_and_die(libpool_worker *worker, const void *input, size_t size)
{
    const struct spent *spent = input;
    (void)burn(worker, &spent->burn_us, size);
    if (spent->crash)
        abort();
    (void)libpool_worker_progress(worker, 1, 1, NULL);
    for (;;)
        (void)pause();
    return 0;
}

static bool has_progress(libpool_future *future)
{
    libpool_progress progress = {.size = sizeof progress};
    for (int i = 0; i < 20000 && libpool_future_progress(future, &progress) != 0; i++)
        (void)poll(NULL, 0, 1);
    return progress.done == 1;
}

/* Ends by its own doing, or is cancelled when it has burned as much. */
static libpool_result result_of_death(libpool *pool, int burn_us, bool crash)
{
    libpool_future *future = NULL;
    struct spent spent = {burn_us, crash};
    libpool_task task = {
        .size = sizeof task, .function = burn_and_die, .input = &spent, .input_size = sizeof spent};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    if (!crash && has_progress(future))
        CU_ASSERT_EQUAL(libpool_future_cancel(future), LIBPOOL_CANCEL_KILLED);
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, 20000), 0);
    libpool_result result = *libpool_future_result(future);
    libpool_future_free(future);
    CU_ASSERT_EQUAL(result.cause, crash ? LIBPOOL_CRASH : LIBPOOL_CANCELLED);
    return result;
}

/* What the task before has used on the same worker is its own. */
TEST(numbers, a_task_that_crashes_has_used_something_too)
{
    libpool *pool = open_named("crash");
    (void)result_of(pool, burn, 50000);
    libpool_result result = result_of_death(pool, 50000, true);
    CU_ASSERT(result.user_ns + result.system_ns >= 48000000);
    CU_ASSERT(result.user_ns + result.system_ns <= 80000000);
    CU_ASSERT(result.max_rss_bytes > 100000);
    libpool_close(pool);
}

TEST(numbers, a_task_that_is_killed_has_used_something_too)
{
    libpool *pool = open_named("killed");
    (void)result_of(pool, burn, 50000);
    libpool_result result = result_of_death(pool, 50000, false);
    CU_ASSERT(result.user_ns + result.system_ns >= 30000000); /* each is told to 10 ms */
    CU_ASSERT(result.user_ns + result.system_ns <= 90000000);
    CU_ASSERT(result.max_rss_bytes > 100000);
    libpool_close(pool);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static bool skip_value(const char **at);

static bool take(const char **at, char letter)
{
    if (**at != letter)
        return false;
    ++*at;
    return true;
}

static bool skip_string(const char **at)
{
    if (!take(at, '"'))
        return false;
    for (; **at != '"'; ++*at) {
        if ((unsigned char)**at < ' ')
            return false;
        if (**at == '\\' && (++*at, !**at || !strchr("\"\\/bfnrt", **at)))
            return false;
    }
    return take(at, '"');
}

static bool skip_number(const char **at)
{
    take(at, '-');
    if (!isdigit((unsigned char)**at) || (**at == '0' && isdigit((unsigned char)(*at)[1])))
        return false;
    while (isdigit((unsigned char)**at))
        ++*at;
    return true;
}

static bool skip_object(const char **at)
{
    if (take(at, '}'))
        return true;
    do
        if (!skip_string(at) || !take(at, ':') || !skip_value(at))
            return false;
    while (take(at, ','));
    return take(at, '}');
}

static bool skip_value(const char **at)
{
    if (take(at, '{'))
        return skip_object(at);
    return **at == '"' ? skip_string(at) : skip_number(at);
}

static bool is_json(const char *text)
{
    return *text == '{' && skip_value(&text) && strcmp(text, "\n") == 0;
}

/* Of the first key of that name. */
static int64_t number_of(const char *text, const char *key)
{
    char quoted[64];
    (void)snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(text, quoted);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    return strtoll(at + strlen(quoted), NULL, 10);
}

static const char *const fields[] = {
    "tasks_received",
    "tasks_launched",
    "tasks_pending",
    "tasks_running",
    "tasks_failed",
    "tasks_rejected",
    "tasks_returned",
    "tasks_asked",
    "tasks_retried",
    "kinds_held",
    "admission_pauses",
    "admission_paused",
    "worker_processes_created",
    "worker_processes_still_alive",
    "worker_processes_idle",
    "worker_processes_busy",
    "worker_processes_outdated",
    "max_workers_busy_concurrently",
    "workers_outgrown",
    "spawns_failed",
    "initializers_failed",
    "finalizers_started",
    "finalizers_ok",
    "finalizers_failed",
    "zygotes_started",
    "zygotes_lost",
    "backlog_bytes",
    "degraded",
    "degraded_error",
    "containment",
    "oom_evidence",
    "memory_enforcement",
    "generation",
    "workers_waiting",
};
#define FIELDS (sizeof fields / sizeof fields[0])

/* Whoever appends to the struct appends to the text, and here. */
_Static_assert(sizeof(libpool_stats) == 8 * (33 + 2 * LIBPOOL_CAUSES_MAX), "all fields are here");

TEST(numbers, a_text_says_how_things_are_done_as_the_struct_does)
{
    static char text[TEXT_BYTES];
    libpool *pool = NULL;
    libpool_stats stats = {.size = sizeof stats};
    libpool_options options = {.size = sizeof options, .memory_limit_bytes = UINT64_C(64) << 20};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(libpool_stats_read(pool, &stats), 0);
    CU_ASSERT(libpool_stats_text(pool, LIBPOOL_FORMAT_JSON, text, sizeof text) > 0);
    CU_ASSERT_NOT_EQUAL(stats.memory_enforcement, LIBPOOL_MEMORY_NONE);
    CU_ASSERT_EQUAL(number_of(text, "memory_enforcement"), stats.memory_enforcement);
    CU_ASSERT_EQUAL(number_of(text, "containment"), stats.containment);
    CU_ASSERT_EQUAL(number_of(text, "oom_evidence"), stats.oom_evidence);
    libpool_close(pool);
}

TEST(numbers, json_is_json_and_has_all_numbers)
{
    static char text[TEXT_BYTES], cut[100];
    libpool *pool = open_named("a \"b\\\n");
    run(pool, 1, 0);
    run(pool, 0, 20);
    CU_ASSERT_EQUAL(libpool_shutdown(pool, LIBPOOL_WAIT, -1),
                    0); /* then nothing changes any more */
    int64_t size = libpool_stats_text(pool, LIBPOOL_FORMAT_JSON, text, sizeof text);
    CU_ASSERT_FATAL(size > 0 && size < TEXT_BYTES);
    CU_ASSERT_EQUAL(strlen(text), (size_t)size);
    CU_ASSERT_TRUE(is_json(text));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"pool\":\"a \\\"b\\\\\""));
    for (size_t i = 0; i < FIELDS; i++)
        (void)number_of(text, fields[i]);
    CU_ASSERT_EQUAL(number_of(text, "tasks_received"), 2);
    CU_ASSERT_EQUAL(number_of(text, "completed"), 1);
    CU_ASSERT_EQUAL(number_of(text, "timeout"), 1);
    CU_ASSERT_EQUAL(number_of(text, "generation"), 1);
    CU_ASSERT_EQUAL(number_of(strstr(text, "\"run\""), "count"), 2);
    CU_ASSERT(number_of(strstr(text, "\"run\""), "p99_ns") >= 20000000);
    CU_ASSERT_EQUAL(libpool_stats_text(pool, LIBPOOL_FORMAT_JSON, NULL, 0), size);
    CU_ASSERT_EQUAL(libpool_stats_text(pool, LIBPOOL_FORMAT_JSON, cut, sizeof cut), size);
    CU_ASSERT_EQUAL(strlen(cut), sizeof cut - 1);
    CU_ASSERT_EQUAL(strncmp(cut, text, sizeof cut - 1), 0);
    CU_ASSERT_EQUAL(libpool_stats_text(pool, (libpool_format)2, cut, sizeof cut), -EINVAL);
    CU_ASSERT_EQUAL(libpool_stats_text(pool, LIBPOOL_FORMAT_JSON, NULL, 1), -EINVAL);
    libpool_close(pool);
}

/* ---- Prometheus ------------------------------------------------------------------------------- */

/* What the lines before have said of the metric that they are about. */
struct metric {
    char name[96], type[16];
    double le, count; /* of the bucket before */
    int samples;
};

static size_t name_length(const char *at)
{
    size_t length = 0;
    while (isalnum((unsigned char)at[length]) || at[length] == '_')
        length++;
    return isdigit((unsigned char)*at) ? 0 : length;
}

static bool read_head(struct metric *metric, const char *line)
{
    bool help = strncmp(line, "# HELP ", 7) == 0;
    size_t length = name_length(line + 7);
    if ((!help && strncmp(line, "# TYPE ", 7) != 0) || !length || length > 90)
        return false;
    const char *rest = line + 7 + length + 1;
    if (help) {
        *metric = (struct metric){.le = -1};
        memcpy(metric->name, line + 7, length);
        return line[7 + length] == ' ' && *rest;
    }
    strncat(metric->type, rest, sizeof metric->type - 1);
    bool counter = length > 6 && strncmp(line + 7 + length - 6, "_total", 6) == 0;
    return metric->samples == 0 && strlen(metric->name) == length &&
           strncmp(metric->name, line + 7, length) == 0 &&
           counter == (strcmp(metric->type, "counter") == 0);
}

/* {pool="...",le="..."}: the value of the second label goes to *second. */
static bool read_labels(const char **at, const char *pool, char second[64])
{
    second[0] = 0;
    if (strncmp(*at, "{pool=\"", 7) != 0 || strncmp(*at + 7, pool, strlen(pool)) != 0)
        return false;
    *at += 7 + strlen(pool);
    if (strncmp(*at, "\"}", 2) == 0)
        return *at += 2, true;
    if (strncmp(*at, "\",", 2) != 0)
        return false;
    *at += 2;
    size_t length = name_length(*at);
    if (!length || strncmp(*at + length, "=\"", 2) != 0)
        return false;
    *at += length + 2;
    const char *end = strchr(*at, '"');
    if (!end || end - *at > 60 || end[1] != '}')
        return false;
    strncat(second, *at, (size_t)(end - *at));
    *at = end + 2;
    return true;
}

static bool read_histogram(struct metric *metric, const char *end, const char *le, double value)
{
    if (strcmp(end, "_bucket") == 0) {
        double bound = strtod(le, NULL); /* +Inf, too */
        bool rises = bound > metric->le && value >= metric->count;
        metric->le = bound;
        metric->count = value;
        return rises;
    }
    if (strcmp(end, "_count") == 0)
        return value == metric->count && metric->le > 1e300;
    return strcmp(end, "_sum") == 0;
}

static bool read_sample(struct metric *metric, const char *line, const char *pool, double *value)
{
    char end[16] = "", second[64], *rest;
    size_t length = name_length(line), base = strlen(metric->name);
    const char *at = line + length;
    if (length < base || length - base > 10 || strncmp(line, metric->name, base) != 0)
        return false;
    strncat(end, line + base, length - base);
    if (!read_labels(&at, pool, second) || !take(&at, ' '))
        return false;
    *value = strtod(at, &rest);
    metric->samples++;
    if (rest == at || *rest)
        return false;
    return strcmp(metric->type, "histogram") == 0
               ? read_histogram(metric, end, second, *value)
               : !end[0] && (*value >= 0 || strcmp(metric->type, "gauge") == 0);
}

/* Each line by the format; *value: of the last sample of the series that `wanted` begins with. */
static bool is_exposition(char *text, const char *pool, const char *wanted, double *value)
{
    struct metric metric = {.le = -1};
    *value = -1;
    for (char *line = text, *end; *line; line = end + 1) {
        double sample = 0;
        end = strchr(line, '\n');
        if (!end)
            return false;
        *end = 0;
        bool fine = *line == '#' ? read_head(&metric, line)
                                 : read_sample(&metric, line, pool, &sample);
        if (*line != '#' && strncmp(line, wanted, strlen(wanted)) == 0)
            *value = sample;
        *end = '\n';
        if (!fine)
            return false;
    }
    return true;
}

TEST(numbers, prometheus_can_read_it_line_by_line)
{
    static const struct {
        const char *series;
        double value;
    } wanted[] = {
        {"libpool_tasks_received_total{", 2},
        {"libpool_tasks_ended_total{pool=\"metrics\",cause=\"timeout\"}", 1},
        {"libpool_task_run_seconds_count{", 2},
        {"libpool_task_run_seconds_bucket{pool=\"metrics\",le=\"0.016777215\"}", 1},
        {"libpool_tasks_pending{", 0},
    };
    static char text[TEXT_BYTES];
    libpool *pool = open_named("metrics");
    double value;
    run(pool, 1, 0);
    run(pool, 0, 20);
    CU_ASSERT_EQUAL(libpool_drain(pool, 20000), 0);
    int64_t size = libpool_stats_text(pool, LIBPOOL_FORMAT_PROMETHEUS, text, sizeof text);
    CU_ASSERT_FATAL(size > 0 && size < TEXT_BYTES);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        CU_ASSERT_TRUE(is_exposition(text, "metrics", wanted[i].series, &value));
        CU_ASSERT_EQUAL(value, wanted[i].value);
    }
    CU_ASSERT_TRUE(is_exposition(text, "metrics", "libpool_task_run_seconds_sum{", &value));
    CU_ASSERT(value >= 0.021 && value < 20);
    libpool_close(pool);
}
