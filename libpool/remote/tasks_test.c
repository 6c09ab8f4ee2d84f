/* SPDX-License-Identifier: MIT */
/* Whose turn it is, what clients may ask for, and what a pool that refuses comes to. */
#include "server.h"

#include <stdio.h>

#include "rig.h"

/* One worker, which is at the gate: what is submitted now waits until that opens. */
static libpool_remote_future *block(struct rig *rig, libpool_remote *remote)
{
    libpool_remote_future *gate = rig_submit(remote, "gate", NULL, 0);
    CU_ASSERT_TRUE(RIG_AWAIT(atomic_load(&rig_shared->begun) == 1));
    (void)rig;
    return gate;
}

TEST(remote_tasks, who_has_one_does_not_wait_for_who_has_hundreds)
{
    enum {
        MANY = 500,
        WINDOW = 4
    };
    struct rig rig;
    libpool_remote_options options = {
        .size = sizeof options, .window = WINDOW, .session_window = MANY};
    libpool_remote_future *many[MANY];
    rig_start(&rig, 1, &options);
    libpool_remote *greedy = rig_open(&rig), *modest = rig_open(&rig);
    libpool_remote_future *gate = block(&rig, greedy);
    for (int i = 0; i < MANY; i++)
        many[i] = rig_submit(greedy, "count", NULL, 0);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).tasks_received == 1 + MANY));
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).tasks_in_pool == WINDOW));
    libpool_remote_future *one = rig_submit(modest, "echo", "1", 1);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).tasks_received == 2 + MANY));
    rig_open_gate(1);
    CU_ASSERT_EQUAL_FATAL(libpool_remote_wait(one, RIG_MS), 0);
    /* The pool's own count: the gate, what was in the pool with it, and one of the other's turns. */
    CU_ASSERT_TRUE(libpool_remote_result(one)->task_id <= WINDOW + 2);
    for (int i = 0; i < MANY; i++)
        CU_ASSERT_EQUAL(rig_end(many[i]), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(rig_end(gate), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(rig_end(one), LIBPOOL_COMPLETED);
    libpool_remote_close(greedy);
    libpool_remote_close(modest);
    rig_stop(&rig);
}

TEST(remote_tasks, a_sessions_own_window_leaves_room_in_the_pool)
{
    struct rig rig;
    libpool_remote_options options = {.size = sizeof options, .window = 4, .session_window = 1};
    rig_start(&rig, 2, &options);
    libpool_remote *greedy = rig_open(&rig), *modest = rig_open(&rig);
    libpool_remote_future *gates[3];
    for (int i = 0; i < 3; i++)
        gates[i] = rig_submit(greedy, "gate", NULL, 0);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).tasks_received == 3));
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).tasks_in_pool > 0));
    CU_ASSERT_EQUAL(rig_end(rig_submit(modest, "count", NULL, 0)), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_in_pool, 1);
    rig_open_gate(3);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(rig_end(gates[i]), LIBPOOL_COMPLETED);
    libpool_remote_close(greedy);
    libpool_remote_close(modest);
    rig_stop(&rig);
}

TEST(remote_tasks, priority_orders_those_of_one_session)
{
    static const uint32_t priorities[] = {9, 5, 63, 0, 5};
    static const uint64_t places[] = {4, 2, 5, 1, 3}; /* in which they should be */
    struct rig rig;
    libpool_remote_options options = {.size = sizeof options, .window = 1};
    libpool_remote_future *futures[5];
    rig_start(&rig, 1, &options);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *gate = block(&rig, remote);
    for (int i = 0; i < 5; i++) {
        libpool_remote_task task = {
            .size = sizeof task, .name = "count", .priority = priorities[i]};
        CU_ASSERT_EQUAL_FATAL(libpool_remote_submit(remote, &task, RIG_MS, &futures[i]), 0);
    }
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).tasks_received == 6));
    rig_open_gate(1);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL_FATAL(libpool_remote_wait(futures[i], RIG_MS), 0);
        CU_ASSERT_EQUAL(libpool_remote_result(futures[i])->task_id, 1 + places[i]);
        libpool_remote_free(futures[i]);
    }
    CU_ASSERT_EQUAL(rig_end(gate), LIBPOOL_COMPLETED);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

