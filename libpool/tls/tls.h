/* SPDX-License-Identifier: MIT */
/*
 * tls: what the parts share. One thread owns every connection and takes the lock only for what other threads
 * have left for it, or wait for.
 *
 *     network <--> SSL of a line, 16 KiB each way <--> socketpair <--> session of libpool_remote.h
 */
#ifndef LPR_TLS_H
#define LPR_TLS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <libpool_remote_tls.h>

#include "libpool/remote/base.h"

#define LPR_TLS_RECORD 16384 /* the most that one record brings */
#define LPR_TLS_TEXT 320
#define LPR_TLS_SUBJECT 256
#define LPR_TLS_HASH 32

/* ---- what epoll tells of ------------------------------------------------------------------ */

enum lpr_tls_kind {
    LPR_TLS_WAKE,
    LPR_TLS_LISTENER,
    LPR_TLS_NET,
    LPR_TLS_PLAIN
};

struct lpr_tls_source {
    enum lpr_tls_kind kind;
    int fd;
    bool registered;
    uint32_t watched;
};

typedef int lpr_tls_adopt(libpool_remote_server *server, int fd);

struct lpr_tls_listener {
    struct lpr_tls_source source;
    struct lpr_link link;
    libpool_remote_server *server;
    lpr_tls_adopt *adopt;
};

/* ---- line.c: one connection ----------------------------------------------------------------- */

enum lpr_tls_state {
    LPR_TLS_SHAKING,
    LPR_TLS_OPEN,
    LPR_TLS_LEAVING, /* all is said; what comes is thrown away, so that it is heard */
    LPR_TLS_OVER
};

/* Who waits in libpool_remote_tls_connect. Under the lock. */
struct lpr_tls_wish {
    struct lpr_tls_line *line; /* NULL: it is over */
    bool decided;
    int error;
    char text[LPR_TLS_TEXT];
};

struct lpr_tls_line {
    struct lpr_tls_source net, plain;
    struct lpr_link link;
    libpool_remote_tls *tls;
    SSL *ssl;
    enum lpr_tls_state state;
    libpool_remote_server *server; /* who connects to us: whose session it becomes */
    lpr_tls_adopt *adopt;
    struct lpr_tls_wish *wish; /* whom we connect to: for whom */
    const char *host;          /* ... as long as we shake hands */
    int session_fd;            /* the other end of `plain`; -1: it is somebody's already */
    uint64_t deadline_ns;      /* LPR_NEVER: none */
    size_t budget;             /* of bytes from the network, in this step */
    bool established;          /* the peer has proved who it is */
    bool wants_write;          /* the last handshake, read or shutdown does */
    bool net_over;             /* nothing comes from there any more, */
    bool broken;               /* nor goes */
    bool plain_over, deaf;     /* the same, of the session */
    bool told_plain, told_net; /* that there comes nothing more */
    int error;
    char text[LPR_TLS_TEXT];
    char subject[LPR_TLS_SUBJECT];
    char fingerprint[2 * LPR_TLS_HASH + 1];
    size_t in_at, in_end, out_at, out_end;
    unsigned char in[LPR_TLS_RECORD], out[LPR_TLS_RECORD];
};

/* Takes over the descriptor, which is closed if there is no memory. Not yet known to the thread. */
struct lpr_tls_line *lpr_tls_line_new(libpool_remote_tls *tls, int fd, bool accepted);
/* On the thread, from now on. */
void lpr_tls_line_start(struct lpr_tls_line *line);
void lpr_tls_line_event(struct lpr_tls_line *line, const struct lpr_tls_source *source,
                        uint32_t events);
/* Its deadline has come. */
void lpr_tls_line_expire(struct lpr_tls_line *line);
/* Without ado. */
void lpr_tls_line_drop(struct lpr_tls_line *line);
void lpr_tls_line_free(struct lpr_tls_line *line);
/* Notes why it ends: the first reason counts. */
void lpr_tls_line_blame(struct lpr_tls_line *line, int error, const char *text, const char *more);

/* ---- bio.c ---------------------------------------------------------------------------------- */

/* What OpenSSL calls: never blocks, raises no signal, and reads a line's budget at most. */
BIO_METHOD *lpr_tls_bio_method(void);

/* ---- identity.c: who one is, and whom one trusts -------------------------------------------- */

int lpr_tls_identity_load(libpool_remote_tls *tls, const libpool_remote_tls_options *options,
                          char *text, size_t size);
void lpr_tls_identity_free(libpool_remote_tls *tls);

/* ---- judge.c: who the peer is, and what is wrong with it ------------------------------------- */

/* Is that an address, and no name? */
bool lpr_tls_is_address(const char *host);
int lpr_tls_judge(X509_STORE_CTX *store, void *tls);
/* Why OpenSSL has failed just now. */
void lpr_tls_blame_openssl(struct lpr_tls_line *line, int ssl_error, int saved_errno);

/* ---- pump.c: the thread --------------------------------------------------------------------- */

struct libpool_remote_tls {
    libpool_remote_tls_options options; /* its pointers are not followed but for callbacks */
    pid_t owner;
    SSL_CTX *context;
    BIO_METHOD *bio;
    bool certified, authority;
    unsigned char (*pins)[LPR_TLS_HASH];
    uint32_t pins_count;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct lpr_link arrivals;      /* lines, */
    struct lpr_link new_listeners; /* and listeners, for the thread */
    bool stop, stopped, close;
    uint64_t close_ns;

    pthread_t thread;
    int epoll_fd;
    struct lpr_tls_source wake;
    struct lpr_link lines, dead, listeners;
    uint32_t strangers;   /* of listeners: SHAKING or LEAVING */
    uint32_t established; /* of listeners: OPEN */
    uint64_t next_ns;     /* looks at deadlines then at the latest */
    uint64_t resume_ns;   /* listens again; 0: it does */
    bool closing, cut;    /* close was asked for; and somebody was not told all */
};

/* 0, -EINVAL, -ECHILD, -EDEADLK: of the three that the application's threads may ask. */
int lpr_tls_check(const libpool_remote_tls *tls);
void lpr_tls_wake(const libpool_remote_tls *tls);
/* events: what to wait for; forget: if that is nothing, not for a hang-up either. false: no memory. */
bool lpr_tls_watch(libpool_remote_tls *tls, struct lpr_tls_source *source, uint32_t events,
                   bool forget);
void lpr_tls_at(libpool_remote_tls *tls, uint64_t time_ns);

#endif
