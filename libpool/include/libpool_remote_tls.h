/* SPDX-License-Identifier: MIT */
/*
 * libpool_remote_tls: sessions of libpool_remote.h over TLS 1.3, or 1.2, where both ends prove who they are.
 * In an archive of its own, which needs OpenSSL 3: link with -lpool_remote_tls -lpool_remote -lpool -lssl
 * -lcrypto, a client without -lpool, unless it calls a function of libpool.h, as libpool_cause_name.
 *
 *     the process with the pool                        another, maybe on another machine
 *     libpool_remote_serve(&server, pool, &served);
 *     libpool_remote_tls_open(&tls, &options, ...);    libpool_remote_tls_open(&tls, &options, ...);
 *     libpool_remote_tls_listen(tls, server, tcp);     libpool_remote_tls_connect(tls, &remote, fd, ...);
 *     ...                                              ... as over any connection ...
 *     libpool_remote_tls_stop(tls);                    libpool_remote_close(remote);
 *     libpool_remote_server_close(server, 0, 1000);    libpool_remote_tls_close(tls, 1000);
 *     libpool_remote_tls_close(tls, 1000);
 *
 * A thread of its own does the handshakes and carries bytes between the network and the session, 16 KiB each
 * way at a time: who does not read is not read from either. A peer that sends noise, trickles or stalls costs
 * its own connection only. Renegotiation, compression, tickets and revocation lists there are not. A
 * connection that is cut off ends its session as it does without TLS, and never looks like an orderly end:
 * that the session's own words say. The rules of libpool_remote.h hold here, too; -ECHILD: in a forked copy.
 */
#ifndef LIBPOOL_REMOTE_TLS_H
#define LIBPOOL_REMOTE_TLS_H

#include <libpool_remote.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct libpool_remote_tls libpool_remote_tls; /* who one is, and whom one trusts */

/* Who is at the other end. */
typedef struct libpool_remote_tls_peer {
    size_t size;
    int fd;           /* its connection, for getpeername(2)...; nothing may be read or closed */
    uint32_t version; /* 0x0303: TLS 1.2, 0x0304: TLS 1.3, 0: not yet agreed upon */
    const char
        *subject; /* of its certificate, as in "CN=worker,O=example"; "": it has shown none */
    const char *fingerprint; /* SHA-256 of it, 64 hexadecimal digits; "" */
} libpool_remote_tls_peer;

/* After a handshake that went well: 0, it may open a session; else it is sent away. On the TLS thread. */
typedef int libpool_remote_tls_admit(void *arg, const libpool_remote_tls_peer *peer);

/*
 * A connection to a listener was refused, or cut off: why, as an error and a sentence. What the peer says of
 * itself is proved only if `version` is not 0. On the TLS thread, and it should take no time, like `admit`.
 *
 *     -EPROTO           it speaks no TLS              -EPROTONOSUPPORT  it speaks an old one
 *     -ENOKEY           it has shown no certificate   -EKEYEXPIRED      it has, or is not valid yet
 *     -EKEYREJECTED     its certificate is not one of those that are trusted, or is another host's
 *     -EACCES           not admitted; or the peer does not trust us
 *     -ETIMEDOUT        no handshake in time          -EBUSY            too many connections
 *     -ECONNRESET...    it was cut off
 */
typedef void libpool_remote_tls_report(void *arg, const libpool_remote_tls_peer *peer, int error,
                                       const char *text);

enum {
    LIBPOOL_REMOTE_TLS_ANYBODY = 1u << 0 /* a server's clients need no certificate */
};

/*
 * A PEM is the name of a file, or the text itself. All that is pointed to is copied, `arg` excepted. Somebody
 * is trusted if `authority` has signed its certificate, if there is one, and if it is among `fingerprints`,
 * if there are any: one of both there has to be. Either way it must be valid now. With ANYBODY there may be
 * none of both, to listen: such a one trusts no server, and does not connect.
 */
typedef struct libpool_remote_tls_options {
    size_t size;             /* sizeof(libpool_remote_tls_options) */
    const char *certificate; /* PEM: the own, then those that lead to the authority. May be NULL: a
                                      client that has none */
    const char *key;         /* PEM: its private key, not encrypted */
    const char *authority;   /* PEM: one certificate or more */
    const char *const *fingerprints; /* SHA-256 in hexadecimal digits; colons are skipped */
    uint32_t fingerprints_count;
    uint32_t flags;        /* LIBPOOL_REMOTE_TLS_ANYBODY */
    uint32_t handshake_ms; /* default 5000. Listeners' peers: 64 may be at it: for one more the
                                    one that came first has to go, as -ETIMEDOUT */
    uint32_t connections;  /* of listeners, established; default 64, to 65536 */
    libpool_remote_tls_admit *admit;   /* default: everybody who is trusted */
    libpool_remote_tls_report *report; /* default: nobody is told */
    void *arg;                         /* of both */
} libpool_remote_tls_options;

/*
 * text (may be NULL) becomes a sentence about what is wrong, cut to size. Errors: -EINVAL (also: a PEM or
 * fingerprint that is none, a key that is another certificate's), what opening a file says, -E2BIG (struct
 * size), -ENOMEM, -EMFILE, -EAGAIN (no thread).
 */
int libpool_remote_tls_open(libpool_remote_tls **tls, const libpool_remote_tls_options *options,
                            char *text, size_t size);

/*
 * Who connects to the listener, a listening stream socket, and is let in gets a session of the server, by
 * libpool_remote_adopt: the server's own `admit` is not asked. The listener is closed by _stop; if this fails
 * it stays the application's: -EINVAL (also: no certificate), -ENOTSOCK, -EEXIST (it listens there
 * already), -ENOMEM, -ENOSPC (too much is watched), -ESHUTDOWN, -EDEADLK.
 */
int libpool_remote_tls_listen(libpool_remote_tls *tls, libpool_remote_server *server, int listener);

/* Nobody is let in any more when it returns; who was goes on. 0; -EDEADLK: in a callback. */
int libpool_remote_tls_stop(libpool_remote_tls *tls);

/*
 * As libpool_remote_open, with a handshake before it. `host`: the name or address that the server's
 * certificate has to be for; NULL: of whomever is trusted, so the authority should sign nobody but servers.
 * The descriptor is the session's from now on, also if this fails, with a sentence in text (may be NULL):
 * what libpool_remote_open says, or as in libpool_remote_tls_report; -EACCES: the server does not let us in;
 * -EINVAL: also if there are no authority and no fingerprints, whatever the flags are.
 */
int libpool_remote_tls_connect(libpool_remote_tls *tls, libpool_remote **remote, int fd,
                               const char *host, const libpool_remote_client_options *options,
                               char *text, size_t size);

/*
 * Ends it and frees it, after the servers and sessions that it carries: what these have said is sent, for
 * timeout_ms (-1: for as long as 5 s, which is what a peer has to take the last of a session). 0, or -ETIME:
 * meanwhile something was not taken, also because its peer was lost, or was open; or -EDEADLK, and nothing
 * happened. In a forked copy it does nothing: -ECHILD. NULL is allowed.
 */
int libpool_remote_tls_close(libpool_remote_tls *tls, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
