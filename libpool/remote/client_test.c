/* SPDX-License-Identifier: MIT */
/* What a client gets: results as they are in the pool, its limits, and the truth when the server is gone. */
#include "client.h"

#include <pthread.h>
#include <stdio.h>

#include "rig.h"

static int echo_once(const struct rig *rig)
{
    libpool_remote *remote;
    if (rig_open_with(rig, NULL, &remote) < 0)
        return 1;
    libpool_remote_future *future = rig_submit(remote, "echo", "hello", 5);
    if (!future || libpool_remote_wait(future, RIG_MS) < 0)
        return 2;
    const libpool_result *result = libpool_remote_result(future);
    int code = result->cause == LIBPOOL_COMPLETED && result->certainty == LIBPOOL_HAS_RUN &&
                       result->data_size == 5 && memcmp(result->data, "hello", 5) == 0 &&
                       result->pid > 0 && result->task_id > 0
                   ? 0
                   : 3;
    libpool_remote_free(future);
    libpool_remote_close(remote);
    return code;
}

TEST(remote_client, in_another_process_submits_and_gets_its_result)
{
    struct rig rig;
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    pid_t client = rig_fork(echo_once, &rig); /* it waits in the socket's backlog */
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 2, NULL), 0);
    CU_ASSERT_EQUAL(rig_reap(client), TEST_EXIT(0));
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_ended[LIBPOOL_COMPLETED], 1);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).sessions_ended[LIBPOOL_REMOTE_LEFT] == 1));
    rig_stop(&rig);
}

static char *make_bytes(size_t size)
{
    char *bytes = malloc(size + 1);
    for (size_t i = 0; bytes && i < size; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    return bytes;
}

static bool is_echoed(libpool_remote *remote, size_t size)
{
    char *bytes = make_bytes(size);
    libpool_remote_future *future = rig_submit(remote, "echo", bytes, size);
    bool same = future && libpool_remote_wait(future, RIG_MS) == 0 &&
                libpool_remote_result(future)->cause == LIBPOOL_COMPLETED &&
                libpool_remote_result(future)->data_size == size &&
                (size == 0 || memcmp(libpool_remote_result(future)->data, bytes, size) == 0) &&
                ((uintptr_t)libpool_remote_result(future)->data & 15) == 0;
    libpool_remote_free(future);
    free(bytes);
    return same;
}

TEST(remote_client, payloads_of_any_size_are_exact)
{
    static const size_t sizes[] = {0, 1, 4095, 65536 - 48, 65536, 1000003, (size_t)16 << 20};
    struct rig rig;
    rig_start(&rig, 1, NULL);
    libpool_remote *remote = rig_open(&rig);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        CU_ASSERT_TRUE(is_echoed(remote, sizes[i]));
    libpool_remote_task task = {
        .size = sizeof task, .name = "echo", .input = "", .input_size = ((size_t)16 << 20) + 1};
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 0, NULL), -EMSGSIZE);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

