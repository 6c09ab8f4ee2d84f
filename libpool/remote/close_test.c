/* SPDX-License-Identifier: MIT */
/* How a server ends: what waits and runs as told, in time, and everybody hears of it. */
#include "server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>

#include "rig.h"

#define TASKS 6

/* One runs, one is in the pool with it, four wait at the server. */
static libpool_remote *fill(struct rig *rig, libpool_remote_future **futures)
{
    libpool_remote_options options = {.size = sizeof options, .window = 2};
    rig_start(rig, 1, &options);
    libpool_remote *remote = rig_open(rig);
    for (int i = 0; i < TASKS; i++)
        futures[i] = rig_submit(remote, "gate", NULL, 0);
    CU_ASSERT_TRUE(
        RIG_AWAIT(atomic_load(&rig_shared->begun) == 1 && rig_stats(rig).tasks_received == TASKS));
    return remote;
}

static void stop_pool(struct rig *rig)
{
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(rig->pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.tasks_pending + stats.tasks_running, 0);
    libpool_close(rig->pool);
    munmap(rig_shared, sizeof *rig_shared);
}

static void expect_ends(libpool_remote_future **futures, unsigned completed)
{
    unsigned counted = 0;
    for (int i = 0; i < TASKS; i++) {
        libpool_cause cause = rig_end(futures[i]);
        counted += cause == LIBPOOL_COMPLETED;
        CU_ASSERT_TRUE(cause == LIBPOOL_COMPLETED || cause == LIBPOOL_SHUTDOWN);
    }
    CU_ASSERT_EQUAL(counted, completed);
}

static void expect_farewell(libpool_remote *remote)
{
    char why[100];
    libpool_remote_task task = {.size = sizeof task, .name = "count"};
    CU_ASSERT_EQUAL(libpool_remote_dispatch(remote), -ESHUTDOWN);
    CU_ASSERT_EQUAL(libpool_remote_status(remote, why, sizeof why), -ESHUTDOWN);
    CU_ASSERT_STRING_EQUAL(why, "the server was closed");
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 0, NULL), -ESHUTDOWN);
}

TEST(remote_close, at_once_ends_all_and_tells)
{
    struct rig rig;
    libpool_remote_future *futures[TASKS];
    libpool_remote *remote = fill(&rig, futures);
    int64_t begun_ms = rig_now_ms();
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, 0, -1), 0);
    CU_ASSERT_TRUE(rig_now_ms() - begun_ms < 900); /* none of its limits had to end it */
    expect_ends(futures, 0);
    expect_farewell(remote);
    libpool_remote_close(remote);
    stop_pool(&rig);
}

/* What each is told of a close that ends all. */
TEST(remote_close, the_reason_is_said_as_it_is)
{
    struct rig rig;
    unsigned ran = 0, waited = 0;
    libpool_remote_future *futures[TASKS];
    libpool_remote *remote = fill(&rig, futures);
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, 0, -1), 0);
    for (int i = 0; i < TASKS; i++) {
        CU_ASSERT_EQUAL_FATAL(libpool_remote_wait(futures[i], RIG_MS), 0);
        const libpool_result *result = libpool_remote_result(futures[i]);
        bool begun = result->certainty == LIBPOOL_MAY_HAVE_RUN;
        CU_ASSERT_STRING_EQUAL(result->text, begun
                                                 ? "shutdown: the server was closed while it ran"
                                                 : "shutdown: the server was closed before it ran");
        ran += begun;
        waited += result->certainty == LIBPOOL_NOT_STARTED;
        libpool_remote_free(futures[i]);
    }
    CU_ASSERT_EQUAL(ran, 1);
    CU_ASSERT_EQUAL(waited, TASKS - 1);
    libpool_remote_close(remote);
    stop_pool(&rig);
}

static void *open_gate_later(void *arg)
{
    struct rig *rig = arg;
    (void)RIG_AWAIT(fcntl(rig->listener, F_GETFD) < 0); /* the server has begun to close */
    rig_open_gate(TASKS);
    return NULL;
}

TEST(remote_close, waiting_lets_all_finish)
{
    struct rig rig;
    pthread_t opener;
    libpool_remote_future *futures[TASKS];
    libpool_remote *remote = fill(&rig, futures);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&opener, NULL, open_gate_later, &rig), 0);
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, LIBPOOL_WAIT, -1), 0);
    CU_ASSERT_EQUAL(pthread_join(opener, NULL), 0);
    expect_ends(futures, TASKS);
    expect_farewell(remote);
    libpool_remote_close(remote);
    stop_pool(&rig);
}

