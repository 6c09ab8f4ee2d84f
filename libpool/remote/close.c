/* SPDX-License-Identifier: MIT */
/*
 * close: a server's end, in phases of which each has an end of its own: what may finish does, what was
 * cancelled ends, clients are told. A task that outlasts them all (nobody can end a thread's) is left to the
 * box.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "server.h"

#define CANCEL_MS 1000 /* for what was cancelled to end */
#define TELL_MS 1000   /* for clients to read */

static void enter(libpool_remote_server *server, enum lpr_phase phase, uint64_t until_ns)
{
    server->phase = phase;
    server->phase_ns = until_ns;
    lpr_server_at(server, until_ns);
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void stop_listening(libpool_remote_server *server)
{
    for (uint32_t i = 0; i < server->listeners_count; i++)
        close_if_open(server->listeners[i].fd);
    server->listeners_count = 0;
}

/* waiting: only those that the pool does not have. */
static void cancel_all(libpool_remote_server *server, bool waiting)
{
    for (struct lpr_link *at = server->sessions.next; at != &server->sessions; at = at->next) {
        struct lpr_session *session = LPR_OF(at, struct lpr_session, all);
        struct lpr_link *next;
        for (struct lpr_link *link = session->tasks.next; link != &session->tasks; link = next) {
            struct lpr_task *task = LPR_OF(link, struct lpr_task, all);
            next = link->next;
            if (task->place == LPR_WAITING || !waiting)
                lpr_task_cancel(task, true);
        }
    }
}

/* strangers: only those who have no tasks to wait for. */
static void end_sessions(libpool_remote_server *server, bool strangers)
{
    for (struct lpr_link *at = server->sessions.next; at != &server->sessions; at = at->next) {
        struct lpr_session *session = LPR_OF(at, struct lpr_session, all);
        if (session->state == LPR_GREETING || (session->state == LPR_OPEN && !strangers))
            lpr_session_end(session, LIBPOOL_REMOTE_CLOSED, -ESHUTDOWN, "the server was closed");
    }
}

static bool all_are_told(const libpool_remote_server *server)
{
    for (struct lpr_link *at = server->sessions.next; at != &server->sessions; at = at->next)
        if (!lpr_session_is_told(LPR_OF(at, struct lpr_session, all)))
            return false;
    return true;
}

static bool was_asked(libpool_remote_server *server)
{
    struct lpr_box *box = server->box;
    pthread_mutex_lock(&box->lock);
    bool asked = box->close;
    server->close_flags = box->close_flags;
    server->phase_ns = box->close_deadline_ns;
    pthread_mutex_unlock(&box->lock);
    return asked;
}

static void begin(libpool_remote_server *server)
{
    bool waits = server->close_flags & LIBPOOL_WAIT;
    stop_listening(server);
    enter(server, LPR_DRAINING, waits ? server->phase_ns : lpr_now_ns());
    end_sessions(server, true);
    if (server->close_flags & LIBPOOL_CANCEL)
        cancel_all(server, true);
}

void lpr_server_close_on(libpool_remote_server *server)
{
    uint64_t now_ns = lpr_now_ns();
    if (server->phase == LPR_SERVING && was_asked(server))
        begin(server);
    if (server->phase == LPR_DRAINING &&
        (server->waiting + server->in_pool == 0 || now_ns >= server->phase_ns)) {
        server->late = server->waiting + server->in_pool && (server->close_flags & LIBPOOL_WAIT);
        enter(server, LPR_CANCELLING, now_ns + CANCEL_MS * LPR_MS);
        cancel_all(server, false);
    }
    if (server->phase == LPR_CANCELLING && (server->in_pool == 0 || now_ns >= server->phase_ns)) {
        server->late |= server->in_pool != 0;
        enter(server, LPR_TELLING, now_ns + TELL_MS * LPR_MS);
        end_sessions(server, false);
    }
    if (server->phase == LPR_TELLING && (all_are_told(server) || now_ns >= server->phase_ns)) {
        server->late |= !all_are_told(server);
        enter(server, LPR_CLOSED, LPR_NEVER);
    }
}

void lpr_server_free(libpool_remote_server *server)
{
    while (!lpr_link_is_alone(&server->sessions))
        lpr_session_destroy(LPR_OF(server->sessions.next, struct lpr_session, all));
    stop_listening(server);
    free(server->listeners);
    close_if_open(server->epoll_fd);
    close_if_open(server->timer.fd);
    if (server->box)
        lpr_box_abandon(server->box, server->in_pool);
    free(server->staging);
    pthread_mutex_destroy(&server->books_lock);
    free(server);
}

/* Nobody else drives it now, nor the pool, if it is of that kind. */
static void drive_to_the_end(libpool_remote_server *server)
{
    while (server->phase != LPR_CLOSED) {
        lpr_server_step(server, 0);
        if (server->phase == LPR_CLOSED)
            return;
        bool driven = libpool_dispatch(server->pool) == 0;
        struct pollfd polled[2] = {
            {.fd = server->epoll_fd, .events = POLLIN},
            {.fd = driven ? libpool_fd(server->pool) : -1, .events = POLLIN}};
        (void)poll(polled, 2, -1);
    }
}

static void ask_to_close(libpool_remote_server *server, uint32_t flags, int timeout_ms)
{
    struct lpr_box *box = server->box;
    pthread_mutex_lock(&box->lock);
    box->close = true;
    box->close_flags = flags;
    box->close_deadline_ns = lpr_deadline(timeout_ms);
    pthread_mutex_unlock(&box->lock);
    lpr_box_wake(box);
}

int libpool_remote_server_close(libpool_remote_server *server, uint32_t flags, int timeout_ms)
{
    int saved_errno = errno;
    if (!server)
        return 0;
    if (flags & ~(uint32_t)(LIBPOOL_WAIT | LIBPOOL_CANCEL))
        return -EINVAL;
    if (getpid() != server->owner)
        return -ECHILD;
    ask_to_close(server, flags, timeout_ms);
    if (server->options.flags & LIBPOOL_REMOTE_NO_THREAD)
        drive_to_the_end(server);
    else
        pthread_join(server->thread, NULL);
    bool late = server->late;
    lpr_server_free(server);
    errno = saved_errno;
    return late ? -ETIME : 0;
}
