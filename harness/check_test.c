/* SPDX-License-Identifier: MIT */
/*
 * Each checker is shown a clean run, which it must pass, and the same run with one lie in it, which
 * it must catch. A checker without a lie here would be worth nothing.
 */
#include "harness/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/test.h"

#define WORKER 1000

/* A run of three groups: two noops, one segv, one echo. */
struct fixture {
    struct hn_world *world;
    struct hn_group groups[4];
    struct hn_case of;
};

static void write_task(struct hn_world *world, enum hn_kind kind, uint32_t task, uint32_t group,
                       int32_t code)
{
    struct hn_record record = hn_record_of(kind);
    record.pid = WORKER + (int32_t)task;
    record.slot = 0;
    record.task = task;
    record.group = group;
    record.code = code;
    record.a = task + 1;
    hn_history_append(&world->history, &record);
}

static struct hn_row *add_row(struct fixture *fixture, uint32_t group, libpool_cause cause)
{
    struct hn_world *world = fixture->world;
    uint32_t task = atomic_fetch_add(&world->tasks_count, 1);
    struct hn_row *row = &world->rows[task];
    *row = (struct hn_row){.group = group,
                           .ends = 1,
                           .task_id = task + 1,
                           .cause = cause,
                           .pid = WORKER + (int32_t)task,
                           .attempts = 1};
    bool ran = cause == LIBPOOL_COMPLETED || cause == LIBPOOL_ERROR;
    row->certainty = ran ? LIBPOOL_HAS_RUN : LIBPOOL_MAY_HAVE_RUN;
    atomic_store(&row->state, HN_TASK_COLLECTED);
    write_task(world, HN_TASK_START, task, group, 0);
    if (ran)
        write_task(world, HN_TASK_END, task, group, 0);
    return row;
}

static struct fixture new_fixture(void)
{
    struct fixture fixture = {.world = hn_world_new()};
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.world);
    fixture.groups[0] = (struct hn_group){.count = 2, .kind = HN_TASK_NOOP};
    fixture.groups[1] = (struct hn_group){.count = 1, .kind = HN_TASK_SEGV};
    fixture.groups[2] = (struct hn_group){.count = 1, .kind = HN_TASK_ECHO, .bytes = 10};
    fixture.groups[3] = (struct hn_group){.count = 1, .kind = HN_TASK_HANG, .run_timeout_ms = 50};
    add_row(&fixture, 0, LIBPOOL_COMPLETED);
    add_row(&fixture, 0, LIBPOOL_COMPLETED);
    add_row(&fixture, 1, LIBPOOL_CRASH)->signal = SIGSEGV;
    add_row(&fixture, 2, LIBPOOL_COMPLETED)->echo = HN_ECHO_EXACT;
    add_row(&fixture, 3, LIBPOOL_TIMEOUT)->running_ns = 50 * HN_MS;
    return fixture;
}

static const struct hn_case *bind(struct fixture *fixture)
{
    fixture->of.world = fixture->world;
    fixture->of.groups = fixture->groups;
    fixture->of.groups_count = 4;
    return &fixture->of;
}

static uint32_t tasks(struct fixture *fixture, enum hn_clause clause)
{
    struct hn_findings findings = {0};
    hn_check_tasks(bind(fixture), &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), hn_findings_count(&findings, clause));
    return hn_findings_count(&findings, clause);
}

TEST(check, a_clean_run_passes)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    hn_check_tasks(bind(&fixture), &findings);
    hn_check_order(&fixture.of, &findings);
    hn_check_bounds(&fixture.of, &findings);
    hn_check_containment(&fixture.of, &findings);
    hn_check_finalizers(&fixture.of, &findings);
    hn_check_recycle(&fixture.of, &findings);
    hn_check_harness(fixture.world, &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    hn_world_free(fixture.world);
}

TEST(check, a_trace_has_who_crashed_and_nobody_else)
{
    struct fixture fixture = new_fixture();
    struct hn_row *good = &fixture.world->rows[0], *crashed = &fixture.world->rows[2];
    crashed->trace = HN_TRACE_THERE;
    good->trace = HN_TRACE_NONE;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 0);
    crashed->trace = HN_TRACE_NONE;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    crashed->trace = HN_TRACE_UNASKED;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    crashed->trace = HN_TRACE_UNKNOWN;
    good->trace = HN_TRACE_THERE;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I5_sees_parts_that_are_lost_or_were_never_sent)
{
    struct fixture fixture = new_fixture();
    struct hn_row *row = &fixture.world->rows[2];
    fixture.groups[1] = (struct hn_group){
        .count = 1, .kind = HN_TASK_EMIT, .parts = 5, .end = HN_END_SEGV, .take_late = true};
    row->parts = (struct hn_parts){
        .sent = UINT64_C(1) << 32 | 5, .run = 1, .taken = 5, .over = true};
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 0);
    row->parts.taken = 4; /* it has crashed: what it had sent is there */
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    row->parts.taken = 7; /* one more may have been under way, two not */
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    row->parts.taken = 5;
    row->parts.wrong = 1;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    row->parts.wrong = 0;
    row->parts.runs = 2; /* nobody took any before its end: the first run's are gone */
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    row->parts.runs = 1;
    row->parts.end = -ENOMEM;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    row->parts.end = 0;
    row->parts.over = false;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    hn_world_free(fixture.world);
}