static void *open_gate_when_both_are_asked(void *arg)
{
    const struct rig *rig = arg;
    libpool_event event = {.size = sizeof event};
    for (int asked = 0; asked < 2 && libpool_event_next(rig->pool, &event, RIG_MS) == 0;)
        asked += event.kind == LIBPOOL_EVENT_TASK_ASKED;
    rig_open_gate(2);
    return NULL;
}

/* One of them by its client, before anybody closed. */
TEST(remote_close, what_its_client_had_cancelled_was_cancelled)
{
    static const libpool_remote_offer offer = {
        "patient", {.size = sizeof(libpool_task), .function = rig_gate, .grace_ms = RIG_MS}};
    struct rig rig;
    pthread_t opener;
    libpool_options pool_options = {.size = sizeof pool_options,
                                    .flags = LIBPOOL_CALLBACKS,
                                    .max_workers = 2,
                                    .event_buffer = 100};
    libpool_remote_options options = {.size = sizeof options, .offers = &offer, .offers_count = 1};
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    CU_ASSERT_EQUAL_FATAL(libpool_open(&rig.pool, &pool_options), 0);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 2, &options), 0);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *first = rig_submit(remote, "patient", NULL, 0),
                          *second = rig_submit(remote, "patient", NULL, 0);
    CU_ASSERT_TRUE(RIG_AWAIT(atomic_load(&rig_shared->begun) == 2));
    CU_ASSERT_EQUAL(libpool_remote_cancel(first), 0);
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "unknown", NULL, 0)), LIBPOOL_ERROR); /* behind it */
    CU_ASSERT_EQUAL_FATAL(pthread_create(&opener, NULL, open_gate_when_both_are_asked, &rig), 0);
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, 0, 0), 0);
    CU_ASSERT_EQUAL(pthread_join(opener, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_remote_wait(second, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(second)->cause, LIBPOOL_SHUTDOWN);
    CU_ASSERT_STRING_EQUAL(libpool_remote_result(second)->text,
                           "shutdown: the server was closed, it returned when asked to");
    CU_ASSERT_EQUAL(rig_end(first), LIBPOOL_CANCELLED);
    libpool_remote_free(second);
    libpool_remote_close(remote);
    stop_pool(&rig);
}

TEST(remote_close, waiting_and_cancelling_lets_finish_what_the_pool_has)
{
    struct rig rig;
    pthread_t opener;
    libpool_remote_future *futures[TASKS];
    libpool_remote *remote = fill(&rig, futures);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&opener, NULL, open_gate_later, &rig), 0);
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, LIBPOOL_WAIT | LIBPOOL_CANCEL, -1), 0);
    CU_ASSERT_EQUAL(pthread_join(opener, NULL), 0);
    expect_ends(futures, 2);
    libpool_remote_close(remote);
    stop_pool(&rig);
}

TEST(remote_close, waiting_has_an_end)
{
    struct rig rig;
    libpool_remote_future *futures[TASKS];
    libpool_remote *remote = fill(&rig, futures);
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, LIBPOOL_WAIT, 50), -ETIME);
    expect_ends(futures, 0);
    expect_farewell(remote);
    libpool_remote_close(remote);
    stop_pool(&rig);
}

/* It has asked for more than a socket holds, and never reads. */
TEST(remote_close, who_does_not_read_delays_it_by_a_second)
{
    struct rig rig;
    size_t wanted = 8 << 20;
    rig_start(&rig, 1, NULL);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *future = rig_submit(remote, "grow", &wanted, sizeof wanted);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).tasks_ended[LIBPOOL_COMPLETED] == 1));
    int64_t begun_ms = rig_now_ms();
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, 0, 0), -ETIME);
    CU_ASSERT_TRUE(rig_now_ms() - begun_ms < 3000);
    CU_ASSERT_EQUAL(libpool_remote_wait(future, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(future)->cause, LIBPOOL_LOST);
    CU_ASSERT_EQUAL(libpool_remote_result(future)->certainty, LIBPOOL_MAY_HAVE_RUN);
    libpool_remote_free(future);
    libpool_remote_close(remote);
    stop_pool(&rig);
}

static int admit_all(void *arg, const libpool_remote_peer *peer)
{
    (void)arg, (void)peer;
    return 0;
}

