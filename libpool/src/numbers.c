/* SPDX-License-Identifier: MIT */
/* numbers: what is told of the pool's times, and all its numbers as text. */
#include <libpool.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/text.h"
#include "core/histogram.h"
#include "door.h"
#include "supervisor.h"

#define LE_FIRST_NS 1000u              /* buckets in text... */
#define LE_LAST_NS (UINT64_C(1) << 37) /* ...from the first power of two above to the last below */

int libpool_histogram_read(libpool *pool, libpool_histogram_kind kind, libpool_histogram *histogram)
{
    int error = lp_door_check(pool);
    if (!error && (!histogram || (unsigned)kind >= LIBPOOL_HISTOGRAMS))
        error = -EINVAL;
    if (!error)
        error = lp_door_check_size(histogram->size);
    if (error)
        return error;
    libpool_histogram ours;
    pthread_mutex_lock(&pool->lock);
    ours = pool->core.histograms[kind];
    pthread_mutex_unlock(&pool->lock);
    ours.size = histogram->size;
    lp_door_give(histogram, ours.size, &ours, sizeof ours);
    return 0;
}

uint64_t libpool_histogram_bound(uint32_t bucket)
{
    return bucket < LIBPOOL_HISTOGRAM_BUCKETS ? lp_histogram_bound(bucket) : UINT64_MAX;
}

uint64_t libpool_histogram_quantile(const libpool_histogram *histogram, double share)
{
    uint64_t seen = 0;
    double rank = share * (double)histogram->count;
    for (uint32_t i = 0; i < LIBPOOL_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen && (double)seen >= rank)
            return lp_histogram_bound(i) < histogram->max_ns ? lp_histogram_bound(i)
                                                             : histogram->max_ns;
    }
    return histogram->max_ns;
}

/* ---- text ----------------------------------------------------------------------------------- */

/* Counts what it is given, whether or not there is room. */
struct sink {
    struct lp_text text;
    size_t size;
    const char *pool;
};

static void put(struct sink *sink, const char *words)
{
    sink->size += strlen(words);
    lp_text_add(&sink->text, words);
}

static void put_number(struct sink *sink, int64_t number)
{
    char digits[24];
    struct lp_text text = lp_text_begin(digits, sizeof digits);
    lp_text_add_number(&text, number);
    put(sink, digits);
}

static void put_seconds(struct sink *sink, uint64_t ns)
{
    char digits[] = ".000000000";
    uint64_t rest = ns % 1000000000;
    for (size_t i = sizeof digits - 2; i > 0; i--, rest /= 10)
        digits[i] = (char)('0' + rest % 10);
    put_number(sink, (int64_t)(ns / 1000000000));
    put(sink, digits);
}

/* In quotes, as both formats have it; control characters are left out. */
static void put_quoted(struct sink *sink, const char *words)
{
    put(sink, "\"");
    for (; *words; words++) {
        char letter[2] = {*words};
        if (*words == '"' || *words == '\\')
            put(sink, "\\");
        if ((unsigned char)*words >= ' ')
            put(sink, letter);
    }
    put(sink, "\"");
}

/* What is told of libpool_stats: one row a number, in the order in which it is written. */
enum row_kind {
    ROW_COUNTER,
    ROW_GAUGE,
    ROW_GAUGE_32,
    ROW_GAUGE_INT,
    ROW_CAUSES /* counters by cause */
};
struct row {
    const char *name, *help;
    size_t offset;
    enum row_kind kind;
};
#define ROW(kind_, field, help_)                                                                   \
    {                                                                                              \
        .name = #field, .help = (help_), .offset = offsetof(libpool_stats, field), .kind = (kind_) \
    }