TEST(check, no_clause_takes_the_room_of_another)
{
    struct hn_findings *findings = calloc(1, sizeof *findings);
    CU_ASSERT_PTR_NOT_NULL_FATAL(findings);
    for (int i = 0; i < 1000; i++)
        hn_findings_add(findings, HN_I3_LIVENESS, "x", "x", "%d", i);
    hn_findings_add(findings, HN_I1_RESOLUTION, "x", "x", "lost?");
    CU_ASSERT_EQUAL(hn_findings_count(findings, HN_I1_RESOLUTION), 1);
    CU_ASSERT_EQUAL(hn_findings_count(findings, HN_I3_LIVENESS), 1000);
    CU_ASSERT_EQUAL(hn_findings_total(findings), 1001);
    free(findings);
}

/* ---- I1 ---------------------------------------------------------------------------------------- */

TEST(check, I1_sees_a_future_that_never_ended)
{
    struct fixture fixture = new_fixture();
    atomic_store(&fixture.world->rows[1].state, HN_TASK_ACCEPTED);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    fixture.of.host_killed = true; /* then nobody can know */
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 0);
    hn_world_free(fixture.world);
}

TEST(check, I1_sees_a_second_end)
{
    struct fixture fixture = new_fixture();
    fixture.world->rows[1].ends = 2;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I1_sees_a_wrong_cause)
{
    struct fixture fixture = new_fixture();
    fixture.world->rows[2].cause = LIBPOOL_OOM; /* it was a crash */
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I1_sees_a_wrong_signal)
{
    struct fixture fixture = new_fixture();
    fixture.world->rows[2].signal = SIGBUS;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I1_sees_a_timeout_before_its_time)
{
    struct fixture fixture = new_fixture();
    fixture.world->rows[4].running_ns = 20 * HN_MS;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I1_sees_codes_that_nobody_returned)
{
    struct fixture fixture = new_fixture();
    fixture.groups[1] = (struct hn_group){.count = 1, .kind = HN_TASK_EXIT, .code = 3};
    struct hn_row *row = &fixture.world->rows[2];
    *row = (struct hn_row){.group = 1,
                           .ends = 1,
                           .task_id = 3,
                           .cause = LIBPOOL_EXIT,
                           .pid = row->pid,
                           .attempts = 1,
                           .code = 3,
                           .certainty = LIBPOOL_MAY_HAVE_RUN};
    atomic_store(&row->state, HN_TASK_COLLECTED);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 0);
    row->code = 4;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    fixture.groups[1] = (struct hn_group){.count = 1, .kind = HN_TASK_FAIL, .code = 3};
    row->cause = LIBPOOL_ERROR;
    row->certainty = LIBPOOL_HAS_RUN;
    write_task(fixture.world, HN_TASK_END, 2, 1, 3);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    row->code = 3;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 0);
    hn_world_free(fixture.world);
}

TEST(check, I1_sees_a_queue_timeout_before_its_time)
{
    struct fixture fixture = new_fixture();
    struct hn_row *row = &fixture.world->rows[4];
    fixture.groups[3].queue_timeout_ms = 50;
    row->cause = LIBPOOL_QUEUE_TIMEOUT;
    row->pending_ns = 50 * HN_MS;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 0);
    row->pending_ns = 20 * HN_MS;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I1_sees_another_slot_a_future_gathered_twice_and_no_cause)
{
    struct fixture fixture = new_fixture();
    struct hn_row *row = &fixture.world->rows[0];
    row->slot = 5;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    row->slot = 0;
    fixture.groups[0].gathered = true;
    fixture.world->rows[1].gathered = 1;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1); /* lost */
    row->gathered = 2;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    row->gathered = 1;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 0);
    struct hn_findings findings = {0};
    row->cause = LIBPOOL_CAUSES;
    hn_check_tasks(&fixture.of, &findings);
    CU_ASSERT(hn_findings_count(&findings, HN_I1_RESOLUTION) > 0);
    hn_world_free(fixture.world);
}

