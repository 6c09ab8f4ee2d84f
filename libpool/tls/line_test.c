/* SPDX-License-Identifier: MIT */
/* Bytes through TLS, and what becomes of a connection that ends in one way or another. */
#include "tls.h"
#include "tls_rig.h"

/* ---- exact ---------------------------------------------------------------------------------- */

static bool is_echoed(libpool_remote *remote, size_t size)
{
    unsigned char *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    libpool_remote_future *future = rig_submit(remote, "echo", bytes, size);
    bool right = future && libpool_remote_wait(future, RIG_MS) == 0;
    const libpool_result *result = right ? libpool_remote_result(future) : NULL;
    right = right && result->cause == LIBPOOL_COMPLETED && result->data_size == size &&
            (!size || memcmp(result->data, bytes, size) == 0);
    libpool_remote_free(future);
    free(bytes);
    return right;
}

static int echo_all(const struct rig *rig)
{
    static const size_t sizes[] = {0,     1,     100,     16383,   16384,
                                   16385, 65536, 1 << 20, 3000001, 8 << 20};
    const struct tls_rig *tls_rig = LPR_OF(rig, struct tls_rig, rig);
    libpool_remote_tls *tls = tls_rig_be(tls_rig, &tls_rig->client);
    libpool_remote *remote;
    if (!tls || tls_rig_open(tls_rig, tls, &remote))
        return 1;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (!is_echoed(remote, sizes[i]))
            return 10 + (int)i;
    libpool_remote_close(remote);
    return libpool_remote_tls_close(tls, RIG_MS) ? 2 : 0;
}

TEST(remote_tls, payloads_of_any_size_are_exact)
{
    struct tls_rig rig;
    tls_rig_prepare(&rig);
    pid_t client = rig_fork(echo_all, &rig.rig), another = rig_fork(echo_all, &rig.rig);
    tls_rig_serve(&rig, 2, NULL, NULL);
    CU_ASSERT_EQUAL(rig_reap(client), TEST_EXIT(0));
    CU_ASSERT_EQUAL(rig_reap(another), TEST_EXIT(0));
    CU_ASSERT_TRUE(is_asked_about(&rig, "CN=client", 0x0304));
    CU_ASSERT_EQUAL(tls_rig_reports(&rig), 0);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig.rig).sessions_ended[LIBPOOL_REMOTE_LEFT] == 2));
    tls_rig_stop(&rig);
}

TEST(remote_tls, many_at_once_each_get_their_own)
{
    struct tls_rig rig;
    libpool_remote *remotes[12];
    libpool_remote_future *futures[12];
    tls_rig_start(&rig);
    for (size_t i = 0; i < 12; i++)
        remotes[i] = tls_rig_session(&rig);
    for (size_t i = 0; i < 12; i++) {
        size_t wanted = 100000 * i;
        futures[i] = rig_submit(remotes[i], "grow", &wanted, sizeof wanted);
    }
    for (size_t i = 0; i < 12; i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(futures[i]);
        CU_ASSERT_EQUAL_FATAL(libpool_remote_wait(futures[i], RIG_MS), 0);
        CU_ASSERT_EQUAL(libpool_remote_result(futures[i])->data_size, 100000 * i);
        libpool_remote_free(futures[i]);
        libpool_remote_close(remotes[i]);
    }
    tls_rig_stop(&rig);
}

/* ---- how it ends ---------------------------------------------------------------------------- */

TEST(remote_tls, the_servers_end_is_told)
{
    struct tls_rig rig;
    char why[256];
    tls_rig_start(&rig);
    libpool_remote *remote = tls_rig_session(&rig);
    libpool_remote_future *future = rig_submit(remote, "gate", NULL, 0);
    CU_ASSERT_TRUE(RIG_AWAIT(atomic_load(&rig_shared->begun) == 1));
    CU_ASSERT_EQUAL(libpool_remote_tls_stop(rig.tls), 0);
    CU_ASSERT_EQUAL(tls_rig_dial(&rig), -1);
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.rig.server, 0, 0), 0);
    CU_ASSERT_EQUAL(rig_end(future), LIBPOOL_SHUTDOWN);
    CU_ASSERT_FALSE(is_served(remote));
    CU_ASSERT_EQUAL(libpool_remote_status(remote, why, sizeof why), -ESHUTDOWN);
    libpool_remote_close(remote);
    CU_ASSERT_EQUAL(libpool_remote_tls_close(rig.own, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_tls_close(rig.tls, RIG_MS), 0);
    libpool_close(rig.rig.pool);
    person_free(&rig.authority);
    person_free(&rig.server);
    person_free(&rig.client);
    CU_ASSERT_EQUAL(rig.reports, 0);
}

