/* SPDX-License-Identifier: MIT */
/*
 * connect: the client's door. A server of TLS 1.3 looks at our certificate after our handshake is done: so a
 * refusal may come while the session is being opened already, and is what counts then.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "tls.h"

/* What the server has no part in. */
static int refuse(struct lpr_tls_wish *wish, const char *words)
{
    wish->error = -EINVAL;
    lpr_say(wish->text, sizeof wish->text, words);
    return wish->error;
}

static int make_line(libpool_remote_tls *tls, int fd, const char *host, struct lpr_tls_wish *wish)
{
    struct lpr_tls_line *line = lpr_tls_line_new(tls, fd, false);
    if (!line)
        return errno == EMFILE || errno == ENFILE ? -errno : -ENOMEM;
    if (host && !lpr_tls_is_address(host) && SSL_set_tlsext_host_name(line->ssl, host) != 1) {
        close(line->session_fd);
        close(line->plain.fd);
        close(line->net.fd);
        lpr_tls_line_free(line);
        return refuse(wish, "the host is no name that a server could be asked for by");
    }
    line->host = host;
    line->wish = wish;
    wish->line = line;
    return 0;
}

static int await_decision(libpool_remote_tls *tls, struct lpr_tls_line *line,
                          struct lpr_tls_wish *wish)
{
    pthread_mutex_lock(&tls->lock);
    lpr_link_append(&tls->arrivals, &line->link);
    lpr_tls_wake(tls);
    while (!wish->decided)
        (void)pthread_cond_wait(&tls->changed, &tls->lock);
    int error = wish->error;
    pthread_mutex_unlock(&tls->lock);
    return error;
}

/* The thread forgets us. What has become known meanwhile is in the wish. */
static void take_leave(libpool_remote_tls *tls, struct lpr_tls_wish *wish)
{
    pthread_mutex_lock(&tls->lock);
    if (wish->line)
        wish->line->wish = NULL;
    pthread_mutex_unlock(&tls->lock);
}

static int open_session(libpool_remote_tls *tls, libpool_remote **remote, int session_fd,
                        struct lpr_tls_wish *wish, const libpool_remote_client_options *options)
{
    int error = await_decision(tls, wish->line, wish);
    if (error)
        close(session_fd);
    else
        error = libpool_remote_open(remote, session_fd, options);
    take_leave(tls, wish);
    return error == -ECONNRESET && wish->error ? wish->error : error;
}

static int connect_to(libpool_remote_tls *tls, libpool_remote **remote, int fd, const char *host,
                      const libpool_remote_client_options *options, struct lpr_tls_wish *wish)
{
    int type = 0, error = remote ? lpr_tls_check(tls) : -EINVAL;
    socklen_t size = sizeof type;
    if (!error && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        error = -errno;
    if (!error && type != SOCK_STREAM)
        error = -EINVAL;
    if (!error && !tls->authority && !tls->pins_count)
        error = refuse(wish, "the options don't say which servers to trust");
    if (error) {
        if (fd >= 0)
            close(fd);
        return error;
    }
    (void)ERR_set_mark(); /* what OpenSSL notes is not the application's */
    error = make_line(tls, fd, host, wish);
    (void)ERR_pop_to_mark();
    return error ? error : open_session(tls, remote, wish->line->session_fd, wish, options);
}

int libpool_remote_tls_connect(libpool_remote_tls *tls, libpool_remote **remote, int fd,
                               const char *host, const libpool_remote_client_options *options,
                               char *text, size_t size)
{
    struct lpr_tls_wish wish = {.line = NULL};
    int saved_errno = errno;
    if (remote)
        *remote = NULL;
    int error = connect_to(tls, remote, fd, host, options, &wish);
    if (text && size) {
        text[0] = 0;
        if (error)
            lpr_say(text, size, error == wish.error ? wish.text : "the session was not opened");
    }
    errno = saved_errno;
    return error;
}
