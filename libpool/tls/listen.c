/* SPDX-License-Identifier: MIT */
/* listen: the server's door, apart so that a client links without libpool. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tls.h"

/* A question to a socket; negative: it can't answer. */
static int ask_socket(int fd, int question)
{
    int answer = 0;
    socklen_t size = sizeof answer;
    return getsockopt(fd, SOL_SOCKET, question, &answer, &size) < 0 ? -errno : answer;
}

static int check_listener(int fd)
{
    int listening = ask_socket(fd, SO_ACCEPTCONN);
    if (listening < 0)
        return listening;
    return listening && ask_socket(fd, SO_TYPE) == SOCK_STREAM ? 0 : -EINVAL;
}

/* What may fail is done here: the thread changes only what is waited for, for which it needs nothing. */
static int leave_listener(libpool_remote_tls *tls, struct lpr_tls_listener *listener)
{
    int fd = listener->source.fd, flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    pthread_mutex_lock(&tls->lock);
    int error = tls->stop ? -ESHUTDOWN : 0;
    if (!error && !lpr_tls_watch(tls, &listener->source, 0, false))
        error = -errno;
    if (!error)
        lpr_link_append(&tls->new_listeners, &listener->link);
    lpr_tls_wake(tls);
    pthread_mutex_unlock(&tls->lock);
    if (error)
        (void)fcntl(fd, F_SETFL, flags);
    return error;
}

static int listen_on(libpool_remote_tls *tls, libpool_remote_server *server, int fd)
{
    int error = lpr_tls_check(tls);
    if (error)
        return error;
    error = server && tls->certified ? check_listener(fd) : -EINVAL;
    if (error)
        return error;
    struct lpr_tls_listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return -ENOMEM;
    listener->source = (struct lpr_tls_source){.kind = LPR_TLS_LISTENER, .fd = fd};
    listener->server = server;
    listener->adopt = libpool_remote_adopt;
    lpr_link_init(&listener->link);
    error = leave_listener(tls, listener);
    if (error)
        free(listener);
    return error;
}

int libpool_remote_tls_listen(libpool_remote_tls *tls, libpool_remote_server *server, int listener)
{
    int saved_errno = errno, error = listen_on(tls, server, listener);
    errno = saved_errno;
    return error;
}
