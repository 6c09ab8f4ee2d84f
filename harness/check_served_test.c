/* SPDX-License-Identifier: MIT */
/* check_served_test: a server and its clients that agree, and each way in which they don't. */
#include "harness/check.h"
#include "harness/test.h"

struct served {
    struct hn_world *world;
    struct hn_group groups[2]; /* the application's, and a client's */
    struct hn_case of;
};

static struct hn_row *add(struct served *served, enum hn_task_state state, libpool_cause cause)
{
    struct hn_row *row = &served->world->rows[atomic_fetch_add(&served->world->tasks_count, 1)];
    *row = (struct hn_row){.group = 1, .cause = cause, .pid = 1000};
    atomic_store(&row->state, state);
    return row;
}

/* Two sessions, one of them over; two tasks have completed, one has failed. */
static void begin(struct served *served)
{
    *served = (struct served){.world = hn_world_new()};
    CU_ASSERT_PTR_NOT_NULL_FATAL(served->world);
    served->groups[1].client = 1;
    served->of = (struct hn_case){
        .world = served->world, .groups = served->groups, .groups_count = 2};
    add(served, HN_TASK_COLLECTED, LIBPOOL_COMPLETED);
    add(served, HN_TASK_COLLECTED, LIBPOOL_COMPLETED);
    add(served, HN_TASK_COLLECTED, LIBPOOL_ERROR);
    add(served, HN_TASK_COLLECTED, LIBPOOL_CRASH)->group = 0;
    atomic_store(&served->world->clients[0].told, 3);
    libpool_remote_stats *stats = &served->world->served;
    stats->sessions_accepted = 2;
    stats->sessions_open = 1;
    stats->sessions_ended[LIBPOOL_REMOTE_LEFT] = 1;
    stats->tasks_received = 3;
    stats->tasks_ended[LIBPOOL_COMPLETED] = 2;
    stats->tasks_ended[LIBPOOL_ERROR] = 1;
}

/* How many objections; all of I2. */
static uint32_t look(const struct served *served)
{
    struct hn_findings findings = {0};
    hn_check_served(&served->of, &findings);
    CU_ASSERT_EQUAL(hn_findings_total(&findings), hn_findings_count(&findings, HN_I2_BOOKS));
    return hn_findings_total(&findings);
}

TEST(check_served, one_that_agrees_with_its_clients_passes)
{
    struct served served;
    begin(&served);
    CU_ASSERT_EQUAL(look(&served), 0);
    hn_world_free(served.world);
}

TEST(check_served, books_that_do_not_balance_are_seen)
{
    struct served served;
    begin(&served);
    served.world->served.sessions_open++;
    CU_ASSERT_EQUAL(look(&served), 1);
    served.world->served.sessions_open--;
    served.world->served.tasks_waiting++;
    CU_ASSERT_EQUAL(look(&served), 1);
    hn_world_free(served.world);
}

TEST(check_served, a_result_too_many_or_too_few_is_seen)
{
    struct served served;
    begin(&served);
    atomic_store(&served.world->clients[0].told, 4);
    CU_ASSERT_EQUAL(look(&served), 2); /* neither its rows nor the server */
    atomic_store(&served.world->clients[0].told, 3);
    served.world->served.results_dropped = 1;
    CU_ASSERT_EQUAL(look(&served), 1);
    served.world->served.results_dropped = 0;
    served.world->served.tasks_ended[LIBPOOL_ERROR]--;
    served.world->served.tasks_ended[LIBPOOL_EXIT]++;
    CU_ASSERT_EQUAL(look(&served), 2);
    hn_world_free(served.world);
}

/* Of what it had submitted some had come, and of that some had been told. */
TEST(check_served, a_client_that_is_gone_may_have_missed_some_and_no_more)
{
    struct served served;
    begin(&served);
    add(&served, HN_TASK_ABANDONED, LIBPOOL_PENDING);
    add(&served, HN_TASK_ABANDONED, LIBPOOL_PENDING);
    CU_ASSERT_EQUAL(look(&served), 0);
    served.world->served.tasks_received = 5;
    served.world->served.tasks_ended[LIBPOOL_CANCELLED] = 2;
    served.world->served.results_dropped = 2;
    CU_ASSERT_EQUAL(look(&served), 0);
    served.world->served.results_dropped = 3; /* three were told */
    CU_ASSERT_EQUAL(look(&served), 1);
    served.world->served.results_dropped = 2;
    served.world->served.tasks_received = 6; /* that nobody submitted */
    served.world->served.tasks_ended[LIBPOOL_CANCELLED] = 3;
    CU_ASSERT_EQUAL(look(&served), 1);
    hn_world_free(served.world);
}
