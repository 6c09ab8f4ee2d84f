/* SPDX-License-Identifier: MIT */
/*
 * edge: tasks that end within 50 us of their deadline, beside tasks that have none.
 *
 *     build/edge [ROUNDS]     2000
 *
 * Each round is one task that spins up to its deadline, give or take 50 us, and two innocent ones around
 * it, which are sent ahead to whom they please. What has to hold: a task on the edge either completes,
 * with its bytes, or times out, and then it has had all its time; an innocent one completes; and each
 * worker that was killed was killed for one timeout.
 */
#include <libpool.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EDGE_US 50
#define DEADLINE_MS 1
#define WINDOW 24 /* tasks; a third of them on the edge */
#define WAIT_MS 20000

struct order {
    long number;
    long spin_ns; /* 0: an innocent one */
};

struct tally {
    long completed, timeouts, innocent;
    long hung, wrong, early, hurt, strange;
};

struct edge {
    libpool *pool;
    long rounds;
    unsigned seed;
    libpool_future *futures[WINDOW];
    struct order orders[WINDOW];
    struct tally tally;
};

static long now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

/* From its own first moment on: the pool counts from a little before. */
static int spin(libpool_worker *worker, const void *input, size_t size)
{
    const struct order *order = input;
    long until_ns = now_ns() + order->spin_ns;
    while (order->spin_ns && now_ns() < until_ns)
        continue;
    return size == sizeof *order ? libpool_reply(worker, order, size) : 1;
}

static bool is_exact(const libpool_result *result, const struct order *order)
{
    return result->cause == LIBPOOL_COMPLETED && result->data_size == sizeof *order &&
           memcmp(result->data, order, sizeof *order) == 0;
}

static void judge_one(struct tally *tally, const libpool_result *result, const struct order *order)
{
    if (!order->spin_ns) {
        tally->innocent += is_exact(result, order);
        tally->hurt += !is_exact(result, order);
    } else if (result->cause == LIBPOOL_COMPLETED) {
        tally->completed++;
        tally->wrong += !is_exact(result, order);
    } else if (result->cause == LIBPOOL_TIMEOUT) {
        tally->timeouts++;
        tally->early += result->running_ns < DEADLINE_MS * 1000000ul ||
                        result->certainty != LIBPOOL_MAY_HAVE_RUN;
    } else {
        tally->strange++;
    }
}

static void collect(struct edge *edge, int at)
{
    libpool_future *future = edge->futures[at];
    if (!future)
        return;
    if (libpool_future_wait(future, WAIT_MS))
        edge->tally.hung++;
    else
        judge_one(&edge->tally, libpool_future_result(future), &edge->orders[at]);
    libpool_future_free(future);
    edge->futures[at] = NULL;
}

static void submit(struct edge *edge, long number)
{
    int at = (int)(number % WINDOW);
    bool on_edge = number % 3 == 1;
    long off_us = (long)((unsigned)rand_r(&edge->seed) % (2 * EDGE_US + 1)) - EDGE_US;
    struct order *order = &edge->orders[at];
    *order = (struct order){number, on_edge ? DEADLINE_MS * 1000000L + off_us * 1000 : 0};
    libpool_task task = {.size = sizeof task,
                         .function = spin,
                         .input = order,
                         .input_size = sizeof *order,
                         .run_timeout_ms = on_edge ? DEADLINE_MS : 0};
    if (libpool_submit(edge->pool, &task, WAIT_MS, &edge->futures[at]))
        edge->tally.hung++;
}

static int check(const char *what, bool holds, int *failed)
{
    printf("  %-50s %s\n", what, holds ? "holds" : "DOES NOT HOLD");
    *failed += !holds;
    return *failed;
}

static void print_workers(const libpool_stats *stats)
{
    printf("%llu workers:", (unsigned long long)stats->worker_processes_created);
    for (int cause = 0; cause < LIBPOOL_CAUSES; cause++)
        if (stats->workers_ended[cause])
            printf(" %llu %s", (unsigned long long)stats->workers_ended[cause],
                   libpool_cause_name((libpool_cause)cause));
    printf("\n");
}

static int judge(struct edge *edge)
{
    int failed = 0;
    const struct tally *tally = &edge->tally;
    libpool_stats stats = {.size = sizeof stats};
    (void)libpool_shutdown(edge->pool, LIBPOOL_WAIT,
                           -1); /* who is left leaves; who just starts is killed */
    (void)libpool_stats_read(edge->pool, &stats);
    printf("%ld rounds: %ld completed, %ld timed out; %ld innocent tasks beside them\n",
           edge->rounds, tally->completed, tally->timeouts, tally->innocent);
    print_workers(&stats);
    check("every future has ended", !tally->hung, &failed);
    check("who completed has its bytes", !tally->wrong, &failed);
    check("who timed out has had all its time", !tally->early, &failed);
    check("no innocent task was hurt", !tally->hurt, &failed);
    check("there is no other cause", !tally->strange, &failed);
    check("both ends were reached", tally->completed && tally->timeouts, &failed);
    check("a worker was killed for each timeout, and no other",
          stats.workers_ended[LIBPOOL_TIMEOUT] == (uint64_t)tally->timeouts &&
              stats.worker_processes_created == stats.workers_ended[LIBPOOL_TIMEOUT] +
                                                    stats.workers_ended[LIBPOOL_COMPLETED] +
                                                    stats.workers_ended[LIBPOOL_SHUTDOWN],
          &failed);
    return failed;
}

int main(int argc, char **argv)
{
    struct edge edge = {.rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 2000,
                        .seed = (unsigned)getpid()};
    libpool_options options = {.size = sizeof options,
                               .min_workers = 2,
                               .max_workers = 2,
                               .spare_workers = 2,
                               .name = "edge"};
    if (edge.rounds <= 0 || libpool_open(&edge.pool, &options) < 0) {
        (void)fprintf(stderr, "usage: edge [ROUNDS]\n");
        return 2;
    }
    for (long number = 0; number < 3 * edge.rounds && !edge.tally.hung; number++) {
        collect(&edge, (int)(number % WINDOW));
        submit(&edge, number);
    }
    for (int at = 0; at < WINDOW; at++)
        collect(&edge, at);
    int failed = judge(&edge);
    libpool_close(edge.pool);
    return failed ? 1 : 0;
}