static int submit_and_hang(const struct rig *rig)
{
    const struct tls_rig *tls_rig = LPR_OF(rig, struct tls_rig, rig);
    libpool_remote_tls *tls = tls_rig_be(tls_rig, &tls_rig->client);
    libpool_remote *remote;
    if (!tls || tls_rig_open(tls_rig, tls, &remote))
        return 1;
    libpool_remote_future *future = rig_submit(remote, "gate", NULL, 0);
    return libpool_remote_wait(future, -1);
}

TEST(remote_tls, a_killed_clients_tasks_are_cancelled)
{
    struct tls_rig rig;
    tls_rig_prepare(&rig);
    pid_t victim = rig_fork(submit_and_hang, &rig.rig);
    tls_rig_serve(&rig, 2, NULL, NULL);
    libpool_remote *remote = tls_rig_session(&rig);
    CU_ASSERT_TRUE(RIG_AWAIT(atomic_load(&rig_shared->begun) == 1));
    CU_ASSERT_EQUAL(kill(victim, SIGKILL), 0);
    CU_ASSERT_EQUAL(rig_reap(victim), TEST_SIGNAL(SIGKILL));
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig.rig).sessions_open == 1));
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig.rig).tasks_ended[LIBPOOL_CANCELLED] == 1));
    CU_ASSERT_TRUE(is_reported(&rig, 1, -ECONNRESET, "cut off"));
    CU_ASSERT_TRUE(is_served(remote));
    libpool_remote_close(remote);
    tls_rig_stop(&rig);
}

/* A proxy that cuts the connection without a word of TLS: no orderly end. */
TEST(remote_tls, a_server_that_is_cut_off_is_lost)
{
    struct tls_rig rig;
    int ends[2];
    tls_rig_start(&rig);
    libpool_remote *remote = NULL;
    int fd = tls_rig_dial(&rig);
    ends[0] = dup(fd);
    CU_ASSERT_EQUAL_FATAL(libpool_remote_tls_connect(rig.own, &remote, fd, NULL, NULL, NULL, 0), 0);
    libpool_remote_future *future = rig_submit(remote, "gate", NULL, 0);
    CU_ASSERT_TRUE(RIG_AWAIT(atomic_load(&rig_shared->begun) == 1));
    CU_ASSERT_EQUAL(shutdown(ends[0], SHUT_RDWR), 0);
    CU_ASSERT_EQUAL(rig_end(future), LIBPOOL_LOST);
    CU_ASSERT_EQUAL(libpool_remote_status(remote, NULL, 0), -ECONNRESET);
    CU_ASSERT_TRUE(is_reported(&rig, 1, -ECONNRESET, "cut off"));
    close(ends[0]);
    libpool_remote_close(remote);
    tls_rig_stop(&rig);
}

TEST(remote_tls, who_does_not_read_stalls_itself_only)
{
    struct tls_rig rig;
    libpool_remote_options served = {
        .size = sizeof served, .stall_ms = 300, .unsent_bytes = 1 << 20};
    int small = 16384; /* the kernel must not take all that is left */
    tls_rig_prepare(&rig);
    CU_ASSERT_EQUAL(setsockopt(rig.listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    tls_rig_serve(&rig, 1, &served, NULL);
    libpool_remote *remote = tls_rig_session(&rig), *deaf = tls_rig_session(&rig);
    size_t wanted = 8 << 20;
    libpool_remote_future *futures[4]; /* 32 MiB: more than all the buffers on the way hold */
    for (unsigned i = 0; i < 4; i++)
        futures[i] = rig_submit(deaf, "grow", &wanted, sizeof wanted);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig.rig).sessions_ended[LIBPOOL_REMOTE_STALLED] == 1));
    CU_ASSERT_TRUE(is_served(remote));
    CU_ASSERT_TRUE(is_reported(&rig, 1, -ETIMEDOUT, "did not take the last"));
    CU_ASSERT_TRUE(is_served(remote));
    libpool_remote_close(deaf);
    for (unsigned i = 0; i < 4; i++)
        libpool_remote_free(futures[i]);
    libpool_remote_close(remote);
    tls_rig_stop(&rig);
}