TEST(check, I1_sees_one_complete_that_has_not_sent_all)
{
    struct fixture fixture = new_fixture();
    struct hn_row *row = &fixture.world->rows[0];
    fixture.groups[0] = (struct hn_group){.count = 1, .kind = HN_TASK_EMIT, .parts = 5};
    fixture.world->rows[1].group = 2; /* an echo, as the other one */
    row->parts = (struct hn_parts){
        .sent = UINT64_C(1) << 32 | 5, .run = 1, .taken = 5, .over = true};
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 0);
    fixture.groups[0].parts = 6;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I1_sees_somebody_elses_pid)
{
    struct fixture fixture = new_fixture();
    fixture.world->rows[0].pid = 4711;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I1_sees_a_task_id_given_twice)
{
    struct fixture fixture = new_fixture();
    fixture.world->rows[1].task_id = 1;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I1_believes_in_a_kill_only_when_somebody_killed)
{
    struct fixture fixture = new_fixture();
    struct hn_row *row = &fixture.world->rows[4];
    row->cause = LIBPOOL_KILLED;
    row->signal = SIGKILL;
    CU_ASSERT(tasks(&fixture, HN_I1_RESOLUTION) > 0);
    struct hn_record fault = hn_record_of(HN_FAULT);
    fault.pid = row->pid;
    fault.signal = SIGKILL;
    hn_history_append(&fixture.world->history, &fault);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 0);
    hn_world_free(fixture.world);
}

/* ---- I5, I7 ------------------------------------------------------------------------------------ */

TEST(check, I5_sees_an_innocent_task_end)
{
    struct fixture fixture = new_fixture();
    struct hn_row *row = add_row(&fixture, 0, LIBPOOL_KILLED);
    row->signal = SIGKILL;
    struct hn_findings findings = {0};
    hn_check_tasks(bind(&fixture), &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I5_ISOLATION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I5_sees_wrong_bytes)
{
    struct fixture fixture = new_fixture();
    fixture.world->rows[3].echo = HN_ECHO_WRONG;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I5_sees_order_broken)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    fixture.groups[0].ordered = true;
    hn_check_order(bind(&fixture), &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    write_task(fixture.world, HN_TASK_START, 9, 0, 0);
    write_task(fixture.world, HN_TASK_START, 8, 0, 0);
    hn_check_order(&fixture.of, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I5_ISOLATION), 1);
    hn_world_free(fixture.world);
}

#define ZYGOTE 900

static void write_about(struct hn_world *world, enum hn_kind kind, int32_t pid, int signal,
                        uint64_t time_ns)
{
    struct hn_record record = hn_record_of(kind);
    record.pid = pid;
    record.signal = signal;
    record.time_ns = time_ns;
    hn_history_append(&world->history, &record);
}

/* The zygote is killed a second after all of the fixture's tasks, and back a second later. */
static struct fixture fixture_without_zygote(uint64_t *struck_ns)
{
    struct fixture fixture = new_fixture();
    enum hn_kind started = (enum hn_kind)(HN_POOL + LIBPOOL_EVENT_ZYGOTE_STARTED);
    *struck_ns = hn_clock_ns() + HN_S;
    for (uint32_t task = 0; task < 5; task++)
        fixture.world->rows[task].collected_ns = *struck_ns - HN_MS;
    write_about(fixture.world, started, ZYGOTE, 0, 1);
    write_about(fixture.world, HN_FAULT, ZYGOTE, SIGKILL, *struck_ns);
    write_about(fixture.world, started, ZYGOTE + 1, 0, *struck_ns + HN_S);
    fixture.world->rows[0].cause = LIBPOOL_LOST;
    fixture.world->rows[0].certainty = LIBPOOL_MAY_HAVE_RUN;
    return fixture;
}

TEST(check, I5_sees_a_task_lost_while_there_was_a_zygote)
{
    uint64_t struck_ns;
    struct fixture fixture = fixture_without_zygote(&struck_ns);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1); /* it had ended before */
    fixture.world->rows[0].collected_ns = struck_ns + HN_MS;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 0);
    write_about(fixture.world, HN_FAULT, ZYGOTE + 1, SIGSTOP, struck_ns + 2 * HN_S);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 0);
    hn_world_free(fixture.world);
}

TEST(check, I5_sees_a_task_lost_when_the_next_zygote_was_up)
{
    uint64_t struck_ns;
    struct fixture fixture = fixture_without_zygote(&struck_ns);
    struct hn_record *start = &fixture.world->history.records[0]; /* of task 0 */
    start->time_ns = struck_ns + 2 * HN_S;
    fixture.world->rows[0].collected_ns = struck_ns + 3 * HN_S;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    hn_world_free(fixture.world);
}

/* An end that the pool's events tell. */
static void tell_end(struct fixture *fixture, uint32_t task, libpool_cause cause, uint64_t time_ns)
{
    struct hn_record record = hn_record_of((enum hn_kind)(HN_POOL + LIBPOOL_EVENT_TASK_ENDED));
    record.a = task + 1;
    record.cause = (int32_t)cause;
    record.time_ns = time_ns;
    hn_history_append(&fixture->world->history, &record);
}

