/* SPDX-License-Identifier: MIT */
#include "core/tasks.h"

#include <string.h>

#include "harness/test.h"

#define CAPACITY 8u

struct table {
    struct lp_tasks tasks;
    _Alignas(16) char memory[4096];
};

static void open_table(struct table *table)
{
    memset(table, 0, sizeof *table);
    CU_ASSERT_FATAL(lp_tasks_bytes(CAPACITY) <= sizeof table->memory);
    lp_tasks_init(&table->tasks, CAPACITY, table->memory);
}

static uint32_t add(struct table *table, uint32_t priority)
{
    return lp_tasks_add(&table->tasks, &(struct lp_task_spec){.priority = priority, .bytes = 10},
                        1000);
}

/* The number of the task that is taken next; 0: none. */
static uint64_t take(struct table *table)
{
    uint32_t index = lp_tasks_take(&table->tasks, 2000);
    return index == LP_NONE ? 0 : table->tasks.table[index].id;
}

static void end(struct table *table, uint32_t index)
{
    lp_tasks_end(&table->tasks, index, &(struct lp_outcome){.cause = LIBPOOL_COMPLETED});
}

TEST(tasks, with_ageing_each_span_is_worth_a_level)
{
    static _Alignas(16) char memory[16 * 1024];
    struct lp_tasks tasks;
    memset(memory, 0, sizeof memory);
    lp_tasks_init(&tasks, 8, memory);
    tasks.ageing_ns = 10;
    (void)lp_tasks_add(&tasks, &(struct lp_task_spec){.priority = 3}, 100); /* due at 130 */
    (void)lp_tasks_add(&tasks, &(struct lp_task_spec){.priority = 0}, 129);
    (void)lp_tasks_add(&tasks, &(struct lp_task_spec){.priority = 0}, 130);
    (void)lp_tasks_add(&tasks, &(struct lp_task_spec){.priority = 0}, 131);
    (void)lp_tasks_add(&tasks, &(struct lp_task_spec){.priority = 3}, 131);
    static const uint64_t order[] = {2, 3, 1, 4, 5};
    for (uint32_t i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(tasks.table[lp_tasks_take(&tasks, 200)].id, order[i]);
    CU_ASSERT_EQUAL(lp_tasks_take(&tasks, 200), LP_NONE);
}

TEST(tasks, first_in_first_out)
{
    struct table table;
    open_table(&table);
    for (int i = 0; i < 3; i++)
        add(&table, 5);
    CU_ASSERT_EQUAL(take(&table), 1);
    CU_ASSERT_EQUAL(take(&table), 2);
    CU_ASSERT_EQUAL(take(&table), 3);
    CU_ASSERT_EQUAL(take(&table), 0);
    CU_ASSERT(lp_tasks_check(&table.tasks));
}

TEST(tasks, a_higher_priority_overtakes)
{
    struct table table;
    open_table(&table);
    add(&table, 63);
    add(&table, 31);
    add(&table, 0);
    add(&table, 31);
    CU_ASSERT_EQUAL(take(&table), 3);
    CU_ASSERT_EQUAL(take(&table), 2);
    CU_ASSERT_EQUAL(take(&table), 4);
    CU_ASSERT_EQUAL(take(&table), 1);
}

TEST(tasks, returned_ones_take_their_old_places)
{
    struct table table;
    open_table(&table);
    uint32_t one = add(&table, 5), two = add(&table, 5);
    take(&table);
    take(&table);
    add(&table, 5);
    lp_tasks_give_back(&table.tasks, two);
    lp_tasks_give_back(&table.tasks, one);
    CU_ASSERT(lp_tasks_check(&table.tasks));
    CU_ASSERT_EQUAL(take(&table), 1);
    CU_ASSERT_EQUAL(take(&table), 2);
    CU_ASSERT_EQUAL(take(&table), 3);
}

TEST(tasks, one_that_comes_back_between_two_others_goes_between_them)
{
    struct table table;
    open_table(&table);
    uint32_t one = add(&table, 5), two = add(&table, 5), three = add(&table, 5);
    for (int i = 0; i < 3; i++)
        take(&table);
    lp_tasks_give_back(&table.tasks, one);
    lp_tasks_give_back(&table.tasks, three);
    lp_tasks_give_back(&table.tasks, two);
    CU_ASSERT_EQUAL(take(&table), 1);
    CU_ASSERT_EQUAL(take(&table), 2);
    CU_ASSERT_EQUAL(take(&table), 3);
}

TEST(tasks, the_table_is_bounded_and_records_are_used_again)
{
    struct table table;
    uint32_t indices[CAPACITY];
    open_table(&table);
    for (uint32_t i = 0; i < CAPACITY; i++)
        indices[i] = add(&table, i);
    CU_ASSERT_EQUAL(add(&table, 0), LP_NONE);
    end(&table, indices[3]);
    CU_ASSERT_EQUAL(add(&table, 0), LP_NONE); /* ended, but its outcome is still to be read */
    lp_tasks_free(&table.tasks, indices[3]);
    CU_ASSERT_EQUAL(add(&table, 0), indices[3]);
    CU_ASSERT_EQUAL(table.tasks.table[indices[3]].id, CAPACITY + 1);
    CU_ASSERT(lp_tasks_check(&table.tasks));
}

TEST(tasks, counts_and_bytes_follow_each_move)
{
    struct table table;
    open_table(&table);
    uint32_t one = add(&table, 1), two = add(&table, 2);
    CU_ASSERT_EQUAL(table.tasks.pending_bytes, 20);
    take(&table);
    CU_ASSERT_EQUAL(table.tasks.pending_bytes, 10);
    CU_ASSERT_EQUAL(table.tasks.running, 1);
    lp_tasks_give_back(&table.tasks, one);
    CU_ASSERT_EQUAL(table.tasks.pending_bytes, 20);
    end(&table, two);
    end(&table, one);
    CU_ASSERT_EQUAL(table.tasks.pending_bytes, 0);
    CU_ASSERT_EQUAL(table.tasks.pending + table.tasks.running, 0);
    CU_ASSERT_EQUAL(table.tasks.ended, 2);
    CU_ASSERT_EQUAL(table.tasks.occupied, 0);
}

TEST(tasks, one_that_waits_in_a_channel_is_neither_in_the_backlog_nor_runs)
{
    struct table table;
    open_table(&table);
    struct lp_tasks *tasks = &table.tasks;
    uint32_t one = add(&table, 5), two = add(&table, 5);
    CU_ASSERT_EQUAL(lp_tasks_prefetch(tasks, 2000), one);
    CU_ASSERT_EQUAL(tasks->table[one].state, LP_TASK_PREFETCHED);
    CU_ASSERT_EQUAL(tasks->table[one].assigned_ns, 2000);
    CU_ASSERT_EQUAL(tasks->pending, 1);
    CU_ASSERT_EQUAL(tasks->prefetched, 1);
    CU_ASSERT_EQUAL(tasks->running, 0);
    CU_ASSERT_EQUAL(tasks->pending_bytes, 10);
    CU_ASSERT_EQUAL(lp_tasks_first(tasks), two);
    CU_ASSERT(lp_tasks_check(tasks));
}

TEST(tasks, from_a_channel_it_is_started_or_given_back_or_ended)
{
    struct table table;
    open_table(&table);
    struct lp_tasks *tasks = &table.tasks;
    uint32_t one = add(&table, 5), two = add(&table, 5), three = add(&table, 5);
    for (int i = 0; i < 3; i++)
        lp_tasks_prefetch(tasks, 2000);
    CU_ASSERT_EQUAL(lp_tasks_prefetch(tasks, 2000), LP_NONE);
    lp_tasks_start(tasks, one);
    CU_ASSERT_EQUAL(tasks->running, 1);
    CU_ASSERT_EQUAL(tasks->prefetched, 2);
    lp_tasks_give_back(tasks, two);
    CU_ASSERT_EQUAL(tasks->prefetched, 1);
    CU_ASSERT_EQUAL(tasks->pending_bytes, 10);
    CU_ASSERT_EQUAL(tasks->table[two].returns, 0); /* whoever gives back counts */
    end(&table, three);
    CU_ASSERT_EQUAL(tasks->prefetched, 0);
    CU_ASSERT_EQUAL(tasks->ended, 1);
    CU_ASSERT(lp_tasks_check(tasks));
    CU_ASSERT_EQUAL(take(&table), 2);
}

TEST(tasks, whoever_is_given_back_is_beyond_doubt)
{
    struct table table;
    open_table(&table);
    uint32_t one = add(&table, 5);
    take(&table);
    table.tasks.table[one].doubted = true;
    lp_tasks_give_back(&table.tasks, one);
    CU_ASSERT_FALSE(table.tasks.table[one].doubted);
}

TEST(tasks, the_first_queue_timeout_to_pass_is_found)
{
    struct table table;
    open_table(&table);
    struct lp_tasks *tasks = &table.tasks;
    lp_tasks_add(tasks, &(struct lp_task_spec){.queue_timeout_ns = 500}, 1000);
    uint32_t soon = lp_tasks_add(tasks, &(struct lp_task_spec){.queue_timeout_ns = 100}, 1100);
    lp_tasks_add(tasks, &(struct lp_task_spec){.queue_timeout_ns = 0}, 1100);
    CU_ASSERT_EQUAL(lp_tasks_overdue(tasks, 1199), LP_NONE);
    CU_ASSERT_EQUAL(lp_tasks_overdue(tasks, 1200), soon);
    end(&table, soon);
    CU_ASSERT_EQUAL(lp_tasks_overdue(tasks, 1499), LP_NONE);
}

TEST(tasks, a_task_that_runs_has_no_queue_timeout_and_gets_it_back_when_returned)
{
    struct table table;
    open_table(&table);
    struct lp_tasks *tasks = &table.tasks;
    uint32_t index = lp_tasks_add(tasks, &(struct lp_task_spec){.queue_timeout_ns = 100}, 1000);
    take(&table);
    CU_ASSERT_EQUAL(lp_tasks_overdue(tasks, 9999), LP_NONE);
    lp_tasks_give_back(tasks, index);
    CU_ASSERT_EQUAL(lp_tasks_overdue(tasks, 1099), LP_NONE);
    CU_ASSERT_EQUAL(lp_tasks_overdue(tasks, 1100), index);
}

/* A checker that never fails is worth nothing. */
TEST(tasks, the_checker_notices)
{
    struct table table;
    open_table(&table);
    uint32_t one = add(&table, 5), two = add(&table, 5);
    struct lp_task *second = &table.tasks.table[two];
    CU_ASSERT(lp_tasks_check(&table.tasks));
    second->previous = two;
    CU_ASSERT_FALSE(lp_tasks_check(&table.tasks));
    second->previous = one;
    second->state = LP_TASK_RUNNING;
    CU_ASSERT_FALSE(lp_tasks_check(&table.tasks));
    second->state = LP_TASK_PENDING;
    second->spec.priority = 6;
    CU_ASSERT_FALSE(lp_tasks_check(&table.tasks));
    second->spec.priority = 5;
    table.tasks.pending++;
    CU_ASSERT_FALSE(lp_tasks_check(&table.tasks));
    table.tasks.pending--;
    table.tasks.prefetched++;
    CU_ASSERT_FALSE(lp_tasks_check(&table.tasks));
    table.tasks.prefetched--;
    table.tasks.occupied = 0;
    CU_ASSERT_FALSE(lp_tasks_check(&table.tasks));
}
