/* SPDX-License-Identifier: MIT */
/*
 * target_clients: the target serves its pool to other processes, its clients.
 *
 * They are there before the pool is, one connection each. Their rows are made here and go to them by
 * order; one thread hears when some have ended, and closes those of a client that is gone: what became of
 * them nobody was told.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/client.h"
#include "harness/clock.h"
#include "harness/roster.h"
#include "harness/target_inner.h"

#define SESSIONS_NS (10 * HN_S)
#define NOISE_MS 10000
#define NOISE_BYTES 4096
#define UNSERVE_SLACK_MS 3000 /* a grace, what tells the clients, and one more */

/* ---- Before the pool -------------------------------------------------------------------------- */

/* At an address of its own choice, which no file has. */
static int listen_somewhere(struct hn_target_clients *clients, struct hn_client_options *options)
{
    options->address.sun_family = AF_UNIX;
    options->address_size = sizeof options->address;
    clients->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (clients->listener < 0 ||
        bind(clients->listener, (struct sockaddr *)&options->address, sizeof(sa_family_t)) ||
        listen(clients->listener, SOMAXCONN) ||
        getsockname(clients->listener, (struct sockaddr *)&options->address,
                    &options->address_size))
        return -errno;
    clients->address = options->address;
    clients->address_size = options->address_size;
    return 0;
}

static _Noreturn void be_client(const struct hn_target *target, struct hn_client_options *options)
{
    const struct hn_target_clients *clients = &target->clients;
    prctl(PR_SET_NAME, "chaos:client");
    close(target->command_fd);
    close(clients->listener);
    for (uint32_t i = 0; i <= options->number; i++)
        close(clients->fds[i]);
    _exit(hn_client_live(options));
}

/* A child whose end the application's handlers, and its waits for others, don't see. */
static int start_client(struct hn_target *target, struct hn_client_options *options)
{
    struct hn_target_clients *clients = &target->clients;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return -errno;
    clients->fds[options->number] = ends[0];
    options->command_fd = ends[1];
    pid_t pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    if (pid == 0)
        be_client(target, options);
    int rc = pid < 0 ? -errno : 0;
    close(ends[1]);
    if (rc)
        close(ends[0]);
    else
        hn_process_look(pid, &target->world->clients[options->number].process);
    clients->count += rc == 0;
    return rc;
}

int hn_clients_start(struct hn_target *target)
{
    struct hn_target_clients *clients = &target->clients;
    struct hn_client_options options = {.target = target->options};
    if (target->options->clients == 0)
        return 0;
    pthread_mutex_init(&clients->lock, NULL);
    memset(clients->fds, 0xff, sizeof clients->fds);
    int rc = listen_somewhere(clients, &options);
    for (; rc == 0 && options.number < target->options->clients; options.number++)
        rc = start_client(target, &options);
    return rc;
}

/* ---- With the pool ---------------------------------------------------------------------------- */

void hn_target_name_offer(char name[HN_OFFER_MAX], uint32_t group)
{
    snprintf(name, HN_OFFER_MAX, "group %u", group);
}

/* What they may ask for is what they will. */
static libpool_task offered_task(const struct hn_target *target, const struct hn_group *what,
                                 uint32_t group)
{
    libpool_task task = hn_target_task_of(what, group);
    task.function = target->object ? NULL : hn_task_run;
    task.object = target->object;
    task.symbol = target->object ? "chaos_task" : NULL;
    task.priority = what->priority;
    task.run_timeout_ms = what->run_timeout_ms;
    task.queue_timeout_ms = what->queue_timeout_ms;
    return task;
}

/* One offer for each group, under the name that its clients know. */
static void make_offers(struct hn_target *target)
{
    struct hn_target_clients *clients = &target->clients;
    for (uint32_t group = 0; group < target->options->groups_count; group++) {
        if (target->options->groups[group].client == 0)
            continue;
        uint32_t place = clients->offers_count++;
        hn_target_name_offer(clients->names[place], group);
        clients->offers[place] = (libpool_remote_offer){
            clients->names[place], offered_task(target, &target->options->groups[group], group)};
    }
}