TEST(check, I1_sees_events_that_tell_another_end)
{
    struct fixture fixture = new_fixture();
    tell_end(&fixture, 1, LIBPOOL_COMPLETED, 0);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 0);
    tell_end(&fixture, 1, LIBPOOL_COMPLETED, 0); /* twice */
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    tell_end(&fixture, 0, LIBPOOL_KILLED, 0);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 2);
    fixture.of.settled = true; /* so those of 2, 3 and 4 are missing */
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 5);
    hn_world_free(fixture.world);
}

TEST(check, I1_sees_a_cancel_that_did_not_cancel)
{
    struct fixture fixture = new_fixture();
    struct hn_record call = hn_record_of(HN_CALL);
    call.a = HN_CALL_CANCEL;
    call.task = 1;
    call.code = LIBPOOL_CANCEL_DONE;
    hn_history_append(&fixture.world->history, &call);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 0);
    call.code = LIBPOOL_CANCEL_DEQUEUED;
    hn_history_append(&fixture.world->history, &call);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I5_sees_a_task_cancelled_by_nobody_or_shut_down_too_early)
{
    struct fixture fixture = new_fixture();
    struct hn_record call = hn_record_of(HN_CALL);
    call.a = HN_CALL_CANCEL;
    call.task = 0;
    call.code = LIBPOOL_CANCEL_DONE; /* it had no effect */
    hn_history_append(&fixture.world->history, &call);
    fixture.world->rows[0].cause = LIBPOOL_CANCELLED;
    fixture.world->rows[0].certainty = LIBPOOL_MAY_HAVE_RUN;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    fixture.world->rows[0].cause = LIBPOOL_SHUTDOWN;
    fixture.of.shut_down = true;
    call.a = HN_CALL_SHUTDOWN;
    call.task = HN_NONE;
    call.time_ns = 10 * HN_S;
    call.b = HN_S;
    hn_history_append(&fixture.world->history, &call);
    fixture.world->rows[0].collected_ns = 9 * HN_S - 1;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    fixture.world->rows[0].collected_ns = 9 * HN_S;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 0);
    hn_world_free(fixture.world);
}

TEST(check, I5_sees_bytes_that_nobody_sent)
{
    struct fixture fixture = new_fixture();
    fixture.world->rows[0].data_size = 3;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I7_sees_a_task_started_twice)
{
    struct fixture fixture = new_fixture();
    write_task(fixture.world, HN_TASK_START, 2, 1, 0);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I7_CERTAINTY), 1);
    hn_world_free(fixture.world);
}

/* The segv is run twice, as it was allowed to. */
static struct fixture new_retried(void)
{
    struct fixture fixture = new_fixture();
    struct hn_record event = hn_record_of((enum hn_kind)(HN_POOL + LIBPOOL_EVENT_TASK_RETRIED));
    fixture.groups[1].retries = 1;
    fixture.groups[1].retry_causes = 1u << LIBPOOL_CRASH;
    fixture.world->rows[2].attempts = 2;
    fixture.world->rows[2].retried_cause = LIBPOOL_CRASH;
    write_task(fixture.world, HN_TASK_START, 2, 1, 0);
    event.a = 3;
    hn_history_append(&fixture.world->history, &event);
    event.kind = HN_POOL + LIBPOOL_EVENT_TASK_ENDED;
    event.cause = LIBPOOL_CRASH;
    hn_history_append(&fixture.world->history, &event);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I7_CERTAINTY), 0);
    return fixture;
}

TEST(check, I7_sees_more_starts_than_runs)
{
    struct fixture fixture = new_retried();
    fixture.groups[1].retries = 2;
    write_task(fixture.world, HN_TASK_START, 2, 1, 0);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I7_CERTAINTY), 1);
    hn_world_free(fixture.world);
}

TEST(check, I7_sees_a_run_too_many)
{
    struct fixture fixture = new_retried();
    fixture.groups[1].retries = 0;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I7_CERTAINTY), 2); /* of the result, and of the starts */
    hn_world_free(fixture.world);
}

TEST(check, I7_sees_a_run_for_a_cause_that_is_not_named)
{
    struct fixture fixture = new_retried();
    fixture.groups[1].retry_causes = 1u << LIBPOOL_OOM;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I7_CERTAINTY), 1);
    hn_world_free(fixture.world);
}

TEST(check, I7_sees_a_run_that_no_event_tells)
{
    struct fixture fixture = new_retried();
    fixture.groups[1].retries = 2;
    fixture.world->rows[2].attempts = 3;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I7_CERTAINTY), 1);
    hn_world_free(fixture.world);
}

TEST(check, I7_sees_a_trace_of_what_was_not_started)
{
    struct fixture fixture = new_fixture();
    fixture.world->rows[4].certainty = LIBPOOL_NOT_STARTED;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I7_CERTAINTY), 1);
    hn_world_free(fixture.world);
}