TEST(remote_client, a_result_says_what_it_came_to)
{
    struct rig rig;
    size_t huge = ((size_t)16 << 20) + 1;
    rig_start(&rig, 1, NULL);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *crash = rig_submit(remote, "crash", NULL, 0),
                          *fail = rig_submit(remote, "fail", NULL, 0),
                          *nothing = rig_submit(remote, "nothing", "x", 1),
                          *bounded = rig_submit(remote, "bounded", NULL, 0),
                          *large = rig_submit(remote, "grow", &huge, sizeof huge);
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "coun", NULL, 0)), LIBPOOL_ERROR);
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "counts", NULL, 0)), LIBPOOL_ERROR);
    CU_ASSERT_EQUAL_FATAL(libpool_remote_wait(large, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(large)->cause, LIBPOOL_ERROR);
    CU_ASSERT_EQUAL(libpool_remote_result(large)->code, -EMSGSIZE);
    CU_ASSERT_EQUAL(libpool_remote_result(large)->certainty, LIBPOOL_HAS_RUN);
    CU_ASSERT_EQUAL_FATAL(libpool_remote_wait(crash, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(crash)->cause, LIBPOOL_CRASH);
    CU_ASSERT_EQUAL(libpool_remote_result(crash)->signal, SIGSEGV);
    CU_ASSERT_EQUAL(libpool_remote_result(crash)->certainty, LIBPOOL_MAY_HAVE_RUN);
    CU_ASSERT_PTR_NOT_NULL(strstr(libpool_remote_result(crash)->text, "SIGSEGV"));
    CU_ASSERT_EQUAL_FATAL(libpool_remote_wait(fail, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(fail)->cause, LIBPOOL_ERROR);
    CU_ASSERT_EQUAL(libpool_remote_result(fail)->code, 42);
    CU_ASSERT_EQUAL_FATAL(libpool_remote_wait(nothing, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(nothing)->cause, LIBPOOL_ERROR);
    CU_ASSERT_EQUAL(libpool_remote_result(nothing)->code, -ENOENT);
    CU_ASSERT_EQUAL(libpool_remote_result(nothing)->certainty, LIBPOOL_NOT_STARTED);
    CU_ASSERT_EQUAL(libpool_remote_result(nothing)->slot, UINT32_MAX);
    CU_ASSERT_EQUAL(rig_end(bounded), LIBPOOL_TIMEOUT); /* the offer's bound, though nobody asked */
    libpool_remote_free(crash);
    libpool_remote_free(fail);
    libpool_remote_free(nothing);
    libpool_remote_free(large);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

TEST(remote_client, what_it_may_hold_is_limited_and_room_lets_in)
{
    struct rig rig;
    libpool_remote_options options = {.size = sizeof options, .session_tasks = 3};
    rig_start(&rig, 1, &options);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *gates[3];
    for (int i = 0; i < 3; i++)
        gates[i] = rig_submit(remote, "gate", NULL, 0);
    libpool_remote_task task = {.size = sizeof task, .name = "count"};
    libpool_remote_future *future;
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 0, &future), -EAGAIN);
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 10, &future), -ETIMEDOUT);
    CU_ASSERT_PTR_NULL(future);
    rig_open_gate(3);
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, RIG_MS, &future), 0);
    CU_ASSERT_EQUAL(rig_end(future), LIBPOOL_COMPLETED);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(rig_end(gates[i]), LIBPOOL_COMPLETED);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

TEST(remote_client, bytes_that_wait_are_limited)
{
    struct rig rig;
    libpool_remote_options options = {
        .size = sizeof options, .payload_bytes = 1000, .session_bytes = 1500};
    rig_start(&rig, 1, &options);
    libpool_remote *remote = rig_open(&rig);
    char input[1001] = {0};
    libpool_remote_future *gate = rig_submit(remote, "gate", input, 1000);
    libpool_remote_task task = {
        .size = sizeof task, .name = "count", .input = input, .input_size = 501};
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 0, NULL), -EAGAIN);
    task.input_size = 500;
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 0, NULL), 0);
    task.input_size = 1001;
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 0, NULL), -EMSGSIZE);
    rig_open_gate(1);
    CU_ASSERT_EQUAL(rig_end(gate), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "count", input, 1000)), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(atomic_load(&rig_shared->counted), 2);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

