/* SPDX-License-Identifier: MIT */
/*
 * line: one connection, from its handshake to its last byte. Each way there is one buffer, and nothing is
 * read while it is full: who does not take what comes stops who sends it. What ends on one side is told to
 * the other after all that came before it.
 */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls.h"

#define STEP_BYTES (128u << 10) /* from the network: then it is others' turn */
#define STEP_ROUNDS 8
#define LEAVING_MS 1000 /* to hear why */
#define LINGER_MS 5000  /* to take the last of a session that has ended */

static bool is_accepted(const struct lpr_tls_line *line)
{
    return line->adopt != NULL;
}

static bool is_stranger(const struct lpr_tls_line *line)
{
    return is_accepted(line) && (line->state == LPR_TLS_SHAKING || line->state == LPR_TLS_LEAVING);
}

static bool is_established(const struct lpr_tls_line *line)
{
    return is_accepted(line) && line->state == LPR_TLS_OPEN;
}

static void set_state(struct lpr_tls_line *line, enum lpr_tls_state state)
{
    libpool_remote_tls *tls = line->tls;
    tls->strangers -= is_stranger(line);
    tls->established -= is_established(line);
    line->state = state;
    tls->strangers += is_stranger(line);
    tls->established += is_established(line);
}

static void set_deadline(struct lpr_tls_line *line, uint64_t ms)
{
    line->deadline_ns = lpr_now_ns() + ms * LPR_MS;
    lpr_tls_at(line->tls, line->deadline_ns);
}

/* Once: what is left of a session that has ended is not given more time by how it ends further. */
static void linger(struct lpr_tls_line *line)
{
    if (line->deadline_ns == LPR_NEVER)
        set_deadline(line, LINGER_MS);
}

/* ---- who is told what ------------------------------------------------------------------------ */

/* The thread that waits for it goes on; NULL: nothing new, but that it is decided. */
static void tell_wish(struct lpr_tls_line *line, bool decided)
{
    libpool_remote_tls *tls = line->tls;
    pthread_mutex_lock(&tls->lock);
    struct lpr_tls_wish *wish = line->wish;
    if (wish && !wish->error && line->error) {
        wish->error = line->error;
        lpr_say(wish->text, sizeof wish->text, line->text);
    }
    if (wish && decided) {
        wish->decided = true;
        pthread_cond_broadcast(&tls->changed);
    }
    pthread_mutex_unlock(&tls->lock);
}

static void peer_of(const struct lpr_tls_line *line, libpool_remote_tls_peer *peer)
{
    *peer = (libpool_remote_tls_peer){.size = sizeof *peer,
                                      .fd = line->net.fd,
                                      .subject = line->subject,
                                      .fingerprint = line->fingerprint};
    if (line->established)
        peer->version = (uint32_t)SSL_version(line->ssl);
}

void lpr_tls_line_blame(struct lpr_tls_line *line, int error, const char *text, const char *more)
{
    if (line->error)
        return;
    line->error = error;
    lpr_say(line->text, sizeof line->text, text);
    lpr_say(line->text, sizeof line->text, more);
    tell_wish(line, false);
}

static void report(const struct lpr_tls_line *line)
{
    const libpool_remote_tls_options *options = &line->tls->options;
    libpool_remote_tls_peer peer;
    if (!is_accepted(line) || !options->report || !line->error || line->told_net)
        return; /* what we had ended may end in whatever way */
    peer_of(line, &peer);
    options->report(options->arg, &peer, line->error, line->text);
}

/* ---- its end -------------------------------------------------------------------------------- */

/* A copy of a descriptor in a process that is just being forked keeps nothing open. */
static void hang_up(libpool_remote_tls *tls, struct lpr_tls_source *source)
{
    if (source->fd < 0)
        return;
    (void)lpr_tls_watch(tls, source, 0, true);
    (void)shutdown(source->fd, SHUT_RDWR);
    close(source->fd);
    source->fd = -1;
}

/* What the session has said, or may still say, goes nowhere. */
static void lose_words(struct lpr_tls_line *line)
{
    bool unsaid = line->out_end || !line->plain_over;
    line->tls->cut |= line->tls->closing && line->state == LPR_TLS_OPEN && unsaid;
    line->plain_over = true;
    line->out_at = line->out_end = 0;
}

