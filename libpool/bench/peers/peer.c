/* SPDX-License-Identifier: MIT */
/*
 * The load, the same for all peers and as noop.c puts it on our pool: a full window of tasks, or one
 * task at a time back to back, or one at a time after everybody has gone to sleep. Tasks are counted
 * where they run; at the end as many must have run as were submitted.
 */
#include "peer.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORKERS 2
#define THREADS_MAX 64
#define SAMPLES_MAX 100000
#define WARM_UP 200
#define IDLE_NS 1000000
#define WIDE 1000000 /* in flight, for a peer that has no window of its own */

struct tally {
    alignas(64) uint64_t tasks;
};

struct load {
    const struct peer *peer;
    uint64_t time_ns, window, submitted, ended;
};

static struct tally tallies[THREADS_MAX];
static _Atomic unsigned threads;
static _Thread_local struct tally *own;

void peer_must(int ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "%s\n", what);
    exit(EXIT_FAILURE);
}

void peer_task(void)
{
    if (!own) {
        unsigned thread = atomic_fetch_add(&threads, 1);
        peer_must(thread < THREADS_MAX, "too many threads");
        own = &tallies[thread];
    }
    own->tasks++;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void submit(struct load *load)
{
    load->peer->submit();
    load->submitted++;
}

static void reap(struct load *load, uint64_t wanted)
{
    load->ended += load->peer->reap(wanted);
}

/* A client that is patient waits for half a window at once, others for the next one to end. */
static double stream(struct load *load, uint64_t time_ns, bool patient)
{
    uint64_t wanted = patient ? load->window / 2 : 1;
    uint64_t before = load->submitted, begun_ns = now_ns();
    while (now_ns() - begun_ns < time_ns) {
        while (load->submitted - load->ended < load->window)
            submit(load);
        reap(load, wanted);
    }
    while (load->ended < load->submitted)
        reap(load, load->submitted - load->ended);
    return (double)(load->submitted - before) * 1e9 / (double)(now_ns() - begun_ns);
}

static double measure_stream(struct load *load, bool patient)
{
    (void)stream(load, load->time_ns / 10, patient);
    return stream(load, load->time_ns, patient);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* The median in microseconds; before each one nobody has anything to do for idle_ns. */
static double round_trips(struct load *load, long idle_ns)
{
    static uint64_t samples[SAMPLES_MAX];
    size_t count = 0;
    uint64_t until_ns = now_ns() + load->time_ns;
    for (unsigned i = 0; count < SAMPLES_MAX && (now_ns() < until_ns || count == 0); i++) {
        if (idle_ns)
            (void)nanosleep(&(struct timespec){.tv_nsec = idle_ns}, NULL); /* sleeps: is measured */
        uint64_t begun_ns = now_ns();
        submit(load);
        reap(load, 1);
        if (idle_ns ? i >= WARM_UP / 20 : i >= WARM_UP)
            samples[count++] = now_ns() - begun_ns;
    }
    qsort(samples, count, sizeof *samples, by_value);
    return (double)samples[count / 2] / 1000;
}

static double measure_wide(struct load *load)
{
    uint64_t window = load->window;
    load->window = WIDE;
    double rate = measure_stream(load, false);
    load->window = window;
    return rate;
}

static double measure(struct load *load, const char *mode)
{
    if (strcmp(mode, "stream") == 0)
        return measure_stream(load, false);
    if (strcmp(mode, "patient") == 0)
        return measure_stream(load, true);
    if (strcmp(mode, "wide") == 0)
        return measure_wide(load);
    if (strcmp(mode, "roundtrip") == 0)
        return round_trips(load, 0);
    peer_must(strcmp(mode, "asleep") == 0, "no such mode");
    return round_trips(load, IDLE_NS);
}

int peer_main(int argc, char **argv, const struct peer *peer)
{
    peer_must(argc > 3, "usage: peer TIME_NS WINDOW MODE...");
    struct load load = {.peer = peer,
                        .time_ns = strtoull(argv[1], NULL, 10),
                        .window = strtoull(argv[2], NULL, 10)};
    uint64_t ran = 0;
    peer->open(WORKERS, (unsigned)load.window);
    for (int i = 3; i < argc; i++)
        printf("%.6g\n", measure(&load, argv[i]));
    peer->close();
    for (unsigned i = 0; i < threads; i++)
        ran += tallies[i].tasks;
    peer_must(load.ended == load.submitted && ran == load.submitted, "it lost a task");
    return EXIT_SUCCESS;
}
