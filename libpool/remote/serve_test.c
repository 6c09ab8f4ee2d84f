/* SPDX-License-Identifier: MIT */
/* Who is let in, over what, and what a server does when it can't let in anybody. */
#include "server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>

#include "rig.h"

static int count_one(const struct rig *rig)
{
    libpool_remote *remote;
    int error = rig_open_with(rig, NULL, &remote);
    if (error)
        return -error & 127;
    bool ended = rig_end(rig_submit(remote, "count", NULL, 0)) == LIBPOOL_COMPLETED;
    libpool_remote_close(remote);
    return ended ? 0 : 127;
}

static int count_as_nobody(const struct rig *rig)
{
    if (setgid(65534) < 0 || setuid(65534) < 0)
        return 126;
    return count_one(rig);
}

TEST(remote_serve, another_user_is_refused)
{
    if (geteuid() != 0)
        TEST_SKIP("only root can be another user");
    struct rig rig;
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    pid_t nobody = rig_fork(count_as_nobody, &rig), self = rig_fork(count_one, &rig);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, NULL), 0);
    CU_ASSERT_EQUAL(rig_reap(nobody), TEST_EXIT(EACCES));
    CU_ASSERT_EQUAL(rig_reap(self), TEST_EXIT(0));
    CU_ASSERT_EQUAL(rig_stats(&rig).sessions_ended[LIBPOOL_REMOTE_REFUSED], 1);
    rig_stop(&rig);
}

/* ---- the application decides ---------------------------------------------------------------- */

static int know_the_word(void *arg, const libpool_remote_peer *peer)
{
    libpool_remote_peer *seen = arg;
    *seen = *peer;
    bool known = peer->credential_size == 6 && memcmp(peer->credential, "sesame", 6) == 0;
    return known ? 0 : -ENOKEY;
}

TEST(remote_serve, the_application_is_asked_who_may)
{
    struct rig rig;
    libpool_remote_peer seen = {0};
    libpool_remote_options options = {
        .size = sizeof options, .admit = know_the_word, .admit_arg = &seen};
    libpool_remote_client_options knows = {
        .size = sizeof knows, .credential = "sesame", .credential_size = 6};
    rig_start(&rig, 1, &options);
    libpool_remote *remote;
    CU_ASSERT_EQUAL(rig_open_with(&rig, NULL, &remote), -ENOKEY);
    CU_ASSERT_EQUAL_FATAL(rig_open_with(&rig, &knows, &remote), 0);
    CU_ASSERT_EQUAL(seen.uid, geteuid());
    CU_ASSERT_EQUAL(seen.pid, getpid());
    CU_ASSERT_EQUAL(seen.sessions, 0);
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "count", NULL, 0)), LIBPOOL_COMPLETED);
    libpool_remote *second = NULL;
    CU_ASSERT_EQUAL_FATAL(rig_open_with(&rig, &knows, &second), 0);
    CU_ASSERT_EQUAL(seen.sessions, 1);
    libpool_remote_close(second);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)address, sizeof *address) < 0 || listen(fd, 8) < 0 ||
        getsockname(fd, (struct sockaddr *)address, &size) < 0)
        return -1;
    return fd;
}

static int connect_to(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? -1 : fd;
}

TEST(remote_serve, tcp_needs_somebody_who_decides)
{
    struct rig rig = {.listener = -1};
    struct sockaddr_in address;
    libpool_remote_peer seen = {0};
    CU_ASSERT_TRUE_FATAL(rig_share());
    int listener = listen_on_loopback(&address);
    CU_ASSERT_TRUE_FATAL(listener >= 0);
    libpool_remote_options options = {
        .size = sizeof options, .listeners = &listener, .listeners_count = 1};
    CU_ASSERT_EQUAL(rig_serve(&rig, 1, &options), -EPERM);
    options.admit = know_the_word;
    options.admit_arg = &seen;
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, &options), 0);
    libpool_remote_client_options knows = {
        .size = sizeof knows, .credential = "sesame", .credential_size = 6};
    libpool_remote *remote;
    CU_ASSERT_EQUAL(libpool_remote_open(&remote, connect_to(&address), NULL), -ENOKEY);
    CU_ASSERT_EQUAL_FATAL(libpool_remote_open(&remote, connect_to(&address), &knows), 0);
    CU_ASSERT_EQUAL(seen.uid, UINT32_MAX);
    char *bytes = calloc(1, 5 << 20);
    libpool_remote_future *future = rig_submit(remote, "echo", bytes, 5 << 20);
    CU_ASSERT_EQUAL(libpool_remote_wait(future, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_result(future)->data_size, 5 << 20);
    CU_ASSERT_EQUAL(rig_end(future), LIBPOOL_COMPLETED);
    free(bytes);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

static int is_without_delay(int fd)
{
    int on = 0;
    socklen_t size = sizeof on;
    return getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size) < 0 ? -errno : on != 0;
}

static int look_at_the_delay(void *arg, const libpool_remote_peer *peer)
{
    *(int *)arg = is_without_delay(peer->fd);
    return 0;
}