/* Its session takes nothing any more, and says so; then it has said its last as well. */
TEST(remote_tls, the_last_of_a_session_has_its_time_once)
{
    struct tls_bench bench;
    tls_bench_start(&bench);
    tls_bench_establish(&bench);
    struct lpr_tls_line *line = bench.line;
    lpr_tls_line_event(line, &line->plain, EPOLLHUP);
    uint64_t deadline_ns = line->deadline_ns;
    CU_ASSERT_TRUE(line->deaf && deadline_ns != LPR_NEVER);
    close(line->session_fd);
    line->session_fd = -1;
    lpr_tls_line_event(line, &line->plain, EPOLLIN);
    CU_ASSERT_TRUE(line->plain_over);
    CU_ASSERT_EQUAL(line->deadline_ns, deadline_ns);
    tls_bench_stop(&bench);
}

/* The peer goes, after it was asked to close or before. */
static bool is_cut(bool closing, bool said)
{
    struct tls_bench bench;
    tls_bench_start(&bench);
    tls_bench_establish(&bench);
    struct lpr_tls_line *line = bench.line;
    if (said)
        CU_ASSERT_EQUAL(send(line->session_fd, "last", 4, MSG_NOSIGNAL), 4);
    close(line->session_fd);
    line->session_fd = -1;
    bench.tls.closing = closing;
    close(bench.peer);
    bench.peer = -1;
    lpr_tls_line_event(line, &line->plain, EPOLLIN);
    lpr_tls_line_event(line, &line->net, EPOLLIN);
    CU_ASSERT_EQUAL(line->state, LPR_TLS_OVER);
    bool cut = bench.tls.cut;
    tls_bench_stop(&bench);
    return cut;
}

TEST(remote_tls, what_is_lost_while_it_closes_is_told)
{
    CU_ASSERT_TRUE(is_cut(true, true));
    CU_ASSERT_FALSE(is_cut(false, true)); /* the session's matter */
}

/* ---- who is slow at the door ------------------------------------------------------------------ */

static bool is_hung_up(int fd)
{
    char bytes[64];
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    while (poll(&polled, 1, RIG_MS) == 1) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0)
            return true;
    }
    return false;
}

TEST(remote_tls, a_handshake_that_stalls_is_dropped_at_its_deadline)
{
    struct tls_rig rig;
    tls_rig_prepare(&rig);
    libpool_remote_tls_options options = tls_rig_options(&rig);
    options.handshake_ms = 300;
    tls_rig_serve(&rig, 1, NULL, &options);
    int64_t begun_ms = rig_now_ms();
    int silent = tls_rig_dial(&rig), trickling = tls_rig_dial(&rig);
    CU_ASSERT_EQUAL(send(trickling, "\x16\x03\x01\x02", 4, MSG_NOSIGNAL), 4);
    libpool_remote *remote = tls_rig_session(&rig);
    CU_ASSERT_TRUE(is_served(remote));
    CU_ASSERT_TRUE(is_reported(&rig, 2, -ETIMEDOUT, "not done in time"));
    CU_ASSERT_TRUE(rig_now_ms() - begun_ms >= 300);
    CU_ASSERT_TRUE(is_hung_up(silent) && is_hung_up(trickling));
    CU_ASSERT_TRUE(is_served(remote));
    close(silent);
    close(trickling);
    libpool_remote_close(remote);
    tls_rig_stop(&rig);
}

TEST(remote_tls, the_oldest_who_says_nothing_goes_for_another)
{
    struct tls_rig rig;
    int silent[70];
    tls_rig_start(&rig);
    for (int i = 0; i < 70; i++)
        silent[i] = tls_rig_dial(&rig);
    libpool_remote *remote = tls_rig_session(&rig);
    CU_ASSERT_TRUE(is_reported(&rig, 7, -ETIMEDOUT, "another one came"));
    for (int i = 0; i < 7; i++)
        CU_ASSERT_TRUE(is_hung_up(silent[i]));
    CU_ASSERT_TRUE(is_served(remote));
    for (int i = 0; i < 70; i++)
        close(silent[i]);
    libpool_remote_close(remote);
    tls_rig_stop(&rig);
}

TEST(remote_tls, as_many_connections_as_there_may_be)
{
    struct tls_rig rig;
    char text[256];
    tls_rig_prepare(&rig);
    libpool_remote_tls_options options = tls_rig_options(&rig);
    options.connections = 1;
    tls_rig_serve(&rig, 1, NULL, &options);
    libpool_remote *remote = tls_rig_session(&rig), *second = NULL;
    CU_ASSERT_EQUAL(libpool_remote_tls_connect(rig.own, &second, tls_rig_dial(&rig), NULL, NULL,
                                               text, sizeof text),
                    -EACCES);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "not admitted there"));
    CU_ASSERT_TRUE(is_reported(&rig, 1, -EBUSY, "too many"));
    CU_ASSERT_TRUE(is_served(remote));
    libpool_remote_close(remote);
    tls_rig_stop(&rig);
}
