/* SPDX-License-Identifier: MIT */
/* What good files come out as, field by field; and that no file at all can harm the parser. */
#include "chaos/parse.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/test.h"

#define CRASH_TEXT                                                                      \
    "chaos 1\n"                                                                         \
    "scenario \"one worker is OOM-killed mid-task\"\n"                                  \
    "  needs  memcg                                # probe fails: skip\n"               \
    "  limit  20s                                  # watchdog\n"                        \
    "pool p workers=4 backlog=64\n"                                                     \
    "load\n"                                                                            \
    "  submit 100 task=spin work=1ms\n"                                                 \
    "  submit 1 task=hog bytes=96MiB as victim\n"                                       \
    "timeline\n"                                                                        \
    "  on task-start of=victim as w            : memcg worker=w limit=32MiB as cap\n"   \
    "  on worker-exited of=w within 2s         : expect cause=oom signal=KILL\n"        \
    "  on worker-ready slot=w.slot within 1s   : expect pid!=w.pid slot=w.slot\n"       \
    "  +5ms                                    : undo cap\n"                            \
    "expect\n"                                                                          \
    "  fired   memcg == 1\n"                                                            \
    "  kernel  oom_kill == 1\n"                                                         \
    "  counter tasks_received == 101\n"                                                 \
    "  counter tasks_failed == 1\n"                                                     \
    "  counter ended.oom == 1\n"                                                        \
    "  counter workers_ended.oom == 1\n"                                                \
    "  counter worker_processes_created in 5..6 because \"it may be replaced twice\"\n" \
    "  task victim cause=oom signal=KILL certainty=may-have-run\n"                      \
    "  recovery <= 2s\n"                                                                \
    "  invariant all\n"

#define FDS_TEXT                                                                      \
    "chaos 1\n"                                                                       \
    "scenario \"a full descriptor table does not stop a respawn\"\n"                  \
    "  limit 15s\n"                                                                   \
    "pool p min-workers=3 max-workers=5 backlog-bytes=1GiB backoff=50ms..400ms "      \
    "exclusive=yes cgroup=no trace=yes idle-timeout=250ms initializer=fail-3\n"       \
    "host sigchld=ignore thief=yes nofile=256\n"                                      \
    "load\n"                                                                          \
    "  submit 60 task=sleep work=5ms run-timeout=2s wait=0ms order=yes priority=7\n"  \
    "timeline\n"                                                                      \
    "  at 20ms                              : kill worker=busy signal=KILL as k\n"    \
    "  on worker-exited of=k                : fill-fds proc=host as full\n"           \
    "  on spawn-failed nth=2                : expect errno=EMFILE optional\n"         \
    "  every 20ms for 5s                    : kill worker=50% signal=TERM optional\n" \
    "  after load                           : undo full\n"                            \
    "  +1ms                                 : settle within 3s\n"                     \
    "  +1ms                                 : submit 2 task=fail code=3 as late\n"    \
    "  +1ms                                 : cancel late nth=2\n"                    \
    "expect\n"                                                                        \
    "  host alive\n"                                                                  \
    "  invariant all except I3 I6 because \"the machine is slow\"\n"

#define MATRIX_TEXT                                                             \
    "chaos 1\n"                                                                 \
    "scenario \"finalizer ends by $how; shutdown stays bounded\"\n"             \
    "matrix how = segv | abort | hang\n"                                        \
    "must-fail counter finalizers_failed\n"                                     \
    "pool p workers=2 finalizer=$how finalizer-timeout=300ms\n"                 \
    "load\n"                                                                    \
    "  submit 20 task=noop\n"                                                   \
    "timeline\n"                                                                \
    "  on task-end nth=20              : shutdown mode=wait deadline=2s as s\n" \
    "  on shutdown-done of=s within 2s : expect errno=none\n"                   \
    "expect\n"                                                                  \
    "  counter finalizers_started == 2\n"

/* One file, parsed; the arena goes with it. */
struct parsed {
    struct ch_arena *arena;
    struct ch_diagnostics diagnostics;
    const struct ch_file *file;
};

static struct parsed parse(const char *text)
{
    struct parsed parsed = {.arena = ch_arena_new()};
    parsed.file = ch_parse_text("a/x.chaos", text, strlen(text), parsed.arena, &parsed.diagnostics);
    if (parsed.file == NULL)
        ch_diagnostics_print(&parsed.diagnostics, stdout);
    CU_ASSERT_PTR_NOT_NULL(parsed.file);
    return parsed;
}

/* ---- Good files -------------------------------------------------------------------------- */