static const struct row rows[] = {
    ROW(ROW_COUNTER, tasks_received, "Tasks that were accepted."),
    ROW(ROW_COUNTER, tasks_launched, "Tasks that were handed to a worker at least once."),
    ROW(ROW_GAUGE, tasks_pending, "Tasks in the backlog."),
    ROW(ROW_GAUGE, tasks_running, "Tasks with a worker."),
    ROW(ROW_COUNTER, tasks_failed,
        "Tasks that ended neither completed, cancelled nor by shutdown."),
    ROW(ROW_COUNTER, tasks_rejected, "Tasks that were refused."),
    ROW(ROW_COUNTER, tasks_returned, "Tasks put back because their worker died before the start."),
    ROW(ROW_COUNTER, tasks_asked, "Tasks that were asked to end, before a kill."),
    ROW(ROW_COUNTER, tasks_retried, "Runs that failed and were followed by another."),
    ROW(ROW_COUNTER, kinds_held, "Times that a kind of tasks was put into quarantine."),
    ROW(ROW_COUNTER, admission_pauses, "Times that there was no memory left to start tasks."),
    ROW(ROW_GAUGE_32, admission_paused, "1 while tasks wait for memory."),
    ROW(ROW_CAUSES, tasks_ended, "Tasks that ended, by cause."),
    ROW(ROW_COUNTER, worker_processes_created, "Workers that were forked."),
    ROW(ROW_GAUGE, worker_processes_still_alive, "Workers that are alive."),
    ROW(ROW_GAUGE, worker_processes_idle, "Workers that wait for a task."),
    ROW(ROW_GAUGE, worker_processes_busy, "Workers that have a task."),
    ROW(ROW_GAUGE, workers_waiting, "Workers whose task waits for others."),
    ROW(ROW_GAUGE, worker_processes_outdated, "Workers of an older generation."),
    ROW(ROW_GAUGE, max_workers_busy_concurrently, "Most workers that were busy at once."),
    ROW(ROW_CAUSES, workers_ended, "Workers that ended, by cause."),
    ROW(ROW_COUNTER, workers_outgrown, "Workers told to leave for their memory."),
    ROW(ROW_COUNTER, spawns_failed, "Forks that the kernel refused."),
    ROW(ROW_COUNTER, initializers_failed, "Initializers that failed."),
    ROW(ROW_COUNTER, finalizers_started, "Finalizers that began."),
    ROW(ROW_COUNTER, finalizers_ok, "Finalizers that returned."),
    ROW(ROW_COUNTER, finalizers_failed, "Finalizers that died or overran."),
    ROW(ROW_COUNTER, zygotes_started, "Zygotes that came up."),
    ROW(ROW_COUNTER, zygotes_lost, "Zygotes that died."),
    ROW(ROW_GAUGE, backlog_bytes, "Input of the tasks in the backlog."),
    ROW(ROW_GAUGE_32, degraded, "1 while the pool can't reach the strength it wants."),
    ROW(ROW_GAUGE_INT, degraded_error, "The negated errno behind it."),
    ROW(ROW_GAUGE_32, containment, "How trees are killed: 0 walking /proc, 2 cgroup v2."),
    ROW(ROW_GAUGE_32, oom_evidence, "How OOM is proven: 0 not at all, 1 cgroup v1, 2 cgroup v2."),
    ROW(ROW_GAUGE_32, memory_enforcement,
        "How the memory limit is: 0 none, 1 sampled, 2 cgroup v1, 3 cgroup v2."),
    ROW(ROW_GAUGE, generation, "One more with each recycle."),
};
#define ROWS (sizeof rows / sizeof rows[0])

static int64_t value_of(const libpool_stats *stats, const struct row *row)
{
    const char *at = (const char *)stats + row->offset;
    if (row->kind == ROW_GAUGE_32)
        return *(const uint32_t *)(const void *)at;
    if (row->kind == ROW_GAUGE_INT)
        return *(const int32_t *)(const void *)at;
    return (int64_t) * (const uint64_t *)(const void *)at;
}

static uint64_t value_by_cause(const libpool_stats *stats, const struct row *row, int cause)
{
    return ((const uint64_t *)(const void *)((const char *)stats + row->offset))[cause];
}