TEST(check, I7_sees_a_result_without_a_run)
{
    struct fixture fixture = new_fixture();
    fixture.world->rows[0].certainty = LIBPOOL_MAY_HAVE_RUN;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I7_CERTAINTY), 1);
    hn_world_free(fixture.world);
}

TEST(check, I7_sees_a_run_that_left_no_end)
{
    struct fixture fixture = new_fixture();
    struct hn_row *row = add_row(&fixture, 0, LIBPOOL_CRASH); /* writes a start only */
    row->cause = LIBPOOL_COMPLETED;
    row->certainty = LIBPOOL_HAS_RUN;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I7_CERTAINTY), 1);
    hn_world_free(fixture.world);
}

TEST(check, I5_sees_last_words_that_are_missing_or_somebody_elses)
{
    struct fixture fixture = new_fixture();
    struct hn_row *good = &fixture.world->rows[0], *crashed = &fixture.world->rows[2];
    good->tail = HN_TAIL_NONE;
    crashed->tail = HN_TAIL_OWN;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 0);
    crashed->tail = HN_TAIL_NONE;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    crashed->tail = HN_TAIL_OTHER;
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    crashed->tail = HN_TAIL_OWN;
    good->tail = HN_TAIL_OWN; /* it has not failed */
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1);
    hn_world_free(fixture.world);
}

TEST(check, I7_sees_a_refused_task_run)
{
    struct fixture fixture = new_fixture();
    atomic_store(&fixture.world->rows[0].state, HN_TASK_REFUSED);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I7_CERTAINTY), 1);
    hn_world_free(fixture.world);
}

/* ---- I2 ---------------------------------------------------------------------------------------- */

static libpool_stats clean_stats(void)
{
    libpool_stats stats = {.size = sizeof stats,
                           .tasks_received = 5,
                           .tasks_launched = 5,
                           .tasks_failed = 2,
                           .worker_processes_created = 4,
                           .worker_processes_still_alive = 2,
                           .worker_processes_idle = 2,
                           .max_workers_busy_concurrently = 2};
    stats.tasks_ended[LIBPOOL_COMPLETED] = 3;
    stats.tasks_ended[LIBPOOL_CRASH] = 1;
    stats.tasks_ended[LIBPOOL_TIMEOUT] = 1;
    stats.workers_ended[LIBPOOL_CRASH] = 1;
    stats.workers_ended[LIBPOOL_TIMEOUT] = 1;
    return stats;
}

static uint32_t books(const libpool_stats *before, const libpool_stats *now)
{
    struct hn_findings findings = {0};
    hn_check_books(before, now, &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), hn_findings_count(&findings, HN_I2_BOOKS));
    return hn_findings_total(&findings);
}

TEST(check, I2_passes_books_that_balance)
{
    libpool_stats before = clean_stats(), now = before;
    CU_ASSERT_EQUAL(books(NULL, &now), 0);
    now.tasks_received++;
    now.tasks_pending++;
    CU_ASSERT_EQUAL(books(&before, &now), 0);
}

TEST(check, I2_sees_a_lost_task)
{
    libpool_stats now = clean_stats();
    now.tasks_ended[LIBPOOL_COMPLETED]--;
    CU_ASSERT_EQUAL(books(NULL, &now), 1);
}

TEST(check, I2_sees_an_end_by_no_cause)
{
    libpool_stats now = clean_stats();
    now.tasks_ended[LIBPOOL_COMPLETED]--;
    now.tasks_ended[LIBPOOL_CAUSES]++;
    CU_ASSERT_EQUAL(books(NULL, &now), 1);
    now.workers_ended[LIBPOOL_CRASH]--;
    now.workers_ended[LIBPOOL_PENDING]++;
    CU_ASSERT_EQUAL(books(NULL, &now), 2);
}

TEST(check, I2_sees_a_launch_that_is_not_counted_and_bytes_of_nobody)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    libpool_stats stats = clean_stats();
    stats.tasks_launched--;
    hn_check_accounts(bind(&fixture), &stats, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I2_BOOKS), 1);
    stats.tasks_launched++;
    stats.backlog_bytes = 1;
    hn_check_accounts(&fixture.of, &stats, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I2_BOOKS), 2);
    hn_world_free(fixture.world);
}

TEST(check, I2_sees_a_lost_worker)
{
    libpool_stats now = clean_stats();
    now.workers_ended[LIBPOOL_CRASH] = 0;
    CU_ASSERT_EQUAL(books(NULL, &now), 1);
}

TEST(check, I2_sees_gauges_that_exceed_what_lives)
{
    libpool_stats now = clean_stats();
    now.worker_processes_idle = 3;
    CU_ASSERT_EQUAL(books(NULL, &now), 1);
    now = clean_stats();
    now.worker_processes_idle = 0;
    now.worker_processes_busy = 2;
    now.max_workers_busy_concurrently = 1;
    CU_ASSERT_EQUAL(books(NULL, &now), 1);
}