TEST(remote_tasks, a_queue_timeout_counts_from_the_servers_receipt)
{
    struct rig rig;
    libpool_remote_options options = {.size = sizeof options, .window = 1};
    libpool_remote_future *late[4];
    rig_start(&rig, 1, &options);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *gate = block(&rig, remote);
    for (int i = 0; i < 4; i++) {
        libpool_remote_task task = {
            .size = sizeof task, .name = "count", .queue_timeout_ms = 40 + 10 * (uint32_t)i};
        CU_ASSERT_EQUAL_FATAL(libpool_remote_submit(remote, &task, RIG_MS, &late[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL_FATAL(libpool_remote_wait(late[i], RIG_MS), 0);
        const libpool_result *result = libpool_remote_result(late[i]);
        CU_ASSERT_EQUAL(result->cause, LIBPOOL_QUEUE_TIMEOUT);
        CU_ASSERT_EQUAL(result->certainty, LIBPOOL_NOT_STARTED);
        CU_ASSERT_TRUE(result->pending_ns >= 39 * LPR_MS);
        libpool_remote_free(late[i]);
    }
    CU_ASSERT_EQUAL(atomic_load(&rig_shared->counted), 0);
    rig_open_gate(1);
    CU_ASSERT_EQUAL(rig_end(gate), LIBPOOL_COMPLETED);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

TEST(remote_tasks, a_pool_that_is_full_of_others_tasks_is_waited_for)
{
    struct rig rig = {.listener = -1};
    libpool_options pool_options = {.size = sizeof pool_options,
                                    .flags = LIBPOOL_CALLBACKS,
                                    .max_workers = 1,
                                    .backlog_tasks = 1};
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    CU_ASSERT_EQUAL_FATAL(libpool_open(&rig.pool, &pool_options), 0);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, NULL), 0);
    libpool_task own = {.size = sizeof own, .function = rig_gate};
    CU_ASSERT_EQUAL(libpool_submit(rig.pool, &own, RIG_MS, NULL), 0);
    CU_ASSERT_TRUE(RIG_AWAIT(atomic_load(&rig_shared->begun) == 1));
    CU_ASSERT_EQUAL(libpool_submit(rig.pool, &own, RIG_MS, NULL), 0);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *futures[3];
    for (int i = 0; i < 3; i++)
        futures[i] = rig_submit(remote, "count", NULL, 0);
    CU_ASSERT_EQUAL(libpool_remote_wait(futures[0], 500), -ETIMEDOUT);
    libpool_stats pool = {.size = sizeof pool};
    CU_ASSERT_EQUAL(libpool_stats_read(rig.pool, &pool), 0);
    CU_ASSERT_TRUE(pool.tasks_rejected >= 2);
    CU_ASSERT_TRUE(pool.tasks_rejected <= 10); /* more and more seldom */
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_waiting, 3);
    rig_open_gate(2);
    CU_ASSERT_EQUAL(libpool_remote_wait(futures[0], 2000), 0); /* nothing else wakes the server */
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(rig_end(futures[i]), LIBPOOL_COMPLETED);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

TEST(remote_tasks, what_the_pool_refuses_is_told)
{
    static const libpool_remote_offer offers[] = {
        {"crash", {.size = sizeof(libpool_task), .function = rig_crash, .kind = 7}},
        {"named", {.size = sizeof(libpool_task), .object = "/nowhere.so", .symbol = "nothing"}},
        {"wrong", {.size = sizeof(libpool_task), .function = rig_count, .soft_signal = SIGTERM}}};
    struct rig rig = {.listener = -1};
    libpool_options pool_options = {.size = sizeof pool_options,
                                    .flags = LIBPOOL_CALLBACKS,
                                    .max_workers = 1,
                                    .quarantine_deaths = 1};
    libpool_remote_options options = {.size = sizeof options, .offers = offers, .offers_count = 3};
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    CU_ASSERT_EQUAL_FATAL(libpool_open(&rig.pool, &pool_options), 0);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, &options), 0);
    libpool_remote *remote = rig_open(&rig);
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "crash", NULL, 0)), LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "crash", NULL, 0)), LIBPOOL_QUARANTINED);
    libpool_remote_future *named = rig_submit(remote, "named", NULL, 0),
                          *wrong = rig_submit(remote, "wrong", NULL, 0);
    CU_ASSERT_EQUAL(libpool_remote_wait(wrong, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(wrong)->code, -EINVAL);
    CU_ASSERT_EQUAL(libpool_remote_result(wrong)->certainty, LIBPOOL_NOT_STARTED);
    CU_ASSERT_EQUAL(libpool_remote_wait(named, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(named)->code, -ENOENT);
    libpool_remote_free(named);
    libpool_remote_free(wrong);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

TEST(remote_tasks, a_pool_that_was_shut_down_ends_them_and_holds_up_nobody)
{
    struct rig rig;
    libpool_remote_options options = {.size = sizeof options, .window = 2};
    libpool_remote_future *futures[5];
    rig_start(&rig, 1, &options);
    libpool_remote *remote = rig_open(&rig);
    for (int i = 0; i < 5; i++)
        futures[i] = rig_submit(remote, "gate", NULL, 0);
    CU_ASSERT_TRUE(RIG_AWAIT(atomic_load(&rig_shared->begun) == 1));
    CU_ASSERT_EQUAL(libpool_shutdown(rig.pool, LIBPOOL_CANCEL, 0), 0);
    for (int i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(rig_end(futures[i]), LIBPOOL_SHUTDOWN);
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "count", NULL, 0)), LIBPOOL_SHUTDOWN);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

TEST(remote_tasks, an_offer_bounds_what_a_client_may_ask_for)
{
    struct rig rig;
    rig_start(&rig, 1, NULL);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *future = NULL;
    libpool_remote_task task = {
        .size = sizeof task, .name = "bounded", .run_timeout_ms = UINT32_MAX};
    CU_ASSERT_EQUAL_FATAL(libpool_remote_submit(remote, &task, RIG_MS, &future), 0);
    CU_ASSERT_EQUAL(rig_end(future), LIBPOOL_TIMEOUT);
    task.name = "gate"; /* which has no bound: the client's counts */
    task.run_timeout_ms = 30;
    CU_ASSERT_EQUAL_FATAL(libpool_remote_submit(remote, &task, RIG_MS, &future), 0);
    CU_ASSERT_EQUAL(rig_end(future), LIBPOOL_TIMEOUT);
    libpool_remote_close(remote);
    rig_stop(&rig);
}