TEST(remote_client, tasks_are_cancelled_wherever_they_are)
{
    struct rig rig;
    libpool_remote_options options = {.size = sizeof options, .window = 2};
    rig_start(&rig, 1, &options);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *futures[6];
    for (uint64_t i = 0; i < 6; i++) {
        libpool_remote_task task = {.size = sizeof task, .name = "gate", .group = 1 + (i >= 3)};
        CU_ASSERT_EQUAL_FATAL(libpool_remote_submit(remote, &task, RIG_MS, &futures[i]), 0);
    }
    CU_ASSERT_TRUE(RIG_AWAIT(atomic_load(&rig_shared->begun) == 1));
    CU_ASSERT_EQUAL(libpool_remote_cancel(futures[2]), 0); /* waits at the server */
    CU_ASSERT_EQUAL(libpool_remote_wait(futures[2], RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(futures[2])->cause, LIBPOOL_CANCELLED);
    CU_ASSERT_EQUAL(libpool_remote_result(futures[2])->certainty, LIBPOOL_NOT_STARTED);
    CU_ASSERT_EQUAL(libpool_remote_cancel(futures[0]), 0); /* runs */
    CU_ASSERT_EQUAL(libpool_remote_wait(futures[0], RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(futures[0])->cause, LIBPOOL_CANCELLED);
    CU_ASSERT_EQUAL(libpool_remote_result(futures[0])->certainty, LIBPOOL_MAY_HAVE_RUN);
    CU_ASSERT_EQUAL(libpool_remote_cancel(futures[0]), LIBPOOL_CANCEL_DONE);
    CU_ASSERT_EQUAL(libpool_remote_cancel_group(remote, 2), 0);
    for (int i = 3; i < 6; i++)
        CU_ASSERT_EQUAL(rig_end(futures[i]), LIBPOOL_CANCELLED);
    rig_open_gate(1);
    CU_ASSERT_EQUAL(rig_end(futures[1]), LIBPOOL_COMPLETED);
    libpool_remote_free(futures[0]);
    libpool_remote_free(futures[2]);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

/* ---- a server elsewhere ---------------------------------------------------------------------- */

/* Serves until it is killed. */
static int serve_for_ever(const struct rig *listening)
{
    struct rig rig = *listening;
    if (rig_serve(&rig, 1, NULL) < 0)
        return 1;
    for (;;)
        (void)pause();
}

/* A server in another process, and a session with it. */
static pid_t start_elsewhere(struct rig *rig, uint32_t silence_ms, libpool_remote **remote)
{
    libpool_remote_client_options options = {.size = sizeof options, .silence_ms = silence_ms};
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(rig));
    pid_t server = rig_fork(serve_for_ever, rig);
    close(rig->listener);
    CU_ASSERT_EQUAL_FATAL(rig_open_with(rig, &options, remote), 0);
    return server;
}

static void kill_server(pid_t server)
{
    CU_ASSERT_EQUAL(kill(server, SIGKILL), 0);
    CU_ASSERT_EQUAL(rig_reap(server), TEST_SIGNAL(SIGKILL));
}

/* ---- many threads --------------------------------------------------------------------------- */

#define THREADS 4
#define EACH 200

static void *echo_many(void *arg)
{
    libpool_remote *remote = arg;
    uintptr_t wrong = 0;
    for (uint32_t i = 0; i < EACH; i++) {
        uint32_t number = i * 7919;
        libpool_remote_future *future = rig_submit(remote, "echo", &number, sizeof number);
        wrong += !future || libpool_remote_wait(future, RIG_MS) != 0 ||
                 libpool_remote_result(future)->data_size != sizeof number ||
                 memcmp(libpool_remote_result(future)->data, &number, sizeof number) != 0;
        libpool_remote_free(future);
    }
    return (void *)wrong;
}

TEST(remote_client, threads_share_a_session)
{
    struct rig rig;
    pthread_t threads[THREADS];
    void *wrong;
    rig_start(&rig, 2, NULL);
    libpool_remote *remote = rig_open(&rig);
    for (int i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, echo_many, remote), 0);
    for (int i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], &wrong), 0);
        CU_ASSERT_PTR_NULL(wrong);
    }
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_ended[LIBPOOL_COMPLETED], THREADS * EACH);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

/* One waits for what takes long, and drives; what the other asks for is sent and answered meanwhile. */
static void *wait_long(void *arg)
{
    libpool_remote_future *future = arg;
    return (void *)(uintptr_t)libpool_remote_wait(future, RIG_MS);
}

TEST(remote_client, who_waits_long_does_not_hold_up_who_submits)
{
    struct rig rig;
    pthread_t thread;
    rig_start(&rig, 2, NULL);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *gate = rig_submit(remote, "gate", NULL, 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wait_long, gate), 0);
    for (int i = 0; i < 5; i++)
        CU_ASSERT_TRUE(is_echoed(remote, (size_t)4 << 20)); /* more than a socket holds */
    rig_open_gate(1);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_EQUAL(rig_end(gate), LIBPOOL_COMPLETED);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

/*
 * The first waits in the kernel for the socket. What it waits for is taken from there by the other, who
 * submits; or is ended by the other without any byte that comes.
 */
static void *submit_and_look(void *arg)
{
    libpool_remote_future *gate = arg;
    for (int i = 0; i < 1000 && !libpool_remote_result(gate); i++) {
        rig_open_gate(i == 0);
        libpool_remote_free(rig_submit(gate->remote, "count", NULL, 0));
        (void)sched_yield();
    }
    while (!libpool_remote_result(gate))
        (void)libpool_remote_dispatch(gate->remote);
    return NULL;
}