void lpr_tls_line_drop(struct lpr_tls_line *line)
{
    if (line->state == LPR_TLS_OVER)
        return;
    lose_words(line);
    if (line->state != LPR_TLS_LEAVING)
        report(line);
    set_state(line, LPR_TLS_OVER);
    hang_up(line->tls, &line->net);
    hang_up(line->tls, &line->plain);
    if (line->session_fd >= 0 && is_accepted(line))
        close(line->session_fd);
    tell_wish(line, true);
    lpr_link_append(&line->tls->dead, &line->link);
}

void lpr_tls_line_free(struct lpr_tls_line *line)
{
    pthread_mutex_lock(&line->tls->lock);
    if (line->wish)
        line->wish->line = NULL;
    pthread_mutex_unlock(&line->tls->lock);
    lpr_link_remove(&line->link);
    SSL_free(line->ssl);
    free(line);
}

/* What was just sent, an alert for one, would be lost if we closed while something unread comes. */
static void leave(struct lpr_tls_line *line)
{
    report(line);
    tell_wish(line, true);
    if (!is_accepted(line) || line->broken) {
        lpr_tls_line_drop(line);
        return;
    }
    hang_up(line->tls, &line->plain);
    set_state(line, LPR_TLS_LEAVING);
    set_deadline(line, LEAVING_MS);
    (void)shutdown(line->net.fd, SHUT_WR);
    (void)lpr_tls_watch(line->tls, &line->net, EPOLLIN, true); /* else its deadline ends it */
}

