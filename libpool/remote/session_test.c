/* SPDX-License-Identifier: MIT */
/* What clients do that are hostile, slow or dead; and that it is their session's matter alone. */
#include "server.h"

#include <stdio.h>

#include "rig.h"

/* ---- clients that speak for themselves ---------------------------------------------------- */

static size_t put_hello(unsigned char *to, uint32_t policy)
{
    lpr_put_hello(to, &(struct lpr_hello){.lowest = 1, .highest = 1, .policy = policy});
    return LPR_HEAD_SIZE + LPR_HELLO_SIZE;
}

static size_t put_task(unsigned char *to, uint64_t id, const char *name, size_t input_size)
{
    struct lpr_submit submit = {.name_size = strlen(name), .input_size = input_size};
    lpr_put_submit(to, id, &submit);
    memcpy(to + LPR_HEAD_SIZE + LPR_SUBMIT_SIZE, name, submit.name_size);
    memset(to + LPR_HEAD_SIZE + LPR_SUBMIT_SIZE + submit.name_size, 0, input_size);
    return LPR_HEAD_SIZE + LPR_SUBMIT_SIZE + submit.name_size + input_size;
}

/* Reads to the end of the connection: the error of its last message, if that is a BYE; else 0. */
static int read_bye(int fd)
{
    struct lpr_reader reader = {0};
    struct lpr_bye bye = {0};
    unsigned char bytes[4096];
    ssize_t n;
    for (int i = 0; i < LPR_TYPES; i++)
        reader.largest[i] = 1 << 20;
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    while (poll(&polled, 1, RIG_MS) == 1 && (n = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        const unsigned char *at = bytes;
        for (size_t left = (size_t)n, used; left; left -= used, at += used)
            if (lpr_reader_feed(&reader, at, left, &used) == 1 && reader.head.type == LPR_BYE)
                (void)lpr_get_bye(reader.body, reader.head.size, &bye);
    }
    lpr_reader_clear(&reader);
    return bye.error;
}

/* What a session is told that begins with these bytes. */
static int answer_to(const struct rig *rig, const unsigned char *bytes, size_t n)
{
    int fd = rig_connect(rig);
    if (fd < 0 || send(fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
        return 1;
    int error = read_bye(fd);
    close(fd);
    return error;
}

TEST(remote_session, what_must_not_be_sent_costs_that_session_and_says_why)
{
    struct rig rig;
    libpool_remote_options options = {
        .size = sizeof options, .session_tasks = 4, .payload_bytes = 100, .session_bytes = 150};
    unsigned char bytes[1000];
    rig_start(&rig, 1, &options);
    libpool_remote *good = rig_open(&rig);

    CU_ASSERT_EQUAL(answer_to(&rig, (const unsigned char *)"GET / HTTP/1.1\r\n\r\n", 18), -EPROTO);
    size_t n = put_task(bytes, 0, "count", 0); /* without a greeting */
    CU_ASSERT_EQUAL(answer_to(&rig, bytes, n), -EPROTO);
    lpr_put_hello(bytes, &(struct lpr_hello){.lowest = 2, .highest = 9});
    CU_ASSERT_EQUAL(answer_to(&rig, bytes, LPR_HEAD_SIZE + LPR_HELLO_SIZE), -EPROTONOSUPPORT);
    n = put_hello(bytes, LIBPOOL_REMOTE_CONTINUE);
    CU_ASSERT_EQUAL(answer_to(&rig, bytes, n), -EPERM);
    n = put_hello(bytes, 0);
    n += put_hello(bytes + n, 0); /* twice */
    CU_ASSERT_EQUAL(answer_to(&rig, bytes, n), -EPROTO);
    n = put_hello(bytes, 0);
    n += put_task(bytes + n, 4, "count", 0); /* numbers are 0 to 3 */
    CU_ASSERT_EQUAL(answer_to(&rig, bytes, n), -EPROTO);
    n = put_hello(bytes, 0);
    n += put_task(bytes + n, 1, "gate", 0);
    n += put_task(bytes + n, (UINT64_C(1) << 32) + 1, "count", 0); /* which is taken */
    CU_ASSERT_EQUAL(answer_to(&rig, bytes, n), -EPROTO);
    n = put_hello(bytes, 0);
    n += put_task(bytes + n, 1, "count", 360); /* larger than any message may be */
    CU_ASSERT_EQUAL(answer_to(&rig, bytes, n), -EMSGSIZE);
    n = put_hello(bytes, 0);
    n += put_task(bytes + n, 1, "count", 101); /* larger than an input may be */
    CU_ASSERT_EQUAL(answer_to(&rig, bytes, n), -EMSGSIZE);
    n = put_hello(bytes, 0);
    n += put_task(bytes + n, 0, "gate", 100);
    n += put_task(bytes + n, 1, "count", 51); /* more than all may have */
    CU_ASSERT_EQUAL(answer_to(&rig, bytes, n), -EDQUOT);
    n = put_hello(bytes, 0);
    lpr_put_head(bytes + n, LPR_RESULT, 0, LPR_RESULT_SIZE);
    CU_ASSERT_EQUAL(answer_to(&rig, bytes, n + LPR_HEAD_SIZE), -EPROTO);
    n = put_hello(bytes, 0);
    lpr_put_head(bytes + n, LPR_PONG, 0, 0);
    CU_ASSERT_EQUAL(answer_to(&rig, bytes, n + LPR_HEAD_SIZE), -EPROTO);

    CU_ASSERT_EQUAL(rig_end(rig_submit(good, "count", NULL, 0)), LIBPOOL_COMPLETED);
    libpool_remote_stats stats = rig_stats(&rig);
    CU_ASSERT_EQUAL(stats.sessions_ended[LIBPOOL_REMOTE_MALFORMED], 10);
    CU_ASSERT_EQUAL(stats.sessions_ended[LIBPOOL_REMOTE_REFUSED], 2);
    CU_ASSERT_EQUAL(stats.tasks_ended[LIBPOOL_CANCELLED], 2); /* the gates of those that had one */
    libpool_remote_close(good);
    rig_stop(&rig);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* A session that begins well and goes on with noise that often looks like messages. */
static size_t make_noise(unsigned char *bytes, uint64_t *state)
{
    size_t n = put_hello(bytes, 0);
    while (n < 600) {
        uint32_t kind = (uint32_t)next_random(state) % 8;
        if (kind < 3) {
            n += put_task(bytes + n, next_random(state) % 6, kind ? "count" : "?", kind * 40);
        } else if (kind < 6) {
            lpr_put_head(bytes + n, LPR_CANCEL + kind - 3, next_random(state) % 6, 0);
            n += LPR_HEAD_SIZE;
        } else {
            for (size_t i = 0; i < 40; i++)
                bytes[n++] = (unsigned char)(next_random(state) % 9);
        }
    }
    bytes[next_random(state) % n] ^= (unsigned char)(1u << next_random(state) % 8);
    return next_random(state) % 8 ? n : next_random(state) % n; /* some leave in the middle */
}

TEST(remote_session, noise_costs_nobody_else_anything)
{
    struct rig rig;
    uint64_t state = 3;
    unsigned unsent = 0, bad = 0;
    unsigned char bytes[2000];
    rig_start(&rig, 1, NULL);
    libpool_remote *good = rig_open(&rig);
    for (int i = 0; i < 400; i++) {
        size_t n = make_noise(bytes, &state);
        int fd = rig_connect(&rig);
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        unsent += sent != (ssize_t)n;
        close(fd);
        if (i % 20 == 0)
            bad += rig_end(rig_submit(good, "echo", bytes, n)) != LIBPOOL_COMPLETED;
    }
    CU_ASSERT_EQUAL(unsent, 0);
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).sessions_open == 1 &&
                             rig_stats(&rig).sessions_accepted == 401 &&
                             rig_stats(&rig).sessions_lingering == 0));
    libpool_remote_stats stats = rig_stats(&rig);
    CU_ASSERT_TRUE(stats.sessions_ended[LIBPOOL_REMOTE_MALFORMED] > 50);
    CU_ASSERT_TRUE(stats.tasks_received > 200);
    CU_ASSERT_EQUAL(stats.tasks_waiting + stats.tasks_in_pool, 0);
    libpool_remote_close(good);
    rig_stop(&rig);
}

/* Walks through all its tasks, for nothing, 4096 times in one go; a task is behind that. */
static void send_groups(int fd, uint64_t tasks)
{
    static unsigned char bytes[4096 * LPR_HEAD_SIZE + 200];
    size_t n = 0;
    for (uint64_t i = 0; i < 4096; i++, n += LPR_HEAD_SIZE)
        lpr_put_head(bytes + n, LPR_CANCEL_GROUP, 1 + i, 0);
    n += put_task(bytes + n, tasks, "gate", 0);
    CU_ASSERT_EQUAL(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Turns of the server's until so many tasks were received; it says itself that there is one more. */
static unsigned count_turns(struct rig *rig, uint64_t received)
{
    struct pollfd polled = {.fd = libpool_remote_server_fd(rig->server), .events = POLLIN};
    unsigned turns = 0;
    while (rig_stats(rig).tasks_received < received && poll(&polled, 1, RIG_MS) == 1) {
        CU_ASSERT_EQUAL(libpool_remote_server_dispatch(rig->server), 0);
        turns++;
    }
    CU_ASSERT_EQUAL(rig_stats(rig).tasks_received, received);
    return turns;
}

TEST(remote_session, who_cancels_groups_without_end_holds_up_itself_only)
{
    enum {
        MANY = 1000
    };
    struct rig rig;
    libpool_remote_options options = {.size = sizeof options, .flags = LIBPOOL_REMOTE_NO_THREAD};
    unsigned char bytes[200];
    rig_start(&rig, 1, &options);
    int attacker = rig_connect(&rig), victim = rig_connect(&rig);
    size_t n = put_hello(bytes, 0);
    CU_ASSERT_EQUAL(send(attacker, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
    CU_ASSERT_EQUAL(send(victim, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
    for (uint64_t i = 0; i < MANY; i++) {
        n = put_task(bytes, i, "gate", 0);
        CU_ASSERT_EQUAL(send(attacker, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
        (void)count_turns(&rig, i + 1);
    }
    send_groups(attacker, MANY);
    n = put_task(bytes, 0, "gate", 0);
    CU_ASSERT_EQUAL(send(victim, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
    CU_ASSERT_TRUE(count_turns(&rig, MANY + 1) <= 3);  /* that is the victim's, */
    CU_ASSERT_TRUE(count_turns(&rig, MANY + 2) > 100); /* for this one's is behind millions */
    close(attacker);
    close(victim);
    rig_stop(&rig);
}

/* Says which one it is, in the order in which they run. */
static int sign(libpool_worker *worker, const void *input, size_t size)
{
    unsigned line = atomic_fetch_add(&rig_shared->counted, 1);
    (void)worker, (void)size;
    if (line < 4)
        atomic_store(&rig_shared->word[line], *(const unsigned char *)input);
    return 0;
}

static void send_signature(int fd, unsigned char name)
{
    unsigned char bytes[200];
    size_t n = put_task(bytes, 0, "sign", 1);
    bytes[n - 1] = name;
    CU_ASSERT_EQUAL(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

static uint64_t count_rejected(const struct rig *rig)
{
    libpool_stats stats = {.size = sizeof stats};
    CU_ASSERT_EQUAL(libpool_stats_read(rig->pool, &stats), 0);
    return stats.tasks_rejected;
}

/* Until the pool was tried once when so many wait. */
static void await_try(struct rig *rig, uint64_t waiting)
{
    struct pollfd polled = {.fd = libpool_remote_server_fd(rig->server), .events = POLLIN};
    for (bool tried = false; !tried && poll(&polled, 1, RIG_MS) == 1;) {
        uint64_t before = count_rejected(rig);
        CU_ASSERT_EQUAL(libpool_remote_server_dispatch(rig->server), 0);
        tried = rig_stats(rig).tasks_waiting == waiting && count_rejected(rig) > before;
    }
}

/* One worker, and one place behind it: both are taken. */
static void fill_the_pool(struct rig *rig)
{
    libpool_task own = {.size = sizeof own, .function = rig_gate};
    CU_ASSERT_EQUAL(libpool_submit(rig->pool, &own, RIG_MS, NULL), 0);
    CU_ASSERT_TRUE(RIG_AWAIT(atomic_load(&rig_shared->begun) == 1));
    CU_ASSERT_EQUAL(libpool_submit(rig->pool, &own, RIG_MS, NULL), 0);
}

TEST(remote_session, a_full_pool_costs_nobody_its_turn)
{
    static const libpool_remote_offer offer = {"sign",
                                               {.size = sizeof(libpool_task), .function = sign}};
    struct rig rig;
    libpool_options pool_options = {.size = sizeof pool_options,
                                    .flags = LIBPOOL_CALLBACKS,
                                    .max_workers = 1,
                                    .backlog_tasks = 1};
    libpool_remote_options options = {.size = sizeof options,
                                      .flags = LIBPOOL_REMOTE_NO_THREAD,
                                      .offers = &offer,
                                      .offers_count = 1};
    unsigned char hello[200];
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    CU_ASSERT_EQUAL_FATAL(libpool_open(&rig.pool, &pool_options), 0);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, &options), 0);
    fill_the_pool(&rig);
    int fds[2] = {rig_connect(&rig), rig_connect(&rig)};
    size_t n = put_hello(hello, 0);
    for (unsigned i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(send(fds[i], hello, n, MSG_NOSIGNAL), (ssize_t)n);
        send_signature(fds[i], (unsigned char)('1' + i));
        (void)count_turns(&rig, i + 1);
    }
    await_try(&rig, 2); /* with the task of the first, whose turn it is */
    rig_open_gate(2);
    CU_ASSERT_EQUAL(libpool_drain(rig.pool, RIG_MS), 0);
    struct pollfd polled = {.fd = libpool_remote_server_fd(rig.server), .events = POLLIN};
    while (rig_stats(&rig).tasks_ended[LIBPOOL_COMPLETED] < 2 && poll(&polled, 1, RIG_MS) == 1)
        CU_ASSERT_EQUAL(libpool_remote_server_dispatch(rig.server), 0);
    CU_ASSERT_EQUAL(atomic_load(&rig_shared->word[0]), '1');
    CU_ASSERT_EQUAL(atomic_load(&rig_shared->word[1]), '2');
    close(fds[0]);
    close(fds[1]);
    rig_stop(&rig);
}

TEST(remote_session, a_stranger_that_hangs_up_is_no_member_for_a_moment)
{
    struct rig rig;
    libpool_remote_options options = {
        .size = sizeof options, .flags = LIBPOOL_REMOTE_NO_THREAD, .sessions = 1};
    unsigned char bytes[200];
    rig_start(&rig, 1, &options);
    int stranger = rig_connect(&rig), client = rig_connect(&rig);
    CU_ASSERT_EQUAL(libpool_remote_server_dispatch(rig.server), 0);
    CU_ASSERT_EQUAL(rig_stats(&rig).sessions_open, 2);
    size_t n = put_hello(bytes, 0);
    close(stranger); /* the server hears of both in one turn, of this one first */
    CU_ASSERT_EQUAL(send(client, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
    CU_ASSERT_EQUAL(libpool_remote_server_dispatch(rig.server), 0);
    libpool_remote_stats stats = rig_stats(&rig);
    CU_ASSERT_EQUAL(stats.sessions_ended[LIBPOOL_REMOTE_LEFT], 1);
    CU_ASSERT_EQUAL(stats.sessions_ended[LIBPOOL_REMOTE_REFUSED], 0);
    CU_ASSERT_EQUAL(stats.sessions_open, 1);
    close(client);
    rig_stop(&rig);
}

/* ---- slow ones ------------------------------------------------------------------------------ */

TEST(remote_session, who_does_not_say_who_it_is_is_sent_away)
{
    struct rig rig;
    libpool_remote_options options = {.size = sizeof options, .handshake_ms = 50};
    unsigned char bytes[100];
    rig_start(&rig, 1, &options);
    int fd = rig_connect(&rig);
    size_t n = put_hello(bytes, 0);
    CU_ASSERT_EQUAL(send(fd, bytes, n - 1, MSG_NOSIGNAL), (ssize_t)n - 1);
    CU_ASSERT_EQUAL(read_bye(fd), -ETIMEDOUT);
    close(fd);
    CU_ASSERT_EQUAL(rig_stats(&rig).sessions_ended[LIBPOOL_REMOTE_STALLED], 1);
    rig_stop(&rig);
}

/* It asks for 1 MiB again and again, and reads nothing. */
static int never_read(const struct rig *rig)
{
    unsigned char bytes[200];
    size_t wanted = 1 << 20;
    int fd = rig_connect(rig);
    size_t n = put_hello(bytes, 0);
    if (fd < 0 || send(fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
        return 1;
    for (uint64_t i = 0; i < 50; i++) {
        n = put_task(bytes, i, "grow", sizeof wanted);
        memcpy(bytes + n - sizeof wanted, &wanted, sizeof wanted);
        if (send(fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
            return 2;
    }
    struct pollfd polled = {.fd = fd, .events = 0}; /* until it is hung up */
    return poll(&polled, 1, RIG_MS) == 1 ? 0 : 3;
}

TEST(remote_session, who_does_not_read_stalls_itself_only)
{
    struct rig rig;
    libpool_remote_options options = {
        .size = sizeof options, .window = 4, .stall_ms = 500, .unsent_bytes = 1 << 20};
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    pid_t client = rig_fork(never_read, &rig);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, &options), 0);
    libpool_remote *good = rig_open(&rig);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).tasks_received == 50));
    CU_ASSERT_EQUAL(rig_end(rig_submit(good, "count", NULL, 0)), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(rig_reap(client), TEST_EXIT(0));
    libpool_remote_stats stats = rig_stats(&rig);
    CU_ASSERT_EQUAL(stats.sessions_ended[LIBPOOL_REMOTE_STALLED], 1);
    CU_ASSERT_TRUE(stats.tasks_ended[LIBPOOL_COMPLETED] < 10); /* the rest was not even run */
    CU_ASSERT_TRUE(stats.tasks_ended[LIBPOOL_CANCELLED] > 40);
    CU_ASSERT_TRUE(stats.results_dropped > 40);
    libpool_remote_close(good);
    rig_stop(&rig);
}

TEST(remote_session, who_asks_and_never_reads_is_not_answered_without_end)
{
    struct rig rig;
    libpool_remote_options options = {
        .size = sizeof options, .stall_ms = 300, .payload_bytes = 100, .unsent_bytes = 100};
    unsigned char bytes[LPR_HEAD_SIZE * 256];
    rig_start(&rig, 1, &options);
    int fd = rig_connect(&rig);
    size_t n = put_hello(bytes, 0);
    CU_ASSERT_EQUAL(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
    for (size_t i = 0; i < 256; i++)
        lpr_put_head(bytes + i * LPR_HEAD_SIZE, LPR_PING, i, 0);
    struct timeval limit = {.tv_sec = 10};
    CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
    size_t sent = 0;
    ssize_t part;
    while ((part = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL)) > 0 && sent < (64u << 20))
        sent += (size_t)part;
    CU_ASSERT_TRUE(sent < (4u << 20)); /* what two sockets hold, and a little */
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).sessions_ended[LIBPOOL_REMOTE_STALLED] == 1));
    close(fd);
    rig_stop(&rig);
}

/* It asks and asks, and reads nothing, until it is hung up. */
static int ask_without_end(const struct rig *rig)
{
    unsigned char bytes[LPR_HEAD_SIZE * 1024];
    int fd = rig_connect(rig);
    size_t n = put_hello(bytes, 0);
    if (fd < 0 || send(fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
        return 1;
    for (size_t i = 0; i < 1024; i++)
        lpr_put_head(bytes + i * LPR_HEAD_SIZE, LPR_PING, i, 0);
    while (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) > 0)
        ;
    return 0;
}

/* An answer takes eight times as much memory as it has bytes; who drives the server takes it all. */
TEST(remote_session, answers_that_nobody_reads_take_little_memory)
{
    struct rig rig;
    libpool_remote_options options = {.size = sizeof options,
                                      .flags = LIBPOOL_REMOTE_NO_THREAD,
                                      .stall_ms = 300,
                                      .session_tasks = 16,
                                      .unsent_bytes = 4 << 20};
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    pid_t client = rig_fork(ask_without_end, &rig);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, &options), 0);
    struct pollfd polled = {.fd = libpool_remote_server_fd(rig.server), .events = POLLIN};
    rig_memory = (struct rig_memory){0};
    while (rig_stats(&rig).sessions_ended[LIBPOOL_REMOTE_STALLED] == 0 &&
           poll(&polled, 1, RIG_MS) == 1)
        CU_ASSERT_EQUAL(libpool_remote_server_dispatch(rig.server), 0);
    CU_ASSERT_TRUE(rig_memory.most_bytes > 64 << 10); /* else there was nothing to bound */
    CU_ASSERT_TRUE(rig_memory.most_bytes < 160 << 10);
    CU_ASSERT_EQUAL(rig_reap(client), TEST_EXIT(0));
    rig_stop(&rig);
}

/* It begins to read when no more can be sent for a while. 0: each question was answered. */
static int ask_much_and_read(const struct rig *rig)
{
    enum {
        QUESTIONS = 100000
    };
    unsigned char bytes[1 << 16];
    size_t asked = 0, got = 0, n = put_hello(bytes, 0);
    size_t all = LPR_HEAD_SIZE + LPR_WELCOME_SIZE + (size_t)QUESTIONS * LPR_HEAD_SIZE;
    int fd = rig_connect(rig), wait_ms = 100;
    if (fd < 0 || send(fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
        return 1;
    while (got < all) {
        struct pollfd polled = {.fd = fd, .events = asked < QUESTIONS ? POLLOUT : 0};
        if (wait_ms == RIG_MS)
            polled.events |= POLLIN;
        if (poll(&polled, 1, wait_ms) == 0 && wait_ms == RIG_MS)
            return 2;
        if (!polled.revents)
            wait_ms = RIG_MS; /* from now on it reads, too */
        if (polled.revents & POLLOUT) {
            lpr_put_head(bytes, LPR_PING, asked, 0);
            asked += send(fd, bytes, LPR_HEAD_SIZE, MSG_NOSIGNAL | MSG_DONTWAIT) == LPR_HEAD_SIZE;
        }
        ssize_t part = polled.revents & POLLIN ? recv(fd, bytes, sizeof bytes, 0) : 0;
        if (part < 0 || (part == 0 && polled.revents & POLLIN))
            return 3;
        got += (size_t)part;
    }
    return got == all ? 0 : 4;
}

TEST(remote_session, who_reads_late_has_all_its_answers)
{
    struct rig rig;
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    pid_t client = rig_fork(ask_much_and_read, &rig);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, NULL), 0);
    CU_ASSERT_EQUAL(rig_reap(client), TEST_EXIT(0));
    rig_stop(&rig);
}

/* ---- dead ones ------------------------------------------------------------------------------ */

/* Has so many gates under way, says so, and is killed. */
static int wait_at_gates(const struct rig *rig, uint32_t policy)
{
    libpool_remote *remote;
    libpool_remote_client_options options = {.size = sizeof options, .policy = policy};
    libpool_remote_task task = {.size = sizeof task, .name = "gate"};
    if (rig_open_with(rig, &options, &remote) < 0)
        return 1;
    for (int i = 0; i < 10; i++)
        if (libpool_remote_submit(remote, &task, RIG_MS, NULL) < 0)
            return 2;
    for (;;)
        (void)pause();
}

static int die_cancelling(const struct rig *rig)
{
    return wait_at_gates(rig, LIBPOOL_REMOTE_CANCEL);
}

static int die_finishing(const struct rig *rig)
{
    return wait_at_gates(rig, LIBPOOL_REMOTE_FINISH);
}

static int die_continuing(const struct rig *rig)
{
    return wait_at_gates(rig, LIBPOOL_REMOTE_CONTINUE);
}

/* Two tasks run, four are in the pool, ten in all; then the client is killed. */
static void kill_a_client(struct rig *rig, int (*client)(const struct rig *rig))
{
    libpool_remote_options options = {
        .size = sizeof options, .window = 4, .policy = LIBPOOL_REMOTE_CONTINUE};
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(rig));
    pid_t pid = rig_fork(client, rig);
    CU_ASSERT_EQUAL_FATAL(rig_serve(rig, 2, &options), 0);
    CU_ASSERT_TRUE(
        RIG_AWAIT(atomic_load(&rig_shared->begun) == 2 && rig_stats(rig).tasks_received == 10));
    CU_ASSERT_EQUAL(kill(pid, SIGKILL), 0);
    CU_ASSERT_EQUAL(rig_reap(pid), TEST_SIGNAL(SIGKILL));
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(rig).sessions_ended[LIBPOOL_REMOTE_LEFT] == 1));
}

static void await_nothing_left(struct rig *rig)
{
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(rig).tasks_waiting + rig_stats(rig).tasks_in_pool == 0 &&
                             rig_stats(rig).sessions_lingering == 0));
    CU_ASSERT_EQUAL(rig_stats(rig).results_dropped, 10);
}

TEST(remote_session, a_killed_clients_tasks_are_cancelled)
{
    struct rig rig;
    kill_a_client(&rig, die_cancelling);
    await_nothing_left(&rig);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_ended[LIBPOOL_CANCELLED], 10);
    rig_stop(&rig);
}

TEST(remote_session, a_killed_clients_tasks_finish_if_it_has_asked_for_that)
{
    struct rig rig;
    kill_a_client(&rig, die_finishing);
    rig_open_gate(10);
    await_nothing_left(&rig);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_ended[LIBPOOL_COMPLETED], 4);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_ended[LIBPOOL_CANCELLED], 6);
    rig_stop(&rig);
}

TEST(remote_session, a_killed_clients_tasks_all_run_if_it_has_asked_for_that)
{
    struct rig rig;
    kill_a_client(&rig, die_continuing);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).sessions_lingering == 1));
    rig_open_gate(10);
    await_nothing_left(&rig);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_ended[LIBPOOL_COMPLETED], 10);
    rig_stop(&rig);
}