TEST(remote_client, who_waits_hears_of_what_another_thread_has_received)
{
    struct rig rig;
    rig_start(&rig, 1, NULL);
    for (int i = 0; i < 30; i++) {
        pthread_t thread;
        libpool_remote *remote = rig_open(&rig);
        libpool_remote_future *gate = rig_submit(remote, "gate", NULL, 0);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, submit_and_look, gate), 0);
        int64_t begun_ms = rig_now_ms();
        CU_ASSERT_EQUAL(libpool_remote_wait(gate, RIG_MS), 0);
        CU_ASSERT_TRUE(rig_now_ms() - begun_ms < RIG_MS / 2);
        CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
        CU_ASSERT_EQUAL(rig_end(gate), LIBPOOL_COMPLETED);
        libpool_remote_close(remote);
    }
    rig_stop(&rig);
}

static void *cancel_it(void *arg)
{
    libpool_remote_future *future = arg;
    (void)RIG_AWAIT(({
        pthread_mutex_lock(&future->remote->lock);
        bool driven = future->remote->driven;
        pthread_mutex_unlock(&future->remote->lock);
        driven;
    }));
    return (void *)(intptr_t)libpool_remote_cancel(future);
}

TEST(remote_client, who_waits_hears_that_it_was_cancelled_before_it_was_sent)
{
    struct rig rig;
    libpool_remote *remote;
    pthread_t thread;
    void *done;
    pid_t server = start_elsewhere(&rig, 0, &remote);
    CU_ASSERT_EQUAL(kill(server, SIGSTOP), 0);
    char *bytes = make_bytes((size_t)8 << 20);
    libpool_remote_task task = {
        .size = sizeof task, .name = "echo", .input = bytes, .input_size = (size_t)8 << 20};
    libpool_remote_future *half = NULL, *behind = NULL;
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 0, &half), 0);
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 0, &behind), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, cancel_it, behind), 0);
    int64_t begun_ms = rig_now_ms();
    CU_ASSERT_EQUAL(libpool_remote_wait(behind, RIG_MS), 0);
    CU_ASSERT_TRUE(rig_now_ms() - begun_ms < RIG_MS / 2);
    CU_ASSERT_EQUAL(pthread_join(thread, &done), 0);
    CU_ASSERT_EQUAL((intptr_t)done, LIBPOOL_CANCEL_DEQUEUED);
    CU_ASSERT_EQUAL(libpool_remote_result(behind)->cause, LIBPOOL_CANCELLED);
    kill_server(server);
    CU_ASSERT_EQUAL(rig_end(half), LIBPOOL_LOST);
    libpool_remote_free(behind);
    libpool_remote_close(remote);
    free(bytes);
    munmap(rig_shared, sizeof *rig_shared);
}

/* ---- event loops ---------------------------------------------------------------------------- */