TEST(check, I2_sees_each_counter_go_back)
{
    libpool_stats before = clean_stats(), now = before;
    before.spawns_failed = 1;
    CU_ASSERT_EQUAL(books(&before, &now), 1);
    before = clean_stats();
    before.zygotes_lost = 2;
    CU_ASSERT_EQUAL(books(&before, &now), 1);
    before = clean_stats();
    before.tasks_ended[LIBPOOL_EXIT] = 1; /* and so more ended than were received: only seen now */
    CU_ASSERT_EQUAL(books(&before, &now), 1);
}

/* Of a client that is gone, and of one that was cut off, the pool may have had the tasks, or not. */
TEST(check, a_clients_tasks_are_judged_by_what_it_could_know)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    struct hn_row *cut = &fixture.world->rows[3];
    fixture.groups[2].client = 1; /* the echo */
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I1_RESOLUTION), 0);
    *cut = (struct hn_row){.group = 2,
                           .ends = 1,
                           .cause = LIBPOOL_LOST,
                           .certainty = LIBPOOL_MAY_HAVE_RUN,
                           .collected_ns = hn_clock_ns()};
    atomic_store(&cut->state, HN_TASK_COLLECTED);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 1); /* by nothing */
    struct hn_record unserved = hn_record_of(HN_CALL);
    unserved.a = HN_CALL_UNSERVE;
    unserved.time_ns = cut->collected_ns - 1;
    hn_history_append(&fixture.world->history, &unserved);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I5_ISOLATION), 0);
    libpool_stats stats = clean_stats();
    hn_check_accounts(bind(&fixture), &stats, &findings); /* the pool had it, and completed it */
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    stats.tasks_received++; /* but not twice */
    hn_check_accounts(&fixture.of, &stats, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I2_BOOKS), 1);
    atomic_store(&cut->state, HN_TASK_ABANDONED);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I7_CERTAINTY), 0);
    write_task(fixture.world, HN_TASK_START, 3, 2, 0);
    CU_ASSERT_EQUAL(tasks(&fixture, HN_I7_CERTAINTY), 1);
    hn_world_free(fixture.world);
}

/* What tasks have called has no row: its callers were told of it, or died before. */
TEST(check, I2_counts_what_tasks_have_called)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    libpool_stats stats = clean_stats();
    struct hn_calls *calls = &fixture.world->calls;
    atomic_store(&calls->called, 3);
    atomic_store(&calls->told[LIBPOOL_COMPLETED], 2);
    stats.tasks_received = stats.tasks_launched += 3;
    stats.tasks_ended[LIBPOOL_COMPLETED] += 2;
    stats.tasks_ended[LIBPOOL_CANCELLED]++;
    hn_check_accounts(bind(&fixture), &stats, &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    stats.tasks_ended[LIBPOOL_COMPLETED]--; /* less than was told */
    stats.tasks_ended[LIBPOOL_CANCELLED]++; /* more than is left */
    hn_check_accounts(&fixture.of, &stats, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I2_BOOKS), 2);
    stats = clean_stats(); /* without all of them */
    hn_check_accounts(&fixture.of, &stats, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I2_BOOKS), 4);
    hn_world_free(fixture.world);
}

TEST(check, I2_sees_the_pool_count_otherwise)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    libpool_stats stats = clean_stats();
    hn_check_accounts(bind(&fixture), &stats, &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    stats.tasks_ended[LIBPOOL_TIMEOUT]--;
    stats.tasks_ended[LIBPOOL_CANCELLED]++;
    hn_check_accounts(&fixture.of, &stats, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I2_BOOKS), 2);
    hn_world_free(fixture.world);
}

TEST(check, I2_sees_a_refusal_and_a_retry_that_nobody_counts)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    libpool_stats stats = clean_stats();
    stats.tasks_rejected++;
    stats.tasks_retried++;
    stats.tasks_failed++;
    hn_check_accounts(bind(&fixture), &stats, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I2_BOOKS), 3);
    hn_world_free(fixture.world);
}

/* ---- I4, I8, I11 ------------------------------------------------------------------------------- */

TEST(check, I4_sees_a_process_left)
{
    struct hn_findings findings = {0};
    struct hn_census census = {.taken_ns = 1};
    hn_check_census(&census, "after close", &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    census.count = 1;
    hn_process_look(getpid(), &census.list[0]);
    hn_check_census(&census, "after close", &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I4_RESIDUE), 1);
}

TEST(check, a_census_that_nobody_took_is_no_empty_one)
{
    struct hn_findings findings = {0};
    struct hn_census never = {0}, blind = {.taken_ns = 1, .error = -ENOMEM};
    hn_check_census(&never, "after close", &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_HARNESS), 1);
    hn_check_census(&blind, "after close", &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_HARNESS), 2);
}