static const struct {
    const char *name, *metric, *help;
} times[LIBPOOL_HISTOGRAMS] = {
    [LIBPOOL_HISTOGRAM_WAIT] = {"wait", "task_wait_seconds", "Submission to start of tasks."},
    [LIBPOOL_HISTOGRAM_RUN] = {"run", "task_run_seconds", "Start to end of tasks."},
    [LIBPOOL_HISTOGRAM_SPAWN] = {"spawn", "worker_spawn_seconds",
                                 "Request to readiness of workers."},
    [LIBPOOL_HISTOGRAM_KILL] = {"kill", "worker_kill_seconds",
                                "Kill of workers to the proof that their trees are gone."},
};

/* ---- JSON ----------------------------------------------------------------------------------- */

static void put_key(struct sink *sink, const char *key)
{
    put_quoted(sink, key);
    put(sink, ":");
}

static void put_json_row(struct sink *sink, const libpool_stats *stats, const struct row *row)
{
    put(sink, ",");
    put_key(sink, row->name);
    if (row->kind != ROW_CAUSES) {
        put_number(sink, value_of(stats, row));
        return;
    }
    for (int cause = LIBPOOL_PENDING + 1; cause < LIBPOOL_CAUSES; cause++) {
        put(sink, cause == LIBPOOL_PENDING + 1 ? "{" : ",");
        put_key(sink, libpool_cause_name((libpool_cause)cause));
        put_number(sink, (int64_t)value_by_cause(stats, row, cause));
    }
    put(sink, "}");
}

static void put_json_field(struct sink *sink, const char *key, uint64_t value)
{
    put_key(sink, key);
    put_number(sink, (int64_t)value);
    put(sink, ",");
}

static void put_json_times(struct sink *sink, const libpool_histogram *histogram)
{
    put(sink, "{");
    put_json_field(sink, "count", histogram->count);
    put_json_field(sink, "sum_ns", histogram->sum_ns);
    put_json_field(sink, "max_ns", histogram->max_ns);
    put_json_field(sink, "p50_ns", libpool_histogram_quantile(histogram, 0.5));
    put_json_field(sink, "p90_ns", libpool_histogram_quantile(histogram, 0.9));
    put_json_field(sink, "p99_ns", libpool_histogram_quantile(histogram, 0.99));
    put_key(sink, "p999_ns");
    put_number(sink, (int64_t)libpool_histogram_quantile(histogram, 0.999));
    put(sink, "}");
}

static void put_json(struct sink *sink, const libpool_stats *stats,
                     const libpool_histogram histograms[LIBPOOL_HISTOGRAMS])
{
    put(sink, "{");
    put_key(sink, "pool");
    put_quoted(sink, sink->pool);
    for (size_t i = 0; i < ROWS; i++)
        put_json_row(sink, stats, &rows[i]);
    put(sink, ",");
    put_key(sink, "histograms");
    for (int kind = 0; kind < LIBPOOL_HISTOGRAMS; kind++) {
        put(sink, kind == 0 ? "{" : ",");
        put_key(sink, times[kind].name);
        put_json_times(sink, &histograms[kind]);
    }
    put(sink, "}}\n");
}

/* ---- Prometheus ------------------------------------------------------------------------------- */

static void put_head(struct sink *sink, const char *name, const char *end, const char *help,
                     const char *type)
{
    put(sink, "# HELP libpool_");
    put(sink, name);
    put(sink, end);
    put(sink, " ");
    put(sink, help);
    put(sink, "\n# TYPE libpool_");
    put(sink, name);
    put(sink, end);
    put(sink, " ");
    put(sink, type);
    put(sink, "\n");
}

/* NAME{pool="...",LABEL="VALUE"} with a space behind it; label NULL: none. */
static void put_series(struct sink *sink, const char *name, const char *end, const char *label,
                       const char *value)
{
    put(sink, "libpool_");
    put(sink, name);
    put(sink, end);
    put(sink, "{pool=");
    put_quoted(sink, sink->pool);
    if (label) {
        put(sink, ",");
        put(sink, label);
        put(sink, "=");
        put_quoted(sink, value);
    }
    put(sink, "} ");
}