TEST(remote_client, a_loop_of_the_applications_drives_it)
{
    struct rig rig;
    rig_start(&rig, 1, NULL);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *future = NULL;
    char *bytes = make_bytes((size_t)8 << 20);
    libpool_remote_task task = {
        .size = sizeof task, .name = "echo", .input = bytes, .input_size = (size_t)8 << 20};
    CU_ASSERT_EQUAL_FATAL(libpool_remote_submit(remote, &task, 0, &future), 0);
    struct pollfd polled = {.fd = libpool_remote_fd(remote), .events = POLLIN};
    while (!libpool_remote_result(future) && poll(&polled, 1, RIG_MS) == 1)
        CU_ASSERT_EQUAL(libpool_remote_dispatch(remote), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(libpool_remote_result(future));
    CU_ASSERT_EQUAL(libpool_remote_result(future)->data_size, (size_t)8 << 20);
    CU_ASSERT_EQUAL(poll(&polled, 1, 0), 0); /* it sleeps when there is nothing */
    libpool_remote_free(future);
    libpool_remote_close(remote);
    free(bytes);
    rig_stop(&rig);
}

/* ---- a server that dies --------------------------------------------------------------------- */

TEST(remote_client, a_server_that_dies_is_told_and_what_may_have_run)
{
    struct rig rig;
    libpool_remote *remote;
    pid_t server = start_elsewhere(&rig, 0, &remote);
    libpool_remote_future *ended = rig_submit(remote, "count", NULL, 0);
    CU_ASSERT_EQUAL(libpool_remote_wait(ended, RIG_MS), 0);
    libpool_remote_future *runs = rig_submit(remote, "gate", NULL, 0);
    CU_ASSERT_TRUE(RIG_AWAIT(atomic_load(&rig_shared->begun) == 1));
    CU_ASSERT_EQUAL(kill(server, SIGSTOP), 0);
    char *bytes = make_bytes((size_t)16 << 20);
    libpool_remote_task task = {
        .size = sizeof task, .name = "echo", .input = bytes, .input_size = (size_t)16 << 20};
    libpool_remote_future *half = NULL; /* more than the socket takes */
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 20, &half), 0);
    kill_server(server);
    CU_ASSERT_EQUAL(libpool_remote_wait(runs, -1), 0);
    CU_ASSERT_EQUAL(libpool_remote_wait(half, -1), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(runs)->cause, LIBPOOL_LOST);
    CU_ASSERT_EQUAL(libpool_remote_result(runs)->certainty, LIBPOOL_MAY_HAVE_RUN);
    CU_ASSERT_EQUAL(libpool_remote_result(half)->cause, LIBPOOL_LOST);
    CU_ASSERT_EQUAL(libpool_remote_result(half)->certainty, LIBPOOL_NOT_STARTED);
    CU_ASSERT_EQUAL(libpool_remote_result(ended)->cause, LIBPOOL_COMPLETED);
    CU_ASSERT_TRUE(libpool_remote_submit(remote, &task, -1, NULL) < 0);
    char why[160] = "";
    CU_ASSERT_TRUE(libpool_remote_status(remote, why, sizeof why) < 0);
    CU_ASSERT_TRUE(strlen(why) > 0);
    libpool_remote_close(remote);
    libpool_remote_free(runs);
    libpool_remote_free(half);
    libpool_remote_free(ended);
    free(bytes);
    munmap(rig_shared, sizeof *rig_shared);
}

TEST(remote_client, a_server_that_is_silent_is_lost)
{
    struct rig rig;
    libpool_remote *remote;
    pid_t server = start_elsewhere(&rig, 400, &remote);
    libpool_remote_future *gate = rig_submit(remote, "gate", NULL, 0);
    CU_ASSERT_EQUAL(libpool_remote_wait(gate, 1300), -ETIMEDOUT); /* it answers when it is asked */
    CU_ASSERT_EQUAL(libpool_remote_status(remote, NULL, 0), 0);
    CU_ASSERT_EQUAL(kill(server, SIGSTOP), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_remote_wait(gate, 10000), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(gate)->cause, LIBPOOL_LOST);
    CU_ASSERT_EQUAL(libpool_remote_status(remote, NULL, 0), -ETIMEDOUT);
    kill_server(server);
    libpool_remote_free(gate);
    libpool_remote_close(remote);
    munmap(rig_shared, sizeof *rig_shared);
}

TEST(remote_client, nobody_at_the_other_end_is_an_error_in_time)
{
    int ends[2];
    libpool_remote *remote = (libpool_remote *)1;
    libpool_remote_client_options options = {.size = sizeof options, .handshake_ms = 30};
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    CU_ASSERT_EQUAL(libpool_remote_open(&remote, ends[0], &options), -ETIMEDOUT);
    CU_ASSERT_PTR_NULL(remote);
    CU_ASSERT_TRUE(fcntl(ends[0], F_GETFD) < 0); /* it was taken all the same */
    close(ends[1]);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    CU_ASSERT_EQUAL(write(ends[1], "HTTP/1.1 400 Bad Request\r\n\r\n", 28), 28);
    CU_ASSERT_EQUAL(libpool_remote_open(&remote, ends[0], NULL), -EPROTO);
    close(ends[1]);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    close(ends[1]);
    CU_ASSERT_EQUAL(libpool_remote_open(&remote, ends[0], NULL), -ECONNRESET);
}

/* ---- a copy of the client ------------------------------------------------------------------- */

static libpool_remote *copied;
static libpool_remote_future *copied_future, *copied_result;