TEST(remote_session, who_takes_no_results_is_heard_to_the_end)
{
    struct rig rig;
    unsigned char bytes[200];
    rig_start(&rig, 1, NULL);
    int fd = rig_connect(&rig);
    CU_ASSERT_EQUAL(shutdown(fd, SHUT_RD), 0);
    size_t n = put_hello(bytes, 0);
    n += put_task(bytes + n, 0, "count", 0);
    CU_ASSERT_EQUAL(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).results_dropped == 1));
    for (uint64_t i = 0; i < 10; i++) {
        n = put_task(bytes, i, "count", 0);
        CU_ASSERT_EQUAL(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
        CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).results_dropped == i + 2));
    }
    CU_ASSERT_EQUAL(atomic_load(&rig_shared->counted), 11);
    CU_ASSERT_EQUAL(rig_stats(&rig).sessions_open, 1);
    close(fd);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).sessions_ended[LIBPOOL_REMOTE_LEFT] == 1));
    rig_stop(&rig);
}

/* ---- a storm -------------------------------------------------------------------------------- */

#define CLIENTS 8
#define VICTIMS 3
#define TASKS 300

/* Echoes of all sizes, 16 under way at once; 0 when each came back as it went. */
static int echo_in_a_storm(const struct rig *rig)
{
    enum {
        UNDER_WAY = 16,
        LARGEST = 100000
    };
    static unsigned char input[LARGEST];
    libpool_remote_future *futures[UNDER_WAY] = {0};
    size_t sizes[UNDER_WAY] = {0};
    libpool_remote *remote;
    uint64_t state = (uint64_t)getpid();
    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (unsigned char)(next_random(&state));
    if (rig_open_with(rig, NULL, &remote) < 0)
        return 1;
    for (unsigned i = 0; i < TASKS + UNDER_WAY; i++) {
        unsigned place = i % UNDER_WAY;
        if (futures[place]) {
            if (libpool_remote_wait(futures[place], RIG_MS) < 0)
                return 2;
            const libpool_result *result = libpool_remote_result(futures[place]);
            if (result->cause != LIBPOOL_COMPLETED || result->data_size != sizes[place] ||
                (sizes[place] && memcmp(result->data, input, sizes[place]) != 0))
                return 3;
            libpool_remote_free(futures[place]);
            futures[place] = NULL;
        }
        sizes[place] = next_random(&state) % (i % 8 ? 300 : LARGEST);
        if (i < TASKS)
            futures[place] = rig_submit(remote, "echo", input, sizes[place]);
        if (i < TASKS && !futures[place])
            return 4;
    }
    libpool_remote_close(remote);
    return 0;
}