TEST(remote_serve, over_tcp_neither_end_delays_small_messages)
{
    struct rig rig = {.listener = -1};
    struct sockaddr_in address;
    int servers = -1;
    CU_ASSERT_TRUE_FATAL(rig_share());
    int listener = listen_on_loopback(&address);
    CU_ASSERT_TRUE_FATAL(listener >= 0);
    libpool_remote_options options = {.size = sizeof options,
                                      .listeners = &listener,
                                      .listeners_count = 1,
                                      .admit = look_at_the_delay,
                                      .admit_arg = &servers};
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, &options), 0);
    libpool_remote *remote;
    int fd = connect_to(&address), clients = dup(fd);
    CU_ASSERT_EQUAL(is_without_delay(clients), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_remote_open(&remote, fd, NULL), 0);
    CU_ASSERT_EQUAL(is_without_delay(clients), 1);
    CU_ASSERT_EQUAL(servers, 1);
    libpool_remote_close(remote);
    close(clients);
    rig_stop(&rig);
}

TEST(remote_serve, one_end_of_a_pair_needs_no_listener)
{
    struct rig rig = {.listener = -1};
    int ends[2], pipes[2];
    CU_ASSERT_TRUE_FATAL(rig_share());
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    CU_ASSERT_EQUAL(libpool_remote_adopt(rig.server, ends[0]), 0);
    libpool_remote *remote = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_remote_open(&remote, ends[1], NULL), 0);
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "count", NULL, 0)), LIBPOOL_COMPLETED);
    libpool_remote_close(remote);
    CU_ASSERT_EQUAL_FATAL(pipe2(pipes, O_CLOEXEC), 0);
    CU_ASSERT_EQUAL(libpool_remote_adopt(rig.server, pipes[0]), -ENOTSOCK);
    CU_ASSERT_TRUE(fcntl(pipes[0], F_GETFD) < 0);
    close(pipes[1]);
    rig_stop(&rig);
}

TEST(remote_serve, one_session_too_many_is_told)
{
    struct rig rig;
    libpool_remote_options options = {.size = sizeof options, .sessions = 2};
    rig_start(&rig, 1, &options);
    libpool_remote *first = rig_open(&rig), *second = rig_open(&rig), *third;
    CU_ASSERT_EQUAL(rig_open_with(&rig, NULL, &third), -EBUSY);
    libpool_remote_close(first);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).sessions_ended[LIBPOOL_REMOTE_LEFT] == 1));
    third = rig_open(&rig);
    CU_ASSERT_EQUAL(rig_end(rig_submit(third, "count", NULL, 0)), LIBPOOL_COMPLETED);
    libpool_remote_close(second);
    libpool_remote_close(third);
    rig_stop(&rig);
}

TEST(remote_serve, more_strangers_than_it_looks_at_all_get_in)
{
    enum {
        STRANGERS = 100 /* more than are let in before they have said who they are */
    };
    struct rig rig;
    int fds[STRANGERS];
    libpool_remote_options options = {.size = sizeof options, .handshake_ms = 60000};
    libpool_remote_client_options client = {.size = sizeof client, .handshake_ms = 2000};
    libpool_remote *remote;
    rig_start(&rig, 1, &options);
    for (int i = 0; i < STRANGERS; i++)
        fds[i] = rig_connect(&rig);
    CU_ASSERT_EQUAL_FATAL(rig_open_with(&rig, &client, &remote), 0); /* behind them all */
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "count", NULL, 0)), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(rig_stats(&rig).sessions_accepted, STRANGERS + 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).sessions_ended[LIBPOOL_REMOTE_STALLED], STRANGERS + 1 - 64);
    for (int i = 0; i < STRANGERS; i++)
        close(fds[i]);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

/* ---- no descriptors ------------------------------------------------------------------------- */

static uint64_t cpu_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

TEST(remote_serve, without_descriptors_clients_wait_and_nobody_spins)
{
    struct rig rig;
    struct rlimit limit, none;
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    pid_t ready = rig_fork(count_one, &rig); /* which starts a worker, so that all is open */
    CU_ASSERT_EQUAL(rig_reap(ready), TEST_EXIT(0));
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(lowest);
    none = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = limit.rlim_max};
    int go[2];
    CU_ASSERT_EQUAL_FATAL(pipe2(go, O_CLOEXEC), 0);
    pid_t client = fork();
    if (client == 0) {
        char byte;
        close(go[1]);
        _exit(read(go[0], &byte, 1) == 0 ? count_one(&rig) : 125);
    }
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
    uint64_t before_ms = cpu_ms();
    close(go[1]);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).accept_pauses >= 1));
    uint64_t tests_own_ms = cpu_ms() - before_ms; /* it looks in a loop until then */
    int64_t begun_ms = rig_now_ms();
    struct pollfd nothing = {.fd = -1};
    (void)poll(&nothing, 1, 350);
    CU_ASSERT_TRUE(cpu_ms() - before_ms - tests_own_ms < 80);
    CU_ASSERT_TRUE((int64_t)rig_stats(&rig).accept_pauses <= (rig_now_ms() - begun_ms) / 100 + 4);
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CU_ASSERT_EQUAL(rig_reap(client), TEST_EXIT(0));
    close(go[0]);
    rig_stop(&rig);
}