static int use_copies(void *unused)
{
    (void)unused;
    libpool_remote_task task = {.size = sizeof task, .name = "count"};
    bool refused = libpool_remote_submit(copied, &task, 0, NULL) == -ECHILD &&
                   libpool_remote_wait(copied_future, 0) == -ECHILD &&
                   libpool_remote_cancel(copied_future) == -ECHILD &&
                   libpool_remote_dispatch(copied) == -ECHILD;
    bool readable = libpool_remote_result(copied_result)->cause == LIBPOOL_COMPLETED;
    libpool_remote_free(copied_future);
    libpool_remote_free(copied_result);
    libpool_remote_close(copied);
    return refused && readable ? 0 : 1;
}

TEST(remote_client, a_copy_of_the_process_is_refused_and_disturbs_nothing)
{
    struct rig rig;
    rig_start(&rig, 1, NULL);
    copied = rig_open(&rig);
    copied_result = rig_submit(copied, "count", NULL, 0);
    CU_ASSERT_EQUAL(libpool_remote_wait(copied_result, RIG_MS), 0);
    copied_future = rig_submit(copied, "gate", NULL, 0);
    CU_ASSERT_EQUAL(hn_test_child(use_copies, NULL, 5000), TEST_EXIT(0));
    rig_open_gate(1);
    CU_ASSERT_EQUAL(rig_end(copied_future), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(rig_end(copied_result), LIBPOOL_COMPLETED);
    libpool_remote_close(copied);
    rig_stop(&rig);
}

TEST(remote_client, what_it_is_given_is_checked)
{
    struct rig rig;
    rig_start(&rig, 1, NULL);
    libpool_remote *remote = rig_open(&rig);
    char name[300];
    memset(name, 'n', sizeof name);
    name[256] = 0;
    libpool_remote_task task = {.size = sizeof task, .name = name};
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 0, NULL), -EINVAL);
    task.name = "";
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 0, NULL), -EINVAL);
    task.name = "count";
    task.priority = 64;
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 0, NULL), -EINVAL);
    task.priority = 63;
    task.input_size = 1;
    CU_ASSERT_EQUAL(libpool_remote_submit(remote, &task, 0, NULL), -EINVAL);
    CU_ASSERT_EQUAL(libpool_remote_cancel_group(remote, 0), -EINVAL);
    CU_ASSERT_EQUAL(libpool_remote_wait(NULL, 0), -EINVAL);
    CU_ASSERT_EQUAL(libpool_remote_fd(NULL), -EINVAL);
    libpool_remote_free(NULL);
    libpool_remote_close(NULL);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

/* ---- a server that is hostile ----------------------------------------------------------------- */

/* A client's session with whom the test speaks for; who hears is the other end. */
static int open_with_bytes(const unsigned char *bytes, size_t n, libpool_remote **remote,
                           int *server)
{
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    CU_ASSERT_EQUAL(write(ends[1], bytes, n), (ssize_t)n);
    *server = ends[1];
    return libpool_remote_open(remote, ends[0], NULL);
}

static size_t put_welcome(unsigned char *to)
{
    struct lpr_welcome welcome = {.version = 1, .tasks = 4, .bytes = 1000, .payload = 1000};
    lpr_put_welcome(to, &welcome);
    return LPR_HEAD_SIZE + LPR_WELCOME_SIZE;
}

static size_t put_result(unsigned char *to, uint64_t id)
{
    libpool_result result = {.cause = LIBPOOL_COMPLETED};
    lpr_put_result(to, id, &result);
    return LPR_HEAD_SIZE + LPR_RESULT_SIZE;
}

TEST(remote_client, a_result_right_behind_the_welcome_costs_the_session_only)
{
    unsigned char bytes[1000];
    libpool_remote *remote;
    int server;
    size_t n = put_welcome(bytes);
    n += put_result(bytes + n, 0);
    CU_ASSERT_EQUAL(open_with_bytes(bytes, n, &remote, &server), -EPROTO);
    CU_ASSERT_PTR_NULL(remote);
    close(server);
}