static int open_server(struct hn_target *target)
{
    struct hn_target_clients *clients = &target->clients;
    make_offers(target);
    libpool_remote_options options = {.size = sizeof options,
                                      .offers = clients->offers,
                                      .offers_count = clients->offers_count,
                                      .listeners = &clients->listener,
                                      .listeners_count = 1,
                                      .session_window = target->options->client_window,
                                      .stall_ms = target->options->client_stall_ms,
                                      .policy = target->options->client_policy};
    return libpool_remote_serve(&clients->server, target->pool, &options);
}

/* Each of them says when it has its session. */
static int await_sessions(const struct hn_target_clients *clients)
{
    uint64_t deadline_ns = hn_clock_ns() + SESSIONS_NS;
    for (uint32_t i = 0; i < clients->count; i++) {
        struct pollfd wanted = {.fd = clients->fds[i], .events = POLLIN};
        char byte;
        if (poll(&wanted, 1, hn_clock_left_ms(deadline_ns)) != 1)
            return -ETIMEDOUT;
        if (recv(clients->fds[i], &byte, 1, 0) != 1)
            return -ECONNREFUSED;
    }
    return 0;
}

/* Its rows that have not ended never will, as far as anybody knows. */
static void abandon_rows(struct hn_target *target, uint32_t client)
{
    struct hn_world *world = target->world;
    uint32_t count = atomic_load(&world->tasks_count);
    for (uint32_t task = 0; task < count; task++) {
        struct hn_row *row = &world->rows[task];
        uint32_t state = atomic_load(&row->state);
        if (row->group < target->options->groups_count &&
            target->options->groups[row->group].client == client + 1 &&
            (state == HN_TASK_OFFERED || state == HN_TASK_ACCEPTED))
            atomic_store(&row->state, HN_TASK_ABANDONED);
    }
}

static void part_with(struct hn_target *target, uint32_t client)
{
    struct hn_target_clients *clients = &target->clients;
    int status;
    while (waitpid(target->world->clients[client].process.pid, &status, __WALL) < 0 &&
           errno == EINTR)
        ;
    pthread_mutex_lock(&clients->lock);
    close(clients->fds[client]);
    clients->fds[client] = -1;
    abandon_rows(target, client);
    clients->count--;
    pthread_mutex_unlock(&clients->lock);
}

/* What they say, until the last is gone. */
static void *listen_to_clients(void *argument)
{
    struct hn_target *target = argument;
    struct hn_target_clients *clients = &target->clients;
    while (clients->count) {
        struct pollfd fds[HN_CLIENTS_MAX];
        char byte;
        for (uint32_t i = 0; i < HN_CLIENTS_MAX; i++)
            fds[i] = (struct pollfd){.fd = clients->fds[i], .events = POLLIN};
        poll(fds, HN_CLIENTS_MAX, -1);
        for (uint32_t i = 0; i < HN_CLIENTS_MAX; i++)
            if (fds[i].fd >= 0 && fds[i].revents && recv(fds[i].fd, &byte, 1, 0) <= 0)
                part_with(target, i);
        pthread_mutex_lock(&target->lock);
        pthread_cond_broadcast(&target->changed);
        pthread_mutex_unlock(&target->lock);
        hn_target_ring(target);
    }
    return NULL;
}

int hn_clients_serve(struct hn_target *target)
{
    struct hn_target_clients *clients = &target->clients;
    if (target->options->clients == 0)
        return 0;
    int rc = open_server(target);
    if (rc == 0)
        rc = await_sessions(clients);
    if (rc == 0)
        rc = -pthread_create(&clients->thread, NULL, listen_to_clients, target);
    return rc;
}

/* ---- Tasks ------------------------------------------------------------------------------------ */

uint32_t hn_clients_submit(struct hn_target *target, uint32_t number, const struct hn_group *group)
{
    struct hn_target_clients *clients = &target->clients;
    struct hn_client_order order = {.group = number};
    pthread_mutex_lock(&target->submissions);
    for (; order.count < group->count; order.count++) {
        uint32_t task = hn_target_take_row(target, number);
        if (task == HN_NONE)
            break;
        order.first = order.count ? order.first : task;
    }
    pthread_mutex_unlock(&target->submissions);
    pthread_mutex_lock(&clients->lock);
    int fd = clients->fds[group->client - 1];
    if (fd < 0 || send(fd, &order, sizeof order, MSG_NOSIGNAL) < 0)
        abandon_rows(target, group->client - 1);
    pthread_mutex_unlock(&clients->lock);
    return group->count - order.count;
}