TEST(parse, load_and_expectations_of_an_oom_kill)
{
    struct parsed parsed = parse(CRASH_TEXT);
    const struct ch_scenario *scenario = &parsed.file->scenarios[0];
    CU_ASSERT_EQUAL(parsed.file->scenarios_count, 1);
    CU_ASSERT_STRING_EQUAL(scenario->title, "one worker is OOM-killed mid-task");
    CU_ASSERT_EQUAL(scenario->needs_count, 1);
    CU_ASSERT_EQUAL(scenario->needs[0].capability, CH_NEEDS_MEMCG);
    CU_ASSERT_EQUAL(scenario->limit_us, 20000000);
    CU_ASSERT_EQUAL(scenario->pool.min_workers, 4);
    CU_ASSERT_EQUAL(scenario->pool.max_workers, 4);
    CU_ASSERT_EQUAL(scenario->pool.backlog_tasks, 64);
    CU_ASSERT_EQUAL(scenario->submits_in_load, 2);
    CU_ASSERT_EQUAL(scenario->submits[0].count, 100);
    CU_ASSERT_EQUAL(scenario->submits[0].kind, CH_TASK_SPIN);
    CU_ASSERT_EQUAL(scenario->submits[0].work_us, 1000);
    CU_ASSERT_EQUAL(scenario->submits[0].wait_ms, CH_FOR_EVER);
    CU_ASSERT_EQUAL(scenario->submits[1].bytes, 96u << 20);
    CU_ASSERT_EQUAL(scenario->submits[1].place.line, 8);
    CU_ASSERT_EQUAL(scenario->expectations_count, 10);
    const struct ch_counter_expectation *created = &scenario->expectations[6].counter;
    CU_ASSERT_EQUAL(created->counter.kind, CH_WORKER_PROCESSES_CREATED);
    CU_ASSERT_EQUAL(created->bound.operator, CH_IN);
    CU_ASSERT_EQUAL(created->bound.low, 5);
    CU_ASSERT_EQUAL(created->bound.high, 6);
    CU_ASSERT_STRING_EQUAL(created->bound.because, "it may be replaced twice");
    CU_ASSERT_EQUAL(scenario->expectations[4].counter.counter.cause, LIBPOOL_OOM);
    const struct ch_task_expectation *task = &scenario->expectations[7].task;
    CU_ASSERT_EQUAL(task->submit, 1);
    CU_ASSERT_EQUAL(task->signal, SIGKILL);
    CU_ASSERT_EQUAL(task->certainty, LIBPOOL_MAY_HAVE_RUN);
    CU_ASSERT_EQUAL(task->count, CH_UNSET);
    CU_ASSERT_EQUAL(scenario->expectations[8].recovery.within_us, 2000000);
    CU_ASSERT_EQUAL(scenario->expectations[9].invariant.except, 0);
    ch_arena_free(parsed.arena);
}

TEST(parse, steps_and_names_of_an_oom_kill)
{
    struct parsed parsed = parse(CRASH_TEXT);
    const struct ch_scenario *scenario = &parsed.file->scenarios[0];
    const struct ch_step *step = scenario->steps;
    CU_ASSERT_EQUAL(scenario->names_count, 3);
    CU_ASSERT_EQUAL(scenario->names[0].kind, CH_NAME_TASKS);
    CU_ASSERT_EQUAL(scenario->names[1].kind, CH_NAME_EVENT);
    CU_ASSERT_EQUAL(scenario->names[2].kind, CH_NAME_ACTION);
    CU_ASSERT_EQUAL(step[0].trigger.event, CH_EVENT_TASK_START);
    CU_ASSERT_EQUAL(step[0].trigger.of, 0);
    CU_ASSERT_EQUAL(step[0].trigger.nth, 1);
    CU_ASSERT_EQUAL(step[0].trigger.within_us, CH_UNSET);
    CU_ASSERT_EQUAL(step[0].action.kind, CH_ACTION_MEMCG);
    CU_ASSERT_EQUAL(step[0].action.memcg.worker.kind, CH_WORKER_NAME);
    CU_ASSERT_EQUAL(step[0].action.memcg.worker.name, 1);
    CU_ASSERT_EQUAL(step[0].action.memcg.limit_bytes, 32u << 20);
    CU_ASSERT_EQUAL(step[0].action.place.line, 10);
    CU_ASSERT_EQUAL(step[0].action.place.column, 45);
    CU_ASSERT_EQUAL(step[1].action.expect.checks_count, 2);
    CU_ASSERT_EQUAL(step[1].action.expect.checks[0].bound.low, LIBPOOL_OOM);
    CU_ASSERT_EQUAL(step[1].trigger.within_us, 2000000);
    CU_ASSERT_EQUAL(step[2].trigger.slot_kind, CH_SLOT_OF_NAME);
    CU_ASSERT_EQUAL(step[2].trigger.slot_of, 1);
    CU_ASSERT_EQUAL(step[2].action.expect.checks[0].bound.operator, CH_NOT_EQUAL);
    CU_ASSERT_EQUAL(step[2].action.expect.checks[0].reference, 1);
    CU_ASSERT_EQUAL(step[2].action.expect.checks[1].bound.operator, CH_EQUAL);
    CU_ASSERT_EQUAL(step[3].trigger.kind, CH_TRIGGER_THEN);
    CU_ASSERT_EQUAL(step[3].trigger.time_us, 5000);
    CU_ASSERT_EQUAL(step[3].action.undo.name, 2);
    ch_arena_free(parsed.arena);
}