TEST(remote_client, a_loop_hears_of_what_a_call_beside_it_has_received)
{
    unsigned char bytes[1000];
    libpool_remote *remote;
    int server;
    size_t n = put_welcome(bytes);
    CU_ASSERT_EQUAL_FATAL(open_with_bytes(bytes, n, &remote, &server), 0);
    struct pollfd polled = {.fd = libpool_remote_fd(remote), .events = POLLIN};
    libpool_remote_future *first = rig_submit(remote, "any", NULL, 0);
    CU_ASSERT_EQUAL(poll(&polled, 1, 0), 0);
    n = put_result(bytes, first->id);
    CU_ASSERT_EQUAL(write(server, bytes, n), (ssize_t)n);
    libpool_remote_future *second = rig_submit(remote, "any", NULL, 0);
    CU_ASSERT_PTR_NOT_NULL(libpool_remote_result(first)); /* it came while that was sent */
    CU_ASSERT_EQUAL(poll(&polled, 1, 0), 1);
    CU_ASSERT_EQUAL(libpool_remote_wait(second, 20), -ETIMEDOUT); /* it leaves that to the loop */
    CU_ASSERT_EQUAL(poll(&polled, 1, 0), 1);
    CU_ASSERT_EQUAL(libpool_remote_dispatch(remote), 0);
    CU_ASSERT_EQUAL(poll(&polled, 1, 0), 0);
    n = put_result(bytes, second->id);
    CU_ASSERT_EQUAL(write(server, bytes, n), (ssize_t)n);
    CU_ASSERT_EQUAL(libpool_remote_dispatch(remote), 0);
    CU_ASSERT_PTR_NOT_NULL(libpool_remote_result(second));
    CU_ASSERT_EQUAL(poll(&polled, 1, 0), 0); /* the loop itself has received it */
    libpool_remote_free(first);
    libpool_remote_free(second);
    libpool_remote_close(remote);
    close(server);
}

TEST(remote_client, an_answer_that_nobody_asked_for_is_refused)
{
    unsigned char bytes[1000];
    libpool_remote *remote;
    int server;
    size_t n = put_welcome(bytes);
    CU_ASSERT_EQUAL_FATAL(open_with_bytes(bytes, n, &remote, &server), 0);
    lpr_put_head(bytes, LPR_PONG, 0, 0);
    CU_ASSERT_EQUAL(write(server, bytes, LPR_HEAD_SIZE), LPR_HEAD_SIZE);
    CU_ASSERT_EQUAL(libpool_remote_dispatch(remote), -EPROTO);
    libpool_remote_close(remote);
    close(server);
}

TEST(remote_client, a_call_does_not_read_for_ever)
{
    enum {
        PAYLOAD = 8 << 20 /* more than one call reads */
    };
    unsigned char head[LPR_HEAD_SIZE + LPR_RESULT_SIZE];
    struct lpr_welcome welcome = {.version = 1, .tasks = 4, .bytes = PAYLOAD, .payload = PAYLOAD};
    libpool_result result = {.cause = LIBPOOL_COMPLETED, .data_size = PAYLOAD};
    libpool_remote *remote;
    int server, room = PAYLOAD;
    char *bytes = make_bytes(PAYLOAD);
    lpr_put_welcome(head, &welcome);
    CU_ASSERT_EQUAL_FATAL(open_with_bytes(head, LPR_HEAD_SIZE + LPR_WELCOME_SIZE, &remote, &server),
                          0);
    libpool_remote_future *future = rig_submit(remote, "any", NULL, 0);
    if (setsockopt(server, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
        (void)setsockopt(server, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    lpr_put_result(head, future->id, &result);
    CU_ASSERT_EQUAL(write(server, head, sizeof head), (ssize_t)sizeof head);
    size_t sent = 0;
    unsigned calls = 0;
    while (!libpool_remote_result(future) && calls++ < 10000) {
        ssize_t part;
        while (sent < PAYLOAD &&
               (part = send(server, bytes + sent, PAYLOAD - sent, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
            sent += (size_t)part;
        CU_ASSERT_EQUAL(libpool_remote_dispatch(remote), 0);
    }
    CU_ASSERT_PTR_NOT_NULL(libpool_remote_result(future));
    CU_ASSERT_TRUE(calls >= 8); /* each has read a MiB at most */
    libpool_remote_free(future);
    libpool_remote_close(remote);
    close(server);
    free(bytes);
}
