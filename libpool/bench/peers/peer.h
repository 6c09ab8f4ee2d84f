/* SPDX-License-Identifier: MIT */
/*
 * peer: somebody else's pool under the same load as ours.
 *
 * Each peer is a program of its own, built only where its library is, so that neither the pool nor the
 * bench needs any of them. It says how to submit one task and how to wait for some; peer_main puts the
 * load on it: peer TIME_NS WINDOW MODE... prints one number a mode.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct peer {
    void (*open)(unsigned workers, unsigned window); /* so many tasks in flight at most */
    void (*submit)(void);                            /* a task that runs peer_task, once */
    uint64_t (*reap)(uint64_t wanted); /* waits until so many more have ended; how many have */
    void (*close)(void);
};

int peer_main(int argc, char **argv, const struct peer *peer);

/* What every task runs: it counts itself on a line of its thread's own. */
void peer_task(void);

/* Ends the program with this sentence unless ok. */
void peer_must(int ok, const char *what);

#ifdef __cplusplus
}
#endif
#endif