TEST(remote_serve, a_listener_that_was_shut_down_spins_nobody)
{
    struct rig rig;
    rig_start(&rig, 1, NULL);
    libpool_remote *remote = rig_open(&rig);
    CU_ASSERT_EQUAL(shutdown(rig.listener, SHUT_RDWR), 0);
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "count", NULL, 0)), LIBPOOL_COMPLETED);
    uint64_t before_ms = cpu_ms();
    struct pollfd nothing = {.fd = -1};
    (void)poll(&nothing, 1, 350);
    CU_ASSERT_TRUE(cpu_ms() - before_ms < 80);
    CU_ASSERT_EQUAL(rig_end(rig_submit(remote, "count", NULL, 0)), LIBPOOL_COMPLETED);
    libpool_remote_close(remote);
    rig_stop(&rig);
}

/* ---- driven --------------------------------------------------------------------------------- */

static void *count_in_thread(void *arg)
{
    return (void *)(uintptr_t)count_one(arg);
}

TEST(remote_serve, a_loop_of_the_applications_drives_server_and_pool)
{
    struct rig rig;
    libpool_options pool_options = {
        .size = sizeof pool_options, .flags = LIBPOOL_NO_THREAD, .max_workers = 1};
    libpool_remote_options options = {.size = sizeof options, .flags = LIBPOOL_REMOTE_NO_THREAD};
    CU_ASSERT_TRUE_FATAL(rig_share() && rig_listen(&rig));
    CU_ASSERT_EQUAL_FATAL(libpool_open(&rig.pool, &pool_options), 0);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, &options), 0);
    pthread_t client;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&client, NULL, count_in_thread, &rig), 0);
    struct pollfd polled[2] = {{.fd = libpool_remote_server_fd(rig.server), .events = POLLIN},
                               {.fd = libpool_fd(rig.pool), .events = POLLIN}};
    while (rig_stats(&rig).sessions_ended[LIBPOOL_REMOTE_LEFT] == 0 &&
           poll(polled, 2, RIG_MS) > 0) {
        CU_ASSERT_EQUAL(libpool_remote_server_dispatch(rig.server), 0);
        CU_ASSERT_EQUAL(libpool_dispatch(rig.pool), 0);
    }
    void *code;
    CU_ASSERT_EQUAL(pthread_join(client, &code), 0);
    CU_ASSERT_PTR_NULL(code);
    rig_stop(&rig);
}

TEST(remote_serve, what_it_is_given_is_checked)
{
    struct rig rig;
    uint32_t n;
    const libpool_remote_offer *offers = rig_offers(&n);
    libpool_options mute = {.size = sizeof mute};
    libpool_remote_options options = {.size = sizeof options, .offers = offers, .offers_count = n};
    libpool_remote_server *server;
    libpool *pool;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &mute), 0);
    CU_ASSERT_EQUAL(libpool_remote_serve(&server, pool, &options), -ENOTSUP);
    libpool_close(pool);
    rig_start(&rig, 1, NULL);
    CU_ASSERT_EQUAL(libpool_remote_serve(&server, NULL, &options), -EINVAL);
    CU_ASSERT_EQUAL(libpool_remote_serve(&server, rig.pool, NULL), -EINVAL);
    options.offers_count = 0;
    CU_ASSERT_EQUAL(libpool_remote_serve(&server, rig.pool, &options), -EINVAL);
    libpool_remote_offer offer = {"name", {.size = sizeof(libpool_task), .function = rig_count}};
    options.offers = &offer;
    options.offers_count = 1;
    offer.task.input_size = 1;
    CU_ASSERT_EQUAL(libpool_remote_serve(&server, rig.pool, &options), -EINVAL);
    offer.task.input_size = 0;
    offer.name = "";
    CU_ASSERT_EQUAL(libpool_remote_serve(&server, rig.pool, &options), -EINVAL);
    offer.name = "name";
    options.policy = 3;
    CU_ASSERT_EQUAL(libpool_remote_serve(&server, rig.pool, &options), -EINVAL);
    options.policy = 0;
    int not_listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un nameless = {.sun_family = AF_UNIX};
    CU_ASSERT_EQUAL(bind(listener, (struct sockaddr *)&nameless, sizeof(sa_family_t)), 0);
    CU_ASSERT_EQUAL(listen(listener, 1), 0);
    const int listeners[] = {listener, not_listening};
    options.listeners = listeners;
    options.listeners_count = 2;
    CU_ASSERT_EQUAL(libpool_remote_serve(&server, rig.pool, &options), -EINVAL);
    CU_ASSERT_EQUAL(fcntl(listener, F_GETFL) & O_NONBLOCK, 0); /* they stayed ours, as they were */
    CU_ASSERT_EQUAL(close(listener), 0);
    CU_ASSERT_EQUAL(close(not_listening), 0);
    CU_ASSERT_PTR_NULL(server);
    CU_ASSERT_EQUAL(libpool_remote_server_dispatch(rig.server), -EINVAL);
    rig_stop(&rig);
}
