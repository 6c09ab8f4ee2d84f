/* SPDX-License-Identifier: MIT */
/*
 * connection: a client's end of it. Whoever waits for something drives it: the first one waits for the
 * socket, the others for the first, and when that one leaves the next takes its place.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define READS_AT_ONCE 16 /* of LPR_CLIENT_STAGING bytes: others want the lock, too */

/* ---- the end of a session ------------------------------------------------------------------- */

static void lose(libpool_remote_future *future, const char *why)
{
    libpool_result *result = &future->result;
    bool sent = future->sent;
    *result = (libpool_result){.cause = LIBPOOL_LOST,
                               .certainty = sent ? LIBPOOL_MAY_HAVE_RUN : LIBPOOL_NOT_STARTED,
                               .slot = UINT32_MAX};
    lpr_say(result->text, sizeof result->text,
            sent ? "lost, it may have run: " : "lost, not sent: ");
    lpr_say(result->text, sizeof result->text, why);
    lpr_client_end(future);
}

void lpr_client_fail(libpool_remote *remote, int error, const char *why)
{
    if (remote->error)
        return;
    remote->error = error;
    lpr_say(remote->why, sizeof remote->why, why);
    lpr_outbox_clear(&remote->outbox);
    for (uint32_t i = 0; remote->table && i < remote->limits.tasks; i++)
        if (remote->table[i])
            lose(remote->table[i], remote->why);
    (void)shutdown(remote->fd, SHUT_RDWR);
    remote->news = true;
}

static void fail_by_errno(libpool_remote *remote, int error)
{
    char why[LPR_TEXT_MAX] = "the connection failed, errno ";
    lpr_say_number(why, sizeof why, -error);
    lpr_client_fail(remote, error, why);
}

/* ---- messages ------------------------------------------------------------------------------- */

static void take_welcome(libpool_remote *remote)
{
    const struct lpr_reader *reader = &remote->reader;
    if (remote->open || lpr_get_welcome(reader->body, reader->head.size, &remote->limits)) {
        memset(&remote->limits, 0, sizeof remote->limits);
        lpr_client_fail(remote, -EPROTO, "the server's greeting is malformed");
        return;
    }
    if (lpr_client_make_tables(remote)) { /* at once: what comes next may be right behind */
        lpr_client_fail(remote, -ENOMEM, "no memory for the session's tasks");
        return;
    }
    remote->open = true;
    remote->reader.largest[LPR_WELCOME] = 0;
    remote->reader.largest[LPR_RESULT] = LPR_RESULT_SIZE + remote->limits.payload + LPR_TAIL_MAX +
                                         LPR_TEXT_MAX;
}

static void take_result(libpool_remote *remote)
{
    struct lpr_reader *reader = &remote->reader;
    uint32_t number = (uint32_t)reader->head.id;
    libpool_remote_future *future = number < remote->limits.tasks ? remote->table[number] : NULL;
    if (!future || future->id != reader->head.id || !future->sent ||
        lpr_get_result(reader->body, reader->head.size, &future->result)) {
        lpr_client_fail(remote, -EPROTO, "the server sent a result that can't be");
        return;
    }
    future->body = lpr_reader_take(reader);
    lpr_client_end(future);
}

static void take_bye(libpool_remote *remote)
{
    struct lpr_bye bye;
    if (lpr_get_bye(remote->reader.body, remote->reader.head.size, &bye))
        lpr_client_fail(remote, -EPROTO, "the server's farewell is malformed");
    else
        lpr_client_fail(remote, bye.error, bye.text);
}

static void take_pong(libpool_remote *remote)
{
    if (!remote->asked)
        lpr_client_fail(remote, -EPROTO, "the server answers what nobody has asked");
    else
        remote->asked--; /* that it was heard is all */
}

static void take_message(libpool_remote *remote)
{
    switch ((enum lpr_type)remote->reader.head.type) {
    case LPR_WELCOME: take_welcome(remote); return;
    case LPR_RESULT: take_result(remote); return;
    case LPR_PONG: take_pong(remote); return;
    case LPR_BYE: take_bye(remote); return;
    case LPR_HELLO:
    case LPR_SUBMIT:
    case LPR_CANCEL:
    case LPR_CANCEL_GROUP:
    case LPR_PING:
    case LPR_TYPES: break;
    }
    lpr_client_fail(remote, -EPROTO, "a message that a server must not send");
}