TEST(check, I4_sees_a_descriptor_a_mapping_and_a_thread_left)
{
    static struct hn_snapshot before, after;
    struct hn_findings findings = {0};
    hn_snapshot_take(&before);
    hn_snapshot_take(&after);
    hn_check_residue(&before, &after, &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    struct hn_world *world = hn_world_new(); /* a mapping, and its descriptor */
    hn_snapshot_take(&after);
    after.threads++;
    hn_check_residue(&before, &after, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I4_RESIDUE), 3);
    hn_world_free(world);
}

TEST(check, a_snapshot_with_a_part_missing_is_no_clean_one)
{
    static struct hn_snapshot before, after;
    struct hn_findings findings = {0};
    after.error = -EMFILE;
    hn_check_residue(&before, &after, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_HARNESS), 1);
}

TEST(check, I11_sees_a_descriptor_taken_or_replaced_and_another_directory)
{
    static struct hn_snapshot before, after;
    struct hn_findings findings = {0};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0);
    hn_snapshot_take(&before);
    close(fd);
    hn_snapshot_take(&after);
    hn_check_residue(&before, &after, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I11_HOST), 1);
    after = before;
    after.fds[0].flags ^= FD_CLOEXEC;
    hn_check_residue(&before, &after, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I11_HOST), 2);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 2);
    struct hn_findings moved = {0};
    before.children = after.children = -ECHILD;
    hn_check_host(&before, &after, &moved);
    CU_ASSERT_EQUAL(hn_findings_total(&moved), 0);
    after.directory[0] = 0;
    hn_check_host(&before, &after, &moved);
    CU_ASSERT_EQUAL(hn_findings_count(&moved, HN_I11_HOST), 1);
}

static void ignore(int number)
{
    (void)number;
}

TEST(check, I11_sees_what_was_disturbed)
{
    static struct hn_snapshot before, after;
    struct hn_findings findings = {0};
    sigset_t mask;
    hn_snapshot_take(&before);
    before.children = after.children = -ECHILD; /* the runner of this test has others */
    after = before;
    hn_check_host(&before, &after, &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    signal(SIGUSR2, ignore);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    hn_snapshot_take(&after);
    after.children = 0; /* a child that a wait would see */
    hn_check_host(&before, &after, &findings);
    signal(SIGUSR2, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &mask, NULL);
    CU_ASSERT(hn_findings_count(&findings, HN_I11_HOST) >= 3);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), hn_findings_count(&findings, HN_I11_HOST));
}

static uint32_t look_at_sentinel(const struct hn_process *sentinel)
{
    struct hn_findings findings = {0};
    hn_check_sentinel(sentinel, &findings);
    return hn_findings_count(&findings, HN_I8_OWN_PROCESSES);
}

TEST(check, I8_sees_a_signal_to_a_stranger)
{
    struct hn_process sentinel;
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* inherited: the child blocks from its first moment */
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    sigprocmask(SIG_SETMASK, &before, NULL);
    CU_ASSERT_EQUAL(hn_process_look(pid, &sentinel), 0);
    CU_ASSERT_EQUAL(look_at_sentinel(&sentinel), 0);
    kill(pid, SIGTERM);
    CU_ASSERT_EQUAL(look_at_sentinel(&sentinel), 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CU_ASSERT_EQUAL(look_at_sentinel(&sentinel), 1);
}

/* ---- I6, I9, I10, the harness ------------------------------------------------------------------ */

TEST(check, I6_sees_a_call_beyond_its_bound)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    struct hn_record call = hn_record_of(HN_CALL);
    call.a = HN_CALL_CLOSE;
    call.signal = 1000;
    call.b = 999 * HN_MS;
    hn_history_append(&fixture.world->history, &call);
    hn_check_bounds(bind(&fixture), &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    call.b = 1001 * HN_MS;
    hn_history_append(&fixture.world->history, &call);
    call.signal = -1; /* one without a bound */
    hn_history_append(&fixture.world->history, &call);
    hn_check_bounds(&fixture.of, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I6_BOUNDED), 1);
    hn_world_free(fixture.world);
}

TEST(check, I9_sees_a_worker_called_corrupt_that_did_nothing)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    struct hn_record exited = hn_record_of((enum hn_kind)(HN_POOL + LIBPOOL_EVENT_WORKER_EXITED));
    exited.pid = WORKER;
    exited.cause = LIBPOOL_CORRUPT;
    hn_history_append(&fixture.world->history, &exited);
    hn_check_containment(bind(&fixture), &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I9_CONTAINMENT), 1);
    fixture.groups[0].kind = HN_TASK_SCRIBBLE;
    struct hn_findings none = {0};
    hn_check_containment(&fixture.of, &none);
    CU_ASSERT_EQUAL(hn_findings_total(&none), 0);
    hn_world_free(fixture.world);
}