/* The same without an end. */
static int echo_until_killed(const struct rig *rig)
{
    int code = 0;
    while (code == 0)
        code = echo_in_a_storm(rig);
    return code;
}

TEST(remote_session, clients_that_are_killed_cost_the_others_nothing)
{
    struct rig rig;
    pid_t clients[CLIENTS];
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = rig_fork(i < VICTIMS ? echo_until_killed : echo_in_a_storm, &rig);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 2, NULL), 0);
    for (unsigned i = 0; i < VICTIMS; i++) {
        CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).tasks_received >= 100 + 150 * i));
        CU_ASSERT_EQUAL(kill(clients[i], SIGKILL), 0);
        CU_ASSERT_EQUAL(rig_reap(clients[i]), TEST_SIGNAL(SIGKILL));
    }
    for (int i = VICTIMS; i < CLIENTS; i++)
        CU_ASSERT_EQUAL(rig_reap(clients[i]), TEST_EXIT(0));
    CU_ASSERT_TRUE(
        RIG_AWAIT(rig_stats(&rig).sessions_open == 0 && rig_stats(&rig).sessions_lingering == 0));
    libpool_remote_stats stats = rig_stats(&rig);
    CU_ASSERT_EQUAL(stats.tasks_waiting + stats.tasks_in_pool, 0);
    CU_ASSERT_TRUE(stats.tasks_ended[LIBPOOL_COMPLETED] >= (CLIENTS - VICTIMS) * TASKS);
    CU_ASSERT_EQUAL(stats.tasks_ended[LIBPOOL_COMPLETED] + stats.tasks_ended[LIBPOOL_CANCELLED],
                    stats.tasks_received);
    libpool_stats pool = {.size = sizeof pool};
    CU_ASSERT_EQUAL(libpool_stats_read(rig.pool, &pool), 0);
    CU_ASSERT_EQUAL(pool.tasks_pending + pool.tasks_running, 0);
    CU_ASSERT_TRUE(pool.tasks_received <= stats.tasks_received);
    rig_stop(&rig);
}