TEST(parse, pool_and_host_options)
{
    struct parsed parsed = parse(FDS_TEXT);
    const struct ch_pool *pool = &parsed.file->scenarios[0].pool;
    const struct ch_host *host = &parsed.file->scenarios[0].host;
    CU_ASSERT_EQUAL(pool->min_workers, 3);
    CU_ASSERT_EQUAL(pool->max_workers, 5);
    CU_ASSERT_EQUAL(pool->backlog_bytes, 1u << 30);
    CU_ASSERT_EQUAL(pool->backoff_min_ms, 50);
    CU_ASSERT_EQUAL(pool->backoff_max_ms, 400);
    CU_ASSERT(pool->exclusive);
    CU_ASSERT(pool->no_cgroup);
    CU_ASSERT(pool->trace);
    CU_ASSERT_EQUAL(pool->idle_timeout_ms, 250);
    CU_ASSERT_EQUAL(pool->start_timeout_ms, 0);
    CU_ASSERT_EQUAL(pool->initializer, CH_CALLBACK_FAIL);
    CU_ASSERT_EQUAL(pool->initializer_fails, 3);
    CU_ASSERT_EQUAL(pool->finalizer, CH_CALLBACK_NONE);
    CU_ASSERT_EQUAL(host->sigchld, CH_SIGNAL_IGNORE);
    CU_ASSERT_EQUAL(host->sigpipe, CH_SIGNAL_DEFAULT);
    CU_ASSERT(host->thief);
    CU_ASSERT_EQUAL(host->nofile, 256);
    ch_arena_free(parsed.arena);
}

TEST(parse, actions_of_all_kinds)
{
    struct parsed parsed = parse(FDS_TEXT);
    const struct ch_scenario *scenario = &parsed.file->scenarios[0];
    const struct ch_step *step = scenario->steps;
    CU_ASSERT_EQUAL(scenario->submits[0].wait_ms, 0);
    CU_ASSERT_EQUAL(scenario->submits[0].run_timeout_ms, 2000);
    CU_ASSERT_EQUAL(scenario->submits[0].priority, 7);
    CU_ASSERT(scenario->submits[0].ordered);
    CU_ASSERT_EQUAL(step[0].trigger.kind, CH_TRIGGER_AT);
    CU_ASSERT_EQUAL(step[0].trigger.time_us, 20000);
    CU_ASSERT_EQUAL(step[0].action.signal.worker.kind, CH_WORKER_BUSY);
    CU_ASSERT_EQUAL(step[1].action.fill_fds.process, CH_PROCESS_HOST);
    CU_ASSERT(step[2].action.optional);
    CU_ASSERT_EQUAL(step[3].trigger.kind, CH_TRIGGER_EVERY);
    CU_ASSERT_EQUAL(step[3].trigger.for_us, 5000000);
    CU_ASSERT_EQUAL(step[3].action.signal.worker.kind, CH_WORKER_PERCENT);
    CU_ASSERT_EQUAL(step[3].action.signal.worker.number, 50);
    CU_ASSERT_EQUAL(step[4].trigger.kind, CH_TRIGGER_AFTER_LOAD);
    CU_ASSERT_EQUAL(step[5].action.settle.within_us, 3000000);
    CU_ASSERT_EQUAL(step[6].action.submit, 1);
    CU_ASSERT_EQUAL(scenario->submits_in_load, 1);
    CU_ASSERT_EQUAL(scenario->submits_count, 2);
    CU_ASSERT_EQUAL(scenario->submits[1].code, 3);
    CU_ASSERT_EQUAL(step[7].action.cancel.nth, 2);
    CU_ASSERT(!scenario->expectations[0].host.dead);
    CU_ASSERT_EQUAL(scenario->expectations[1].invariant.except, (1u << 2) | (1u << 5));
    ch_arena_free(parsed.arena);
}