static void throw_away(struct lpr_tls_line *line)
{
    for (unsigned i = 0; i < STEP_ROUNDS; i++) {
        ssize_t n = recv(line->net.fd, line->in, sizeof line->in, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            return;
        if (n <= 0) {
            lpr_tls_line_drop(line);
            return;
        }
    }
}

void lpr_tls_line_expire(struct lpr_tls_line *line)
{
    if (line->state == LPR_TLS_SHAKING) {
        lpr_tls_line_blame(line, -ETIMEDOUT, "the handshake was not done in time", "");
        leave(line);
    } else {
        if (line->out_at < line->out_end)
            lpr_tls_line_blame(line, -ETIMEDOUT, "it did not take the last of its session", "");
        line->tls->cut |= line->tls->closing && line->state == LPR_TLS_OPEN;
        lpr_tls_line_drop(line);
    }
}

/* ---- the handshake -------------------------------------------------------------------------- */

/* false: it goes on when there is something to read or room to write; or it has failed, and that is noted. */
static bool is_passing(struct lpr_tls_line *line, int result, int saved_errno)
{
    int error = SSL_get_error(line->ssl, result);
    line->wants_write |= error == SSL_ERROR_WANT_WRITE;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return true;
    lpr_tls_blame_openssl(line, error, saved_errno);
    return false;
}

static bool admit(struct lpr_tls_line *line)
{
    const libpool_remote_tls_options *options = &line->tls->options;
    libpool_remote_tls_peer peer;
    if (line->tls->established >= options->connections) {
        lpr_tls_line_blame(line, -EBUSY, "too many connections are open", "");
        return false;
    }
    peer_of(line, &peer);
    if (options->admit && options->admit(options->arg, &peer)) {
        lpr_tls_line_blame(line, -EACCES, "not admitted: ", line->subject);
        return false;
    }
    int session_fd = line->session_fd;
    line->session_fd = -1;
    int error = line->adopt(line->server, session_fd);
    if (error)
        lpr_tls_line_blame(line, error, "the server does not take it", "");
    return !error;
}

static void establish(struct lpr_tls_line *line)
{
    line->established = true;
    line->host = NULL;
    if (is_accepted(line) && !admit(line)) {
        (void)SSL_shutdown(line->ssl);
        ERR_clear_error();
        leave(line);
        return;
    }
    line->deadline_ns = LPR_NEVER;
    set_state(line, LPR_TLS_OPEN);
    tell_wish(line, true);
}

static void shake(struct lpr_tls_line *line)
{
    errno = 0;
    int done = SSL_do_handshake(line->ssl);
    int saved_errno = errno;
    if (done == 1)
        establish(line);
    else if (!is_passing(line, done, saved_errno))
        leave(line);
}

/* ---- from the network to the session --------------------------------------------------------- */

static void lose_net(struct lpr_tls_line *line)
{
    line->net_over = line->broken = true;
    lose_words(line);
}

static bool read_net(struct lpr_tls_line *line)
{
    if (line->net_over || line->in_end)
        return false;
    errno = 0;
    int n = SSL_read(line->ssl, line->in, sizeof line->in);
    int saved_errno = errno;
    if (n > 0) {
        line->in_at = 0;
        line->in_end = line->deaf ? 0 : (size_t)n;
        return true;
    }
    if (SSL_get_error(line->ssl, n) == SSL_ERROR_ZERO_RETURN) {
        line->net_over = true;
        if (!is_accepted(line) && !line->told_net)
            lpr_tls_line_blame(
                line, -EACCES,
                "the other end took the certificate, and then left: not admitted there", "");
        return true;
    }
    if (is_passing(line, n, saved_errno))
        return false;
    lose_net(line);
    return true;
}

static bool write_plain(struct lpr_tls_line *line)
{
    if (!line->in_end)
        return false;
    ssize_t n = send(line->plain.fd, line->in + line->in_at, line->in_end - line->in_at,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return false;
    if (n < 0)
        line->deaf = true;
    else
        line->in_at += (size_t)n;
    if (line->deaf || line->in_at == line->in_end)
        line->in_at = line->in_end = 0;
    return true;
}

/* ---- from the session to the network --------------------------------------------------------- */

static bool read_plain(struct lpr_tls_line *line)
{
    if (line->plain_over || line->out_end)
        return false;
    ssize_t n = recv(line->plain.fd, line->out, sizeof line->out, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return false;
    if (n > 0) {
        line->out_at = 0;
        line->out_end = (size_t)n;
    } else {
        line->plain_over = true;
        linger(line);
    }
    return true;
}

static bool write_net(struct lpr_tls_line *line)
{
    if (!line->out_end)
        return false;
    errno = 0;
    int n = SSL_write(line->ssl, line->out + line->out_at, (int)(line->out_end - line->out_at));
    int saved_errno = errno;
    if (n > 0) {
        line->out_at = line->out_end = 0; /* all of it: partial writes are not asked for */
        return true;
    }
    if (is_passing(line, n, saved_errno))
        return false;
    lose_net(line);
    return true;
}

/* ---- what has ended is told ------------------------------------------------------------------ */

static bool tell_net(struct lpr_tls_line *line)
{
    if (line->told_net || line->broken || !line->plain_over || line->out_end)
        return false;
    errno = 0;
    int result = SSL_shutdown(line->ssl);
    int saved_errno = errno;
    if (result < 0 && is_passing(line, result, saved_errno) && line->wants_write)
        return false;
    line->told_net = true;
    (void)shutdown(line->net.fd, SHUT_WR);
    return true;
}

static bool tell_plain(struct lpr_tls_line *line)
{
    if (line->told_plain || !line->net_over || line->in_end)
        return false;
    line->told_plain = true;
    (void)shutdown(line->plain.fd, line->broken ? SHUT_RDWR : SHUT_WR);
    return true;
}

static bool is_finished(const struct lpr_tls_line *line)
{
    return line->told_plain && (line->told_net || line->broken);
}

/* ---- a step --------------------------------------------------------------------------------- */

static bool go_round(struct lpr_tls_line *line)
{
    ERR_clear_error();
    bool moved = read_net(line);
    moved |= write_plain(line);
    moved |= read_plain(line);
    moved |= write_net(line);
    moved |= tell_net(line);
    moved |= tell_plain(line);
    return moved;
}

static void watch(struct lpr_tls_line *line)
{
    bool reads = !line->net_over && !line->in_end;
    bool writes = line->wants_write || line->out_end;
    uint32_t net = (reads ? (uint32_t)EPOLLIN : 0) | (writes ? (uint32_t)EPOLLOUT : 0);
    uint32_t plain = (line->plain_over || line->out_end ? 0 : (uint32_t)EPOLLIN) |
                     (line->in_end ? (uint32_t)EPOLLOUT : 0);
    if (!lpr_tls_watch(line->tls, &line->net, net, true) ||
        !lpr_tls_watch(line->tls, &line->plain, plain, line->deaf || line->plain_over))
        lpr_tls_line_drop(line); /* for want of memory */
}

static void step_open(struct lpr_tls_line *line)
{
    bool moved = true;
    for (unsigned i = 0; i < STEP_ROUNDS && moved && !is_finished(line); i++) {
        line->wants_write = false;
        moved = go_round(line);
    }
    if (is_finished(line))
        lpr_tls_line_drop(line);
    else
        watch(line);
}

static void step(struct lpr_tls_line *line)
{
    line->budget = STEP_BYTES;
    line->wants_write = false;
    if (line->state == LPR_TLS_SHAKING) {
        ERR_clear_error();
        shake(line);
        if (line->state == LPR_TLS_SHAKING)
            (void)lpr_tls_watch(line->tls, &line->net, line->wants_write ? EPOLLOUT : EPOLLIN,
                                true);
    }
    if (line->state == LPR_TLS_OPEN)
        step_open(line);
}

void lpr_tls_line_event(struct lpr_tls_line *line, const struct lpr_tls_source *source,
                        uint32_t events)
{
    if (line->state == LPR_TLS_OVER)
        return;
    if (line->state == LPR_TLS_LEAVING) {
        throw_away(line);
        return;
    }
    if (source->kind == LPR_TLS_PLAIN && (events & (EPOLLHUP | EPOLLERR)) && !line->deaf) {
        line->deaf = true; /* the session takes nothing any more; what it has said is sent */
        line->in_at = line->in_end = 0;
        linger(line);
    }
    step(line);
}

/* ---- its beginning -------------------------------------------------------------------------- */

static bool make_ssl(struct lpr_tls_line *line, bool accepted)
{
    const libpool_remote_tls *tls = line->tls;
    bool anybody = accepted && (tls->options.flags & LIBPOOL_REMOTE_TLS_ANYBODY);
    bool trusts = tls->authority || tls->pins_count;
    BIO *bio = BIO_new(tls->bio);
    line->ssl = SSL_new(tls->context);
    if (!bio || !line->ssl) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, line);
    SSL_set_bio(line->ssl, bio, bio);
    SSL_set_app_data(line->ssl, line);
    SSL_set_verify(line->ssl,
                   anybody && !trusts ? SSL_VERIFY_NONE
                   : anybody          ? SSL_VERIFY_PEER
                                      : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                   NULL);
    if (accepted)
        SSL_set_accept_state(line->ssl);
    else
        SSL_set_connect_state(line->ssl);
    return true;
}

struct lpr_tls_line *lpr_tls_line_new(libpool_remote_tls *tls, int fd, bool accepted)
{
    int ends[2] = {-1, -1};
    struct lpr_tls_line *line = calloc(1, sizeof *line);
    if (line)
        line->tls = tls;
    if (!line || !make_ssl(line, accepted) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        int saved_errno = line && line->ssl ? errno : ENOMEM;
        if (line)
            SSL_free(line->ssl);
        free(line);
        close(fd);
        errno = saved_errno;
        return NULL;
    }
    lpr_keep_alive(fd);
    lpr_send_at_once(fd);
    line->net = (struct lpr_tls_source){.kind = LPR_TLS_NET, .fd = fd};
    line->plain = (struct lpr_tls_source){.kind = LPR_TLS_PLAIN, .fd = ends[0]};
    line->session_fd = ends[1];
    line->deadline_ns = LPR_NEVER;
    lpr_link_init(&line->link);
    return line;
}

void lpr_tls_line_start(struct lpr_tls_line *line)
{
    lpr_link_append(&line->tls->lines, &line->link);
    line->tls->strangers += is_stranger(line);
    set_deadline(line, line->tls->options.handshake_ms);
    step(line);
}
