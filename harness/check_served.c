/* SPDX-License-Identifier: MIT */
/*
 * check_served: I2. What the server of a pool counts balances, and is what its clients count: all of it, and
 * when one of them was lost on the way what the others do at least.
 */
#include <stdio.h>

#include "harness/check.h"

struct clients {
    uint64_t submitted, told; /* in the rows */
    uint64_t told_as[LIBPOOL_CAUSES_MAX];
    uint64_t counted; /* told, as each of them says */
    bool lost;        /* one has gone with tasks, or tasks with their session */
};

static bool is_clients(const struct hn_case *of, const struct hn_row *row)
{
    return row->group < of->groups_count && of->groups[row->group].client;
}

static void count_row(const struct hn_row *row, struct clients *clients)
{
    uint32_t state = atomic_load(&row->state);
    bool cut = state == HN_TASK_COLLECTED && row->cause == LIBPOOL_LOST && row->pid == 0;
    clients->lost |= cut || state == HN_TASK_ABANDONED;
    clients->submitted += state != HN_TASK_REFUSED;
    if (state != HN_TASK_COLLECTED || cut || (unsigned)row->cause >= LIBPOOL_CAUSES_MAX)
        return;
    clients->told++;
    clients->told_as[row->cause]++;
}

static void count(const struct hn_case *of, struct clients *clients)
{
    uint32_t tasks = atomic_load(&of->world->tasks_count);
    for (uint32_t task = 0; task < tasks; task++)
        if (is_clients(of, &of->world->rows[task]))
            count_row(&of->world->rows[task], clients);
    for (uint32_t i = 0; i < HN_CLIENTS_MAX; i++)
        clients->counted += atomic_load(&of->world->clients[i].told);
}

static void compare(const char *what, const char *name, uint64_t actual, uint64_t least,
                    uint64_t most, struct hn_findings *findings)
{
    if (actual < least || actual > most)
        hn_findings_add(findings, HN_I2_BOOKS, "libpool_remote_stats_read, and the clients", what,
                        "%s: %llu, not %llu to %llu", name, (unsigned long long)actual,
                        (unsigned long long)least, (unsigned long long)most);
}

static uint64_t sum(const uint64_t *list, int count)
{
    uint64_t total = 0;
    for (int i = 0; i < count; i++)
        total += list[i];
    return total;
}

void hn_check_served(const struct hn_case *of, struct hn_findings *findings)
{
    const libpool_remote_stats *served = &of->world->served;
    struct clients clients = {0};
    uint64_t sessions = served->sessions_open + sum(served->sessions_ended, 8);
    uint64_t ended = sum(served->tasks_ended, LIBPOOL_CAUSES_MAX);
    uint64_t tasks = served->tasks_waiting + served->tasks_in_pool + ended;
    count(of, &clients);
    compare("accepted = open + ended", "sessions", served->sessions_accepted, sessions, sessions,
            findings);
    compare("received = waiting + in the pool + ended", "tasks", served->tasks_received, tasks,
            tasks, findings);
    compare("each client counts what it was told", "results", clients.counted, clients.told,
            clients.told, findings);
    if (of->unserved)
        return; /* these numbers are older than the clients' */
    compare("received is what was submitted", "tasks", served->tasks_received,
            clients.lost ? clients.told : clients.submitted, clients.submitted, findings);
    compare("told is what has ended and was not dropped", "results", clients.counted,
            clients.lost ? 0 : ended - served->results_dropped, ended - served->results_dropped,
            findings);
    for (int cause = 1; cause < LIBPOOL_CAUSES; cause++)
        compare("the causes that clients were told", libpool_cause_name((libpool_cause)cause),
                served->tasks_ended[cause], clients.told_as[cause],
                clients.lost ? UINT64_MAX : clients.told_as[cause], findings);
}
