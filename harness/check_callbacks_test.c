/* SPDX-License-Identifier: MIT */
/* What the callbacks told of two tasks, and the same with one lie in it. */
#include "harness/check.h"
#include "harness/test.h"

struct telling {
    uint32_t kind, task;
    libpool_cause cause;
};

static const struct telling truth[] = {
    {HN_POOL + LIBPOOL_EVENT_TASK_LAUNCHED, 0, LIBPOOL_PENDING},
    {HN_TOLD_STARTED, 0, LIBPOOL_PENDING},
    {HN_POOL + LIBPOOL_EVENT_TASK_LAUNCHED, 1, LIBPOOL_PENDING},
    {HN_TOLD_STARTED, 1, LIBPOOL_PENDING},
    {HN_POOL + LIBPOOL_EVENT_TASK_ENDED, 1, LIBPOOL_COMPLETED},
    {HN_TOLD_DONE, 1, LIBPOOL_COMPLETED},
    {HN_POOL + LIBPOOL_EVENT_TASK_ENDED, 0, LIBPOOL_CRASH},
    {HN_TOLD_DONE, 0, LIBPOOL_CRASH},
    {HN_CALL, HN_NONE, LIBPOOL_PENDING},
};
#define LINES (sizeof truth / sizeof *truth)

static void add_task(struct hn_world *world, libpool_cause cause)
{
    uint32_t task = atomic_fetch_add(&world->tasks_count, 1);
    world->rows[task].cause = cause;
    world->rows[task].task_id = task + 1;
    atomic_store(&world->rows[task].state, HN_TASK_COLLECTED);
}

static void tell(struct hn_world *world, const struct telling *line)
{
    struct hn_record record = hn_record_of((enum hn_kind)line->kind);
    record.task = line->task;
    record.cause = (int32_t)line->cause;
    record.a = line->kind == HN_CALL ? HN_CALL_CLOSE : line->task + UINT64_C(1);
    hn_history_append(&world->history, &record);
}

/* Whether something is said against it. */
static bool is_seen(const struct telling *lines, size_t count)
{
    struct hn_findings findings = {0};
    struct hn_world *world = hn_world_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    struct hn_case of = {.world = world, .callbacks = true, .settled = true};
    add_task(world, LIBPOOL_CRASH);
    add_task(world, LIBPOOL_COMPLETED);
    for (size_t i = 0; i < count; i++)
        tell(world, &lines[i]);
    hn_check_callbacks(&of, &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), hn_findings_count(&findings, HN_I1_RESOLUTION));
    hn_world_free(world);
    return hn_findings_total(&findings) > 0;
}

TEST(check_callbacks, the_truth_passes)
{
    CU_ASSERT(!is_seen(truth, LINES));
}

TEST(check_callbacks, what_is_not_told_or_told_twice_is_seen)
{
    for (size_t left_out = 0; left_out < LINES; left_out++) {
        struct telling lines[LINES + 1];
        size_t count = 0;
        bool told = truth[left_out].kind == HN_TOLD_STARTED || truth[left_out].kind == HN_TOLD_DONE;
        for (size_t i = 0; i < LINES; i++)
            if (i != left_out)
                lines[count++] = truth[i];
        if (told)
            CU_ASSERT(is_seen(lines, count));
        count = 0;
        for (size_t i = 0; i < LINES; i++) {
            lines[count++] = truth[i];
            if (i == left_out)
                lines[count++] = truth[i];
        }
        if (told)
            CU_ASSERT(is_seen(lines, count));
    }
}

/* With two lines in each other's place. */
static bool is_seen_swapped(size_t one, size_t other)
{
    struct telling lines[LINES];
    for (size_t i = 0; i < LINES; i++)
        lines[i] = truth[i == one ? other : i == other ? one : i];
    return is_seen(lines, LINES);
}

TEST(check_callbacks, order_is_looked_at)
{
    CU_ASSERT(is_seen_swapped(5, 7));  /* ends in another order than the pool's events */
    CU_ASSERT(is_seen_swapped(3, 5));  /* a start behind its end */
    CU_ASSERT(is_seen_swapped(7, 8));  /* told by a pool that is closed */
    CU_ASSERT(!is_seen_swapped(1, 3)); /* starts of two tasks that begin at once */
}

TEST(check_callbacks, the_result_is_there_when_the_end_is_told)
{
    struct telling lines[LINES];
    for (size_t i = 0; i < LINES; i++)
        lines[i] = truth[i];
    lines[5].cause = LIBPOOL_PENDING;
    CU_ASSERT(is_seen(lines, LINES));
}

TEST(check_callbacks, who_was_refused_is_not_told_of)
{
    struct hn_findings findings = {0};
    struct hn_world *world = hn_world_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    struct hn_case of = {.world = world, .callbacks = true, .settled = true};
    add_task(world, LIBPOOL_PENDING);
    atomic_store(&world->rows[0].state, HN_TASK_REFUSED);
    hn_check_callbacks(&of, &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), 0);
    tell(world, &truth[7]);
    hn_check_callbacks(&of, &findings);
    CU_ASSERT_EQUAL(hn_findings_count(&findings, HN_I1_RESOLUTION), 1);
    hn_world_free(world);
}