static void take_bytes(libpool_remote *remote, const unsigned char *bytes, size_t n)
{
    while (n && !remote->error) {
        size_t used;
        int complete = lpr_reader_feed(&remote->reader, bytes, n, &used);
        bytes += used;
        n -= used;
        if (complete == -ENOMEM)
            lpr_client_fail(remote, complete, "no memory for the server's message");
        else if (complete < 0)
            lpr_client_fail(remote, complete, "the server's message is malformed, or too large");
        else if (complete)
            take_message(remote);
    }
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static void heard(libpool_remote *remote)
{
    remote->heard_ns = lpr_now_ns();
    remote->asked_ns = 0;
}

/* true: there may be more. */
static bool receive(libpool_remote *remote)
{
    for (unsigned i = 0; i < READS_AT_ONCE && !remote->error; i++) {
        ssize_t n = recv(remote->fd, remote->staging, LPR_CLIENT_STAGING, MSG_DONTWAIT);
        if (n > 0) {
            heard(remote);
            take_bytes(remote, remote->staging, (size_t)n);
        } else if (n == 0) {
            lpr_client_fail(remote, -ECONNRESET, "the server has closed the connection");
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return false;
        } else if (errno != EINTR) {
            fail_by_errno(remote, -errno);
        }
    }
    return !remote->error;
}

static void ring(libpool_remote *remote)
{
    uint64_t one = 1;
    if (remote->driven && !remote->rung)
        remote->rung = write(remote->wake_fd, &one, sizeof one) == sizeof one;
}

static void ring_bell(libpool_remote *remote)
{
    uint64_t one = 1;
    if (remote->ended && !remote->dispatching && !remote->bell)
        remote->bell = write(remote->bell_fd, &one, sizeof one) == sizeof one;
    remote->ended = false;
}

void lpr_client_answer_bell(libpool_remote *remote)
{
    uint64_t count;
    if (remote->bell)
        remote->bell = read(remote->bell_fd, &count, sizeof count) != sizeof count;
}

static void watch(libpool_remote *remote)
{
    uint32_t events = EPOLLIN | (remote->outbox.first ? (uint32_t)EPOLLOUT : 0);
    if (events == remote->watched)
        return;
    struct epoll_event event = {.events = events};
    remote->watched = events;
    (void)epoll_ctl(remote->epoll_fd, EPOLL_CTL_MOD, remote->fd, &event);
    ring(remote); /* whoever drives waits for what there was */
}

void lpr_client_tell(libpool_remote *remote)
{
    if (!remote->news)
        return;
    remote->news = false;
    pthread_cond_broadcast(&remote->changed);
    ring(remote);
    ring_bell(remote);
}

/* What came before the connection failed is looked at first: it may say why. */
static void pump(libpool_remote *remote)
{
    bool was_full = remote->full;
    int64_t sent = lpr_outbox_send(&remote->outbox, remote->fd);
    remote->full = remote->outbox.first;
    if (sent > 0 && was_full) /* the server has read: else it may just be the socket's room */
        heard(remote);
    remote->news |= sent > 0 && was_full;
    bool more = receive(remote);
    if (sent < 0 && !more && !remote->error)
        fail_by_errno(remote, (int)sent);
    if (!remote->error)
        watch(remote);
}

void lpr_client_pump(libpool_remote *remote)
{
    if (!remote->error)
        pump(remote);
    lpr_client_tell(remote);
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* Returns when to look again. */
static uint64_t mind_the_silence(libpool_remote *remote)
{
    uint64_t now_ns = lpr_now_ns();
    if (remote->asked_ns && now_ns >= remote->asked_ns + remote->silence_ns)
        lpr_client_fail(remote, -ETIMEDOUT, "the server has been silent for too long");
    if (!remote->asked_ns && now_ns >= remote->heard_ns + remote->silence_ns) {
        remote->asked_ns = now_ns;
        remote->asked++;
        if (!lpr_outbox_note(&remote->outbox, LPR_PING, 0))
            lpr_client_fail(remote, -ENOMEM, "no memory for a question to the server");
        else
            watch(remote); /* it is sent as soon as we wait */
    }
    return (remote->asked_ns ? remote->asked_ns : remote->heard_ns) + remote->silence_ns;
}

static void wait_for_driver(libpool_remote *remote, uint64_t deadline_ns)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                             .tv_nsec = (long)(deadline_ns % 1000000000)};
    if (deadline_ns == LPR_NEVER)
        (void)pthread_cond_wait(&remote->changed, &remote->lock);
    else
        (void)pthread_cond_timedwait(&remote->changed, &remote->lock, &until);
}

static void drive(libpool_remote *remote, uint64_t deadline_ns, uint64_t look_ns)
{
    struct pollfd polled[] = {{.fd = remote->fd, .events = (short)remote->watched},
                              {.fd = remote->wake_fd, .events = POLLIN}};
    uint64_t count;
    int left_ms = lpr_left_ms(deadline_ns < look_ns ? deadline_ns : look_ns, lpr_now_ns());
    remote->driven = true;
    pthread_mutex_unlock(&remote->lock);
    (void)poll(polled, 2, left_ms);
    pthread_mutex_lock(&remote->lock);
    remote->driven = false;
    if (remote->rung)
        remote->rung = read(remote->wake_fd, &count, sizeof count) != sizeof count;
    remote->news = true; /* at least that nobody drives */
    lpr_client_pump(remote);
}

bool lpr_client_turn(libpool_remote *remote, uint64_t deadline_ns)
{
    if (remote->error || lpr_now_ns() >= deadline_ns)
        return false;
    if (remote->driven) {
        wait_for_driver(remote, deadline_ns);
        return true;
    }
    uint64_t look_ns = mind_the_silence(remote);
    if (!remote->error)
        drive(remote, deadline_ns, look_ns);
    else
        lpr_client_tell(remote);
    return true;
}