static void put_sample(struct sink *sink, const char *name, const char *end, int64_t value)
{
    put_series(sink, name, end, NULL, NULL);
    put_number(sink, value);
    put(sink, "\n");
}

static void put_metric(struct sink *sink, const libpool_stats *stats, const struct row *row)
{
    bool counts = row->kind == ROW_COUNTER || row->kind == ROW_CAUSES;
    const char *end = counts ? "_total" : "";
    put_head(sink, row->name, end, row->help, counts ? "counter" : "gauge");
    if (row->kind != ROW_CAUSES) {
        put_sample(sink, row->name, end, value_of(stats, row));
        return;
    }
    for (int cause = LIBPOOL_PENDING + 1; cause < LIBPOOL_CAUSES; cause++) {
        put_series(sink, row->name, end, "cause", libpool_cause_name((libpool_cause)cause));
        put_number(sink, (int64_t)value_by_cause(stats, row, cause));
        put(sink, "\n");
    }
}

/* A bucket up to `le`, whose label is that time in seconds. */
static void put_bucket(struct sink *sink, const char *name, uint64_t le_ns, uint64_t count)
{
    char digits[40];
    struct sink seconds = {.text = lp_text_begin(digits, sizeof digits)};
    put_seconds(&seconds, le_ns);
    put_series(sink, name, "_bucket", "le", digits);
    put_number(sink, (int64_t)count);
    put(sink, "\n");
}

/* One bucket for each power of two from a microsecond to a minute: the same ones at any time. */
static void put_times(struct sink *sink, const char *name, const char *help,
                      const libpool_histogram *histogram)
{
    uint64_t seen = 0;
    put_head(sink, name, "", help, "histogram");
    for (uint32_t i = 0; i < LIBPOOL_HISTOGRAM_BUCKETS; i++) {
        uint64_t bound_ns = lp_histogram_bound(i);
        seen += histogram->buckets[i];
        if (i % 8 == 7 && bound_ns >= LE_FIRST_NS && bound_ns <= LE_LAST_NS)
            put_bucket(sink, name, bound_ns, seen);
    }
    put_series(sink, name, "_bucket", "le", "+Inf");
    put_number(sink, (int64_t)histogram->count);
    put(sink, "\n");
    put_series(sink, name, "_sum", NULL, NULL);
    put_seconds(sink, histogram->sum_ns);
    put(sink, "\n");
    put_sample(sink, name, "_count", (int64_t)histogram->count);
}

static void put_prometheus(struct sink *sink, const libpool_stats *stats,
                           const libpool_histogram histograms[LIBPOOL_HISTOGRAMS])
{
    for (size_t i = 0; i < ROWS; i++)
        put_metric(sink, stats, &rows[i]);
    for (int kind = 0; kind < LIBPOOL_HISTOGRAMS; kind++)
        put_times(sink, times[kind].metric, times[kind].help, &histograms[kind]);
}

/* ---- the door ------------------------------------------------------------------------------- */

int64_t libpool_stats_text(libpool *pool, libpool_format format, char *buffer, size_t size)
{
    int error = lp_door_check(pool);
    if (!error && ((!buffer && size) || (unsigned)format > LIBPOOL_FORMAT_PROMETHEUS))
        error = -EINVAL;
    if (error)
        return error;
    char none[1];
    libpool_stats stats = {.size = sizeof stats};
    libpool_histogram histograms[LIBPOOL_HISTOGRAMS];
    pthread_mutex_lock(&pool->lock);
    lp_supervisor_stats(pool, &stats);
    memcpy(histograms, pool->core.histograms, sizeof histograms);
    pthread_mutex_unlock(&pool->lock);
    struct sink sink = {.text = size ? lp_text_begin(buffer, size) : lp_text_begin(none, 1),
                        .pool = pool->name};
    if (format == LIBPOOL_FORMAT_JSON)
        put_json(&sink, &stats, histograms);
    else
        put_prometheus(&sink, &stats, histograms);
    return (int64_t)sink.size;
}
