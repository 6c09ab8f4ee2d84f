/* SPDX-License-Identifier: MIT */
/* client: see the header. One thread, which sleeps in poll(2): for orders, and for its session. */
#include "harness/client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <libpool_remote.h>

#include "harness/clock.h"
#include "harness/target_inner.h"

#define LAST_WORDS_MS 1000 /* what was told before the server was closed is there */

struct client {
    const struct hn_client_options *options;
    struct hn_world *world;
    struct hn_client *self;
    libpool_remote *remote;
    libpool_remote_future **futures; /* by row */
    uint32_t *open;                  /* rows that have not ended */
    uint32_t open_count;
    bool lost;
    bool lied;
};

static const struct hn_group *group_of(const struct client *client, uint32_t task)
{
    return &client->options->target->groups[client->world->rows[task].group];
}

static void tell_target(const struct client *client)
{
    char byte = 0;
    send(client->options->command_fd, &byte, 1, MSG_NOSIGNAL);
}

/* ---- Results ---------------------------------------------------------------------------------- */

/* A lie, once. */
static bool lies(struct client *client, enum hn_sabotage how)
{
    bool now = client->options->target->sabotage == how && !client->lied;
    client->lied |= now;
    return now;
}

static void note_told(struct client *client, uint32_t task, const libpool_result *result)
{
    struct hn_row *row = &client->world->rows[task];
    const struct hn_group *what = group_of(client, task);
    struct hn_record record = hn_record_of(HN_COLLECTED);
    hn_target_copy_result(row, result);
    row->ends++;
    if (what->kind == HN_TASK_ECHO && !what->works_at && result->cause == LIBPOOL_COMPLETED)
        row->echo = result->data_size == what->bytes &&
                            hn_payload_matches(result->data, result->data_size, task)
                        ? HN_ECHO_EXACT
                        : HN_ECHO_WRONG;
    row->collected_ns = hn_clock_ns();
    bool by_server = result->cause != LIBPOOL_LOST || result->pid;
    atomic_fetch_add(&client->self->told, by_server);
    atomic_fetch_add(&client->self->told, by_server && lies(client, HN_SABOTAGE_COUNT_TOLD));
    record.group = row->group;
    record.task = task;
    record.slot = result->slot;
    record.cause = (int32_t)result->cause;
    record.code = result->code;
    record.signal = result->signal;
    record.a = result->task_id;
    hn_history_append(&client->world->history, &record);
    atomic_store(&row->state, HN_TASK_COLLECTED);
}

static void collect(struct client *client)
{
    uint32_t left = 0, before = client->open_count;
    for (uint32_t i = 0; i < before; i++) {
        uint32_t task = client->open[i];
        const libpool_result *result = libpool_remote_result(client->futures[task]);
        if (!result) {
            client->open[left++] = task;
            continue;
        }
        if (!lies(client, HN_SABOTAGE_LOSE_TOLD))
            note_told(client, task, result);
        libpool_remote_free(client->futures[task]);
    }
    client->open_count = left;
    if (left != before)
        tell_target(client);
}

/* ---- Orders ----------------------------------------------------------------------------------- */

static void note_offered(struct client *client, uint32_t task, int rc)
{
    struct hn_row *row = &client->world->rows[task];
    struct hn_record record = hn_record_of(rc ? HN_REFUSED : HN_SUBMITTED);
    record.group = row->group;
    record.task = task;
    record.code = rc;
    hn_history_append(&client->world->history, &record);
    row->error = rc;
    row->accepted_ns = hn_clock_ns();
    atomic_store(&row->state, rc ? HN_TASK_REFUSED : HN_TASK_ACCEPTED);
}

static int offer(struct client *client, uint32_t group, uint32_t task)
{
    const struct hn_group *what = group_of(client, task);
    char name[HN_OFFER_MAX];
    size_t size;
    struct hn_order *order = hn_target_make_order(what, group, task, &size);
    if (!order)
        return -ENOMEM;
    hn_target_name_offer(name, group);
    libpool_remote_task offered = {.size = sizeof offered,
                                   .name = name,
                                   .input = order,
                                   .input_size = size,
                                   .priority = what->priority,
                                   .run_timeout_ms = what->run_timeout_ms,
                                   .queue_timeout_ms = what->queue_timeout_ms};
    int rc = libpool_remote_submit(client->remote, &offered, what->wait_ms, &client->futures[task]);
    free(order);
    return rc;
}

static void submit(struct client *client, const struct hn_client_order *order)
{
    for (uint32_t task = order->first; task < order->first + order->count; task++) {
        client->world->rows[task].offered_ns = hn_clock_ns();
        int rc = offer(client, order->group, task);
        note_offered(client, task, rc);
        if (rc == 0)
            client->open[client->open_count++] = task;
        else
            tell_target(client);
    }
}

/* False: the target wants no more. */
static bool take_order(struct client *client)
{
    struct hn_client_order order;
    if (recv(client->options->command_fd, &order, sizeof order, 0) != (ssize_t)sizeof order)
        return false;
    submit(client, &order);
    return true;
}

/* ---- Its life --------------------------------------------------------------------------------- */

static void work(struct client *client)
{
    struct pollfd fds[] = {{.fd = client->options->command_fd, .events = POLLIN},
                           {.fd = libpool_remote_fd(client->remote), .events = POLLIN}};
    for (bool more = true; more;) {
        int ready = poll(fds, client->lost ? 1 : 2, -1);
        if (ready < 0)
            continue;
        if (!client->lost && fds[1].revents)
            client->lost = libpool_remote_dispatch(client->remote) != 0;
        if (fds[0].revents)
            more = take_order(client);
        collect(client);
    }
}

/* What the server has told is read; what has not ended by then ends with the session. */
static void leave(struct client *client)
{
    for (uint32_t i = 0; i < client->open_count; i++)
        if (libpool_remote_wait(client->futures[client->open[i]], LAST_WORDS_MS))
            break;
    libpool_remote_close(client->remote);
    collect(client);
}

static int open_session(struct client *client)
{
    const struct hn_client_options *options = client->options;
    libpool_remote_client_options how = {.size = sizeof how,
                                         .policy = options->target->client_policy};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&options->address, options->address_size)) {
        close(fd);
        return -errno;
    }
    return libpool_remote_open(&client->remote, fd, &how);
}

int hn_client_live(const struct hn_client_options *options)
{
    struct hn_world *world = options->target->world;
    struct client client = {
        .options = options, .world = world, .self = &world->clients[options->number]};
    client.futures = calloc(HN_TASKS_MAX, sizeof *client.futures);
    client.open = calloc(HN_TASKS_MAX, sizeof *client.open);
    int rc = client.futures && client.open ? open_session(&client) : -ENOMEM;
    if (rc == 0) {
        tell_target(&client);
        work(&client);
        leave(&client);
    }
    free(client.futures);
    free(client.open);
    return rc != 0;
}
