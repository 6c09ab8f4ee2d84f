/* SPDX-License-Identifier: MIT */
/*
 * client: what the parts of a client share. All of it is under one lock, which is never held while somebody
 * waits; of those who wait one drives the connection for all.
 */
#ifndef LPR_CLIENT_H
#define LPR_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <libpool_remote.h>

#include "base.h"
#include "wire.h"

#define LPR_CLIENT_STAGING (64u << 10)

struct libpool_remote_future {
    struct lpr_parcel parcel; /* first: the task on its way */
    libpool_remote *remote;
    unsigned char *message; /* what is sent: freed then */
    uint64_t id;
    size_t input_size;
    bool detached;       /* nobody has it but us */
    bool sent;           /* entirely */
    atomic_bool ended;   /* the last that is written: whoever sees it needs no lock */
    unsigned char *body; /* of the answer; the result's data is in it */
    libpool_result result;
};

struct libpool_remote {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something has ended, there is room, or nobody drives */
    pid_t owner;
    int fd;
    int wake_fd;           /* for whoever drives */
    int epoll_fd, bell_fd; /* for the application's loop: the last is in the epoll, too */
    uint32_t watched;      /* by epoll */
    bool driven;           /* somebody waits for the connection */
    bool rung;             /* for whoever does */
    bool ended;            /* a future has, since somebody was told */
    bool dispatching;      /* the loop itself receives, and will look */
    bool bell;             /* is to be read by the loop */
    bool full;             /* the socket did not take all */
    bool news;             /* something that somebody may wait for has happened */
    bool open;             /* welcome */
    int error;             /* why it is over; 0: it is not */
    char why[LPR_TEXT_MAX];
    uint64_t silence_ns, heard_ns, asked_ns; /* 0: nothing was asked */
    uint32_t asked;                          /* questions that were not answered */
    struct lpr_welcome limits;
    struct lpr_reader reader;
    struct lpr_outbox outbox;
    libpool_remote_future **table; /* by the lower half of the id */
    uint32_t *uses;                /* the upper half of the next one */
    uint32_t *vacant, vacant_count;
    uint64_t bytes; /* inputs of what is in the table */
    unsigned char *staging;
};

/* ---- connection.c: with the lock held ----------------------------------------------------- */

/* Sends and receives what can be without waiting. */
void lpr_client_pump(libpool_remote *remote);
/* The loop looks, at whatever it was told of. */
void lpr_client_answer_bell(libpool_remote *remote);
/*
 * The same, and waits for what is to come, once; the lock is let go meanwhile. false: the deadline was
 * over before.
 */
bool lpr_client_turn(libpool_remote *remote, uint64_t deadline_ns);
/* The session is over, and all that was not answered is lost. */
void lpr_client_fail(libpool_remote *remote, int error, const char *why);

/* ---- client.c ------------------------------------------------------------------------------- */

/* Those who wait look again, also the one who drives, and the loop. */
void lpr_client_tell(libpool_remote *remote);
/* As large as the limits say: 0 or -ENOMEM. */
int lpr_client_make_tables(libpool_remote *remote);
/* Its result is there: nothing may be done with it afterwards. */
void lpr_client_end(libpool_remote_future *future);

#endif
