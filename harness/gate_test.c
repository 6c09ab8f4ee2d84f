/* SPDX-License-Identifier: MIT */
#include "harness/gate.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/test.h"
#include "harness/world.h"

/* Emits `count` task-starts of that group; exits with the errand of the last one. */
static pid_t start_emitter(struct hn_world *world, uint32_t group, int count)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    enum hn_errand errand = HN_ERRAND_NONE;
    struct hn_record event = hn_record_of(HN_TASK_START);
    event.group = group;
    for (int i = 0; i < count; i++)
        errand = hn_gate_pass(&world->gates, &world->history, &event);
    _exit((int)errand);
}

/* How many records of that kind have come until `wanted` are there, or the time is up. */
static uint32_t await_records(struct hn_world *world, uint32_t kind, uint32_t wanted)
{
    struct hn_cursor cursor = {0};
    uint32_t seen = 0;
    uint64_t deadline_ns = hn_clock_ns() + 5 * HN_S;
    while (seen < wanted && hn_clock_ns() < deadline_ns) {
        const struct hn_record *record = hn_cursor_next(&cursor, &world->history);
        if (!record)
            hn_cursor_wait(&cursor, &world->history, deadline_ns);
        else if (record->kind == kind)
            seen++;
    }
    return seen;
}

static int exit_code(pid_t pid)
{
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(gate, holds_the_nth_until_it_is_released)
{
    struct hn_world *world = hn_world_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    int gate = hn_gate_arm(&world->gates, HN_TASK_START, 3, HN_NONE, 2, 20 * HN_S);
    CU_ASSERT_EQUAL(gate, 0);
    pid_t pid = start_emitter(world, 3, 3);
    CU_ASSERT_EQUAL(await_records(world, HN_GATE_PARKED, 1), 1);
    CU_ASSERT_EQUAL(await_records(world, HN_TASK_START, 2), 2);
    CU_ASSERT_EQUAL(hn_history_count(&world->history), 3); /* start, start, parked */
    CU_ASSERT(hn_gate_release(&world->gates, 0, HN_ERRAND_NONE));
    CU_ASSERT_FALSE(hn_gate_release(&world->gates, 0, HN_ERRAND_FILL_FDS));
    CU_ASSERT_EQUAL(exit_code(pid), HN_ERRAND_NONE);
    CU_ASSERT_EQUAL(hn_history_count(&world->history), 5); /* left, start */
    hn_world_free(world);
}

TEST(gate, counts_those_that_another_gate_holds)
{
    struct hn_world *world = hn_world_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    hn_gate_arm(&world->gates, HN_TASK_START, HN_NONE, HN_NONE, 1, 20 * HN_S);
    hn_gate_arm(&world->gates, HN_TASK_START, HN_NONE, HN_NONE, 2, 20 * HN_S);
    pid_t first = start_emitter(world, 1, 1);
    CU_ASSERT_EQUAL(await_records(world, HN_GATE_PARKED, 1), 1);
    kill(first, SIGKILL); /* it is never seen at the second gate */
    CU_ASSERT_EQUAL(exit_code(first), -1);
    pid_t second = start_emitter(world, 1, 1);
    CU_ASSERT_EQUAL(await_records(world, HN_GATE_PARKED, 2), 2);
    CU_ASSERT(hn_gate_release(&world->gates, 1, HN_ERRAND_NONE));
    CU_ASSERT_EQUAL(exit_code(second), 0);
    hn_world_free(world);
}

TEST(gate, others_pass_it)
{
    struct hn_world *world = hn_world_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    hn_gate_arm(&world->gates, HN_TASK_START, 3, HN_NONE, 1, 20 * HN_S);
    hn_gate_arm(&world->gates, HN_WORKER_FINAL, HN_NONE, HN_NONE, 1, 20 * HN_S);
    CU_ASSERT_EQUAL(exit_code(start_emitter(world, 4, 10)), 0);
    CU_ASSERT_EQUAL(hn_history_count(&world->history), 10);
    hn_world_free(world);
}

TEST(gate, sends_the_emitter_on_an_errand)
{
    struct hn_world *world = hn_world_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    hn_gate_arm(&world->gates, HN_TASK_START, HN_NONE, HN_NONE, 1, 20 * HN_S);
    pid_t pid = start_emitter(world, 1, 1);
    CU_ASSERT_EQUAL(await_records(world, HN_GATE_PARKED, 1), 1);
    CU_ASSERT(hn_gate_release(&world->gates, 0, HN_ERRAND_FILL_FDS));
    CU_ASSERT_EQUAL(exit_code(pid), HN_ERRAND_FILL_FDS);
    hn_world_free(world);
}

TEST(gate, expires_and_says_so)
{
    struct hn_world *world = hn_world_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    hn_gate_arm(&world->gates, HN_TASK_START, HN_NONE, HN_NONE, 1, 20 * HN_MS);
    CU_ASSERT_EQUAL(exit_code(start_emitter(world, 1, 1)), 0);
    CU_ASSERT_EQUAL(await_records(world, HN_GATE_EXPIRED, 1), 1);
    hn_world_free(world);
}

TEST(gate, an_emitter_killed_there_holds_nobody_up)
{
    struct hn_world *world = hn_world_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    hn_gate_arm(&world->gates, HN_TASK_START, HN_NONE, HN_NONE, 1, 20 * HN_S);
    pid_t pid = start_emitter(world, 1, 1);
    CU_ASSERT_EQUAL(await_records(world, HN_GATE_PARKED, 1), 1);
    kill(pid, SIGKILL);
    CU_ASSERT_EQUAL(exit_code(pid), -1);
    CU_ASSERT_EQUAL(exit_code(start_emitter(world, 1, 5)), 0);
    hn_gates_open(&world->gates);
    CU_ASSERT_EQUAL(atomic_load(&world->gates.list[0].state), HN_GATE_RELEASED);
    hn_world_free(world);
}