/* ---- The server ------------------------------------------------------------------------------- */

void hn_clients_read_stats(struct hn_target *target)
{
    struct hn_target_clients *clients = &target->clients;
    libpool_remote_stats *served = &target->world->served;
    if (target->options->clients == 0)
        return;
    pthread_mutex_lock(&clients->lock);
    if (clients->server) {
        memset(served, 0, sizeof *served);
        served->size = sizeof *served;
        libpool_remote_stats_read(clients->server, served);
    }
    pthread_mutex_unlock(&clients->lock);
}

bool hn_clients_are_settled(struct hn_target *target)
{
    struct hn_target_clients *clients = &target->clients;
    libpool_remote_stats served = {.size = sizeof served};
    bool settled = true;
    if (target->options->clients == 0)
        return true;
    pthread_mutex_lock(&clients->lock);
    if (clients->server && libpool_remote_stats_read(clients->server, &served) == 0)
        settled = served.tasks_waiting + served.tasks_in_pool + served.sessions_lingering == 0 &&
                  served.sessions_open <= clients->count;
    pthread_mutex_unlock(&clients->lock);
    return settled;
}

int hn_clients_unserve(struct hn_target *target, uint32_t flags, int deadline_ms)
{
    struct hn_target_clients *clients = &target->clients;
    hn_clients_read_stats(target);
    pthread_mutex_lock(&clients->lock);
    libpool_remote_server *server = clients->server;
    clients->server = NULL;
    pthread_mutex_unlock(&clients->lock);
    if (!server)
        return -EALREADY;
    int bound_ms = UNSERVE_SLACK_MS;
    if (flags & LIBPOOL_WAIT)
        bound_ms = deadline_ms < 0 ? -1 : deadline_ms + UNSERVE_SLACK_MS;
    struct hn_timing timing = hn_call_begin(target, HN_CALL_UNSERVE, bound_ms);
    int rc = libpool_remote_server_close(server, flags, deadline_ms);
    hn_call_end(&timing, rc, HN_NONE);
    return rc;
}

/* Bytes of nobody's; then it waits for the server to have had enough. */
static int make_noise(const struct hn_target_clients *clients, uint64_t random)
{
    uint64_t noise[NOISE_BYTES / sizeof(uint64_t)];
    char byte;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ready = 0;
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    for (size_t i = 0; i < NOISE_BYTES / sizeof(uint64_t); i++)
        noise[i] = hn_random(&random);
    if (connect(fd, (const struct sockaddr *)&clients->address, clients->address_size) == 0)
        send(fd, noise, sizeof noise, MSG_NOSIGNAL);
    do
        ready = poll(&answer, 1, NOISE_MS);
    while (ready == 1 && recv(fd, &byte, 1, 0) == 1);
    close(fd);
    return ready == 1;
}

int hn_clients_noise(struct hn_target *target, uint32_t connections)
{
    int ended = 0;
    for (uint32_t i = 0; i < connections; i++)
        ended += make_noise(&target->clients, i);
    return ended;
}

/* ---- The end ---------------------------------------------------------------------------------- */

/* Who is stopped does not hear that it is to leave. */
static void let_go(struct hn_target *target)
{
    struct hn_target_clients *clients = &target->clients;
    pthread_mutex_lock(&clients->lock);
    for (uint32_t i = 0; i < HN_CLIENTS_MAX; i++)
        if (clients->fds[i] >= 0)
            shutdown(clients->fds[i], SHUT_WR);
    pthread_mutex_unlock(&clients->lock);
    pthread_join(clients->thread, NULL);
}

void hn_clients_close(struct hn_target *target)
{
    if (target->options->clients == 0)
        return;
    hn_clients_unserve(target, 0, 0);
    let_go(target);
}