/* A server on TCP, and a session with it. */
static libpool_remote *start_tcp(struct rig *rig)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    libpool_remote *remote = NULL;
    *rig = (struct rig){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    libpool_remote_options options = {.size = sizeof options, .admit = admit_all};
    CU_ASSERT_TRUE_FATAL(rig_share());
    CU_ASSERT_TRUE_FATAL(bind(rig->listener, (struct sockaddr *)&address, size) == 0 &&
                         listen(rig->listener, 8) == 0 &&
                         getsockname(rig->listener, (struct sockaddr *)&address, &size) == 0);
    CU_ASSERT_EQUAL_FATAL(rig_serve(rig, 1, &options), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&address, size), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_remote_open(&remote, fd, NULL), 0);
    return remote;
}

/* What was given to TCP has not arrived: only the client's end of the connection tells that. */
TEST(remote_close, over_tcp_who_has_not_heard_was_not_told)
{
    struct rig rig;
    libpool_remote *remote = start_tcp(&rig);
    libpool_remote_future *future = rig_submit(remote, "echo", "1", 1);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).tasks_ended[LIBPOOL_COMPLETED] == 1));
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, 0, 0), -ETIME);
    CU_ASSERT_EQUAL(rig_end(future), LIBPOOL_COMPLETED);
    libpool_remote_close(remote);
    stop_pool(&rig);
}

/* To the farewell. */
static void *hear_it_out(void *arg)
{
    struct pollfd polled = {.fd = libpool_remote_fd(arg), .events = POLLIN};
    while (libpool_remote_dispatch(arg) == 0 && poll(&polled, 1, RIG_MS) == 1)
        ;
    return NULL;
}

TEST(remote_close, over_tcp_who_listens_hears_and_delays_nothing)
{
    struct rig rig;
    pthread_t thread;
    libpool_remote *remote = start_tcp(&rig);
    libpool_remote_future *future = rig_submit(remote, "gate", NULL, 0),
                          *second = rig_submit(remote, "gate", NULL, 0);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).tasks_received == 2));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, hear_it_out, remote), 0);
    int64_t begun_ms = rig_now_ms();
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, 0, 0), 0);
    CU_ASSERT_TRUE(rig_now_ms() - begun_ms < 900);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_EQUAL(rig_end(future), LIBPOOL_SHUTDOWN);
    CU_ASSERT_EQUAL(rig_end(second), LIBPOOL_SHUTDOWN);
    libpool_remote_close(remote);
    stop_pool(&rig);
}

/* A thread's task ends when it likes: the server is closed and freed, and what comes later finds no harm. */
TEST(remote_close, a_task_that_nobody_can_end_outlives_the_server)
{
    struct rig rig = {.listener = -1};
    libpool_options pool_options = {.size = sizeof pool_options,
                                    .flags = LIBPOOL_CALLBACKS,
                                    .start = LIBPOOL_THREADS,
                                    .max_workers = 1};
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    CU_ASSERT_EQUAL_FATAL(libpool_open(&rig.pool, &pool_options), 0);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, NULL), 0);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *future = rig_submit(remote, "gate", "input", 5);
    CU_ASSERT_TRUE(RIG_AWAIT(atomic_load(&rig_shared->begun) == 1));
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, 0, 0), -ETIME);
    CU_ASSERT_EQUAL(rig_end(future), LIBPOOL_LOST);
    libpool_remote_close(remote);
    rig_open_gate(1);
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_drain(rig.pool, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_stats_read(rig.pool, &stats), 0);
    CU_ASSERT_EQUAL(stats.tasks_ended[LIBPOOL_CANCELLED], 1);
    stop_pool(&rig);
}

TEST(remote_close, a_copy_of_the_process_can_not)
{
    struct rig rig;
    rig_start(&rig, 1, NULL);
    pid_t copy = fork();
    if (copy == 0)
        _exit(libpool_remote_server_close(rig.server, 0, 0) == -ECHILD ? 0 : 1);
    CU_ASSERT_EQUAL(rig_reap(copy), TEST_EXIT(0));
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, 4, 0), -EINVAL);
    CU_ASSERT_EQUAL(libpool_remote_server_close(NULL, 0, 0), 0);
    libpool_remote *remote = rig_open(&rig);
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "count", NULL, 0)), LIBPOOL_COMPLETED);
    libpool_remote_close(remote);
    rig_stop(&rig);
}