TEST(parse, a_matrix_is_a_scenario_for_each_value)
{
    static const enum ch_callback wanted[] = {CH_CALLBACK_SEGV, CH_CALLBACK_ABORT,
                                              CH_CALLBACK_HANG};
    struct parsed parsed = parse(MATRIX_TEXT);
    CU_ASSERT_EQUAL_FATAL(parsed.file->scenarios_count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct ch_scenario *scenario = &parsed.file->scenarios[i];
        CU_ASSERT_EQUAL(scenario->pool.finalizer, wanted[i]);
        CU_ASSERT_STRING_EQUAL(scenario->matrix_name, "how");
        CU_ASSERT_STRING_EQUAL(scenario->must_fail, "counter finalizers_failed");
        CU_ASSERT_EQUAL(scenario->must_fail_place.column, 11);
        CU_ASSERT_EQUAL(scenario->steps[0].action.shutdown.deadline_us, 2000000);
        CU_ASSERT_EQUAL(scenario->steps[1].trigger.of, 0);
        CU_ASSERT_EQUAL(scenario->limit_us, 30000000);
    }
    CU_ASSERT_STRING_EQUAL(parsed.file->scenarios[1].matrix_value, "abort");
    CU_ASSERT_STRING_EQUAL(parsed.file->scenarios[2].title,
                           "finalizer ends by hang; shutdown stays bounded");
    ch_arena_free(parsed.arena);
}

/* ---- Files on disk ----------------------------------------------------------------------- */

static void refuse(const char *path, const char *words)
{
    struct ch_diagnostics diagnostics;
    struct ch_arena *arena = ch_arena_new();
    CU_ASSERT_PTR_NULL(ch_parse_file(path, arena, &diagnostics));
    CU_ASSERT_EQUAL_FATAL(diagnostics.count, 1);
    CU_ASSERT_EQUAL(diagnostics.items[0].place.line, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(diagnostics.items[0].message, words));
    ch_arena_free(arena);
}

TEST(parse, what_is_no_file_is_refused)
{
    refuse("/nowhere/x.chaos", "No such file");
    refuse("/", "not a regular file");
    refuse("/dev/zero", "not a regular file");
}

TEST(parse, a_huge_file_is_refused_unread)
{
    char path[] = "/tmp/chaos-huge-XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(ftruncate(fd, (off_t)1 << 40), 0);
    refuse(path, "larger than");
    close(fd);
    unlink(path);
}

/* ---- Any file ---------------------------------------------------------------------------- */

#define MUTANTS 100000
#define MUTANT_MAX 2048

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A few bytes changed, dropped, doubled or replaced by a piece from elsewhere in the file. */
static size_t mutate(char *text, size_t size, uint64_t *random)
{
    static const char spice[] = "\t\n\r\"#$%.:=|!<> 0a-\x80\xff";
    uint64_t edits = next_random(random) % 6 + 1;
    while (edits-- > 0 && size > 1) {
        size_t at = next_random(random) % size, from = next_random(random) % size;
        size_t length = next_random(random) % 24 + 1;
        if (length > size - at)
            length = size - at;
        switch (next_random(random) % 4) {
        case 0: text[at] = spice[next_random(random) % (sizeof(spice))]; break;
        case 1: text[at] = (char)next_random(random); break;
        case 2:
            memmove(text + at, text + at + length, size - at - length);
            size -= length;
            break;
        case 3:
            if (length > size - from)
                length = size - from;
            if (size + length > MUTANT_MAX)
                break;
            memmove(text + at + length, text + at, size - at);
            memmove(text + at, text + (from < at ? from : from + length), length);
            size += length;
            break;
        }
    }
    return size;
}

TEST_WITHIN(parse, no_mutant_of_a_file_does_harm, 60000)
{
    static const char *const seeds[] = {CRASH_TEXT, FDS_TEXT, MATRIX_TEXT};
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15);
    struct ch_arena *arena = ch_arena_new();
    FILE *nowhere = fopen("/dev/null", "we");
    char *text = malloc(MUTANT_MAX);
    size_t good = 0, bad = 0;
    for (size_t i = 0; i < MUTANTS; i++) {
        struct ch_diagnostics diagnostics;
        const char *seed = seeds[i % 3];
        size_t size = strlen(seed);
        memcpy(text, seed, size);
        size = mutate(text, size, &random);
        char *exact = ch_arena_text(arena, text, size);
        bool fine = ch_parse_text("x", exact, size, arena, &diagnostics) != NULL;
        good += fine;
        bad += !fine && diagnostics.count > 0;
        if (i % 64 == 0)
            ch_diagnostics_print(&diagnostics, nowhere);
        ch_arena_reset(arena);
    }
    CU_ASSERT_EQUAL(good + bad, MUTANTS);
    CU_ASSERT(good > MUTANTS / 100); /* or the mutants do not reach what is behind the errors */
    CU_ASSERT(bad > MUTANTS / 2);
    free(text);
    fclose(nowhere);
    ch_arena_free(arena);
}