static struct hn_record of_worker(enum hn_kind kind, uint64_t time_ns)
{
    struct hn_record record = hn_record_of(kind);
    record.pid = 77;
    record.time_ns = time_ns;
    return record;
}

TEST(check, I10_sees_a_second_finalizer_and_a_slow_one)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    struct hn_record final = of_worker(HN_WORKER_FINAL, 1 * HN_S);
    struct hn_record gone = of_worker((enum hn_kind)(HN_POOL + LIBPOOL_EVENT_WORKER_EXITED),
                                      2 * HN_S);
    fixture.of.finalizer_timeout_ms = 300;
    hn_history_append(&fixture.world->history, &final);
    hn_history_append(&fixture.world->history, &gone);
    hn_check_finalizers(bind(&fixture), &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    fixture.of.finalizer_timeout_ms = 0; /* 1 s after is too late for none */
    gone.time_ns = 5 * HN_S;
    gone.pid = final.pid = 78;
    hn_history_append(&fixture.world->history, &final);
    hn_history_append(&fixture.world->history, &gone);
    hn_check_finalizers(&fixture.of, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I10_FINALIZER), 1);
    hn_history_append(&fixture.world->history, &final);
    hn_check_finalizers(&fixture.of, &findings);
    CU_ASSERT(hn_findings_count(&findings, HN_I10_FINALIZER) >= 3);
    hn_world_free(fixture.world);
}

TEST(check, I10_sees_a_task_after_the_finalizer)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    struct hn_record final = of_worker(HN_WORKER_FINAL, 1 * HN_S);
    hn_history_append(&fixture.world->history, &final);
    hn_check_finalizers(bind(&fixture), &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    struct hn_record start = of_worker(HN_TASK_START, 2 * HN_S);
    hn_history_append(&fixture.world->history, &start);
    hn_check_finalizers(&fixture.of, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I10_FINALIZER), 1);
    hn_world_free(fixture.world);
}

TEST(check, I6_sees_a_finalizer_that_was_let_into_its_pool)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    struct hn_record call = of_worker(HN_REENTERED, 1 * HN_S);
    call.a = HN_CALL_SUBMIT;
    call.code = -EDEADLK;
    hn_history_append(&fixture.world->history, &call);
    hn_check_finalizers(bind(&fixture), &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    call.code = 0;
    hn_history_append(&fixture.world->history, &call);
    hn_check_finalizers(&fixture.of, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I6_BOUNDED), 1);
    hn_world_free(fixture.world);
}

static void tell_of_worker(struct fixture *fixture, libpool_event_kind kind, uint32_t slot)
{
    struct hn_record record = hn_record_of((enum hn_kind)(HN_POOL + (int)kind));
    record.slot = slot;
    record.pid = 100 + (int)slot;
    hn_history_append(&fixture->world->history, &record);
}

TEST(check, I3_sees_a_recycle_that_leaves_too_few)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    fixture.of.strength = 3;
    fixture.of.recycle_parallel = 1;
    for (uint32_t slot = 0; slot < 3; slot++)
        tell_of_worker(&fixture, LIBPOOL_EVENT_WORKER_READY, slot);
    tell_of_worker(&fixture, LIBPOOL_EVENT_RECYCLE_BEGUN, HN_NONE);
    tell_of_worker(&fixture, LIBPOOL_EVENT_WORKER_RETIRED, 0);
    tell_of_worker(&fixture, LIBPOOL_EVENT_WORKER_EXITED, 0);
    tell_of_worker(&fixture, LIBPOOL_EVENT_WORKER_EXITED, 1); /* is nobody's fault */
    tell_of_worker(&fixture, LIBPOOL_EVENT_WORKER_READY, 0);
    hn_check_recycle(bind(&fixture), &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    tell_of_worker(&fixture, LIBPOOL_EVENT_WORKER_RETIRED, 2);
    hn_check_recycle(&fixture.of, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I3_LIVENESS), 1);
    tell_of_worker(&fixture, LIBPOOL_EVENT_ZYGOTE_LOST, HN_NONE);
    tell_of_worker(&fixture, LIBPOOL_EVENT_WORKER_RETIRED, 0); /* for that */
    tell_of_worker(&fixture, LIBPOOL_EVENT_SHUTDOWN_BEGUN, HN_NONE);
    tell_of_worker(&fixture, LIBPOOL_EVENT_WORKER_RETIRED, 1);
    hn_check_recycle(&fixture.of, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I3_LIVENESS), 2);
    hn_world_free(fixture.world);
}

TEST(check, the_harness_owns_up)
{
    struct fixture fixture = new_fixture();
    struct hn_findings findings = {0};
    struct hn_record expired = hn_record_of(HN_GATE_EXPIRED);
    hn_history_append(&fixture.world->history, &expired);
    atomic_store(&fixture.world->history.dropped, 3);
    hn_check_harness(fixture.world, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_HARNESS), 2);
    hn_world_free(fixture.world);
}
