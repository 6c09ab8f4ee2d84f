/* SPDX-License-Identifier: MIT */
/*
 * pump: the thread, in turns that never block, and the doors that begin and end it. Lines are freed at the
 * end of a turn only: epoll may tell twice of one.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls.h"

#define EVENTS 64
#define ACCEPTS 16
#define STRANGERS 64
#define PAUSE_MS 100 /* for want of descriptors or memory */
#define CONNECTIONS 65536
#define CLOSE_MS 5000

void lpr_tls_at(libpool_remote_tls *tls, uint64_t time_ns)
{
    if (time_ns < tls->next_ns)
        tls->next_ns = time_ns;
}

void lpr_tls_wake(const libpool_remote_tls *tls)
{
    uint64_t one = 1;
    if (write(tls->wake.fd, &one, sizeof one) < 0)
        return; /* it is awake */
}

bool lpr_tls_watch(libpool_remote_tls *tls, struct lpr_tls_source *source, uint32_t events,
                   bool forget)
{
    bool wanted = events || !forget;
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (source->fd < 0 || (source->registered == wanted && (source->watched == events || !wanted)))
        return true;
    int what = !wanted ? EPOLL_CTL_DEL : source->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(tls->epoll_fd, what, source->fd, &event) < 0)
        return false;
    source->registered = wanted;
    source->watched = events;
    return true;
}

/* ---- listening ------------------------------------------------------------------------------ */

/* epoll knows it already, and does not forget it for a pause: to be told again might need memory. */
static void watch_listener(libpool_remote_tls *tls, struct lpr_tls_listener *listener)
{
    (void)lpr_tls_watch(tls, &listener->source, tls->resume_ns ? 0 : EPOLLIN, false);
}

static void watch_listeners(libpool_remote_tls *tls)
{
    for (struct lpr_link *at = tls->listeners.next; at != &tls->listeners; at = at->next)
        watch_listener(tls, LPR_OF(at, struct lpr_tls_listener, link));
}

/* It may be a new one still, which another thread is just leaving here. */
static void drop_listener(libpool_remote_tls *tls, struct lpr_tls_listener *listener)
{
    pthread_mutex_lock(&tls->lock);
    (void)lpr_tls_watch(tls, &listener->source, 0, true);
    lpr_link_remove(&listener->link);
    pthread_mutex_unlock(&tls->lock);
    close(listener->source.fd);
    free(listener);
}

static void drop_listeners(libpool_remote_tls *tls, struct lpr_link *all)
{
    while (!lpr_link_is_alone(all))
        drop_listener(tls, LPR_OF(all->next, struct lpr_tls_listener, link));
}

static struct lpr_tls_line *find_oldest_stranger(const libpool_remote_tls *tls)
{
    for (struct lpr_link *at = tls->lines.next; at != &tls->lines; at = at->next) {
        struct lpr_tls_line *line = LPR_OF(at, struct lpr_tls_line, link);
        if (line->adopt && line->state != LPR_TLS_OPEN)
            return line;
    }
    return NULL;
}

/* That client's matter; else there is no descriptor or memory, or the socket is no good any more. */
static bool is_passing(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPERM || error == EPROTO;
}

/* false: for want of something; the peers wait in the socket's backlog. */
static bool greet(libpool_remote_tls *tls, const struct lpr_tls_listener *listener, int fd)
{
    struct lpr_tls_line *line = fd < 0 ? NULL : lpr_tls_line_new(tls, fd, true);
    if (!line)
        return fd < 0 && is_passing(errno);
    line->server = listener->server;
    line->adopt = listener->adopt;
    struct lpr_tls_line *oldest = tls->strangers < STRANGERS ? NULL : find_oldest_stranger(tls);
    if (oldest) {
        lpr_tls_line_blame(oldest, -ETIMEDOUT, "it was slow, and another one came", "");
        lpr_tls_line_drop(oldest);
    }
    lpr_tls_line_start(line);
    return true;
}

static void accept_some(libpool_remote_tls *tls, const struct lpr_tls_listener *listener)
{
    for (unsigned i = 0; i < ACCEPTS; i++) {
        int fd = accept4(listener->source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (!greet(tls, listener, fd)) {
            tls->resume_ns = lpr_now_ns() + PAUSE_MS * LPR_MS;
            lpr_tls_at(tls, tls->resume_ns);
            watch_listeners(tls);
            return;
        }
    }
}

/* ---- the turn ------------------------------------------------------------------------------- */

static void handle(libpool_remote_tls *tls, const struct epoll_event *event)
{
    struct lpr_tls_source *source = event->data.ptr;
    struct lpr_tls_listener *listener;
    uint64_t count;
    switch (source->kind) {
    case LPR_TLS_WAKE:
        if (read(source->fd, &count, sizeof count) < 0)
            return;
        return;
    case LPR_TLS_LISTENER:
        listener = LPR_OF(source, struct lpr_tls_listener, source);
        if (event->events & (EPOLLHUP | EPOLLERR))
            drop_listener(tls, listener); /* somebody has shut it down */
        else
            accept_some(tls, listener);
        return;
    case LPR_TLS_NET:
        lpr_tls_line_event(LPR_OF(source, struct lpr_tls_line, net), source, event->events);
        return;
    case LPR_TLS_PLAIN:
        lpr_tls_line_event(LPR_OF(source, struct lpr_tls_line, plain), source, event->events);
        return;
    }
}

static void sweep(libpool_remote_tls *tls)
{
    uint64_t now_ns = lpr_now_ns();
    struct lpr_link *next;
    if (now_ns < tls->next_ns)
        return;
    tls->next_ns = LPR_NEVER;
    if (tls->resume_ns && tls->resume_ns <= now_ns) {
        tls->resume_ns = 0;
        watch_listeners(tls);
    }
    for (struct lpr_link *at = tls->lines.next; at != &tls->lines; at = next) {
        struct lpr_tls_line *line = LPR_OF(at, struct lpr_tls_line, link);
        next = at->next;
        if (line->deadline_ns <= now_ns)
            lpr_tls_line_expire(line);
        if (line->state != LPR_TLS_OVER)
            lpr_tls_at(tls, line->deadline_ns);
    }
    if (tls->resume_ns)
        lpr_tls_at(tls, tls->resume_ns);
}

static void bury(struct lpr_link *all)
{
    while (!lpr_link_is_alone(all))
        lpr_tls_line_free(LPR_OF(all->next, struct lpr_tls_line, link));
}

/* Nobody is at the door any more. */
static void stop(libpool_remote_tls *tls)
{
    struct lpr_link *next;
    drop_listeners(tls, &tls->listeners);
    for (struct lpr_link *at = tls->lines.next; at != &tls->lines; at = next) {
        struct lpr_tls_line *line = LPR_OF(at, struct lpr_tls_line, link);
        next = at->next;
        if (line->adopt && line->state == LPR_TLS_SHAKING)
            lpr_tls_line_drop(line);
    }
}

static struct lpr_link *first_of(struct lpr_link *all)
{
    struct lpr_link *first = all->next;
    if (first == all)
        return NULL;
    lpr_link_remove(first);
    return first;
}

/* What other threads have left. Returns when to end: LPR_NEVER, nobody has asked for that. */
static uint64_t take_orders(libpool_remote_tls *tls)
{
    struct lpr_link *link;
    pthread_mutex_lock(&tls->lock);
    while ((link = first_of(&tls->arrivals))) {
        pthread_mutex_unlock(&tls->lock);
        lpr_tls_line_start(LPR_OF(link, struct lpr_tls_line, link));
        pthread_mutex_lock(&tls->lock);
    }
    /* Last: stop drops what has come until it was asked for. */
    while ((link = first_of(&tls->new_listeners))) {
        lpr_link_append(&tls->listeners, link);
        watch_listener(tls, LPR_OF(link, struct lpr_tls_listener, link));
    }
    bool stops = tls->stop && !tls->stopped;
    uint64_t close_ns = tls->close ? tls->close_ns : LPR_NEVER;
    pthread_mutex_unlock(&tls->lock);
    if (stops) {
        stop(tls);
        pthread_mutex_lock(&tls->lock);
        tls->stopped = true;
        pthread_cond_broadcast(&tls->changed);
        pthread_mutex_unlock(&tls->lock);
    }
    return close_ns;
}

/* false: it is over. */
static bool turn(libpool_remote_tls *tls, uint64_t *close_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t until_ns = tls->next_ns < *close_ns ? tls->next_ns : *close_ns;
    int n = epoll_wait(tls->epoll_fd, events, EVENTS, lpr_left_ms(until_ns, lpr_now_ns()));
    for (int i = 0; i < n; i++)
        handle(tls, &events[i]);
    *close_ns = take_orders(tls);
    tls->closing = *close_ns != LPR_NEVER;
    sweep(tls);
    bury(&tls->dead);
    return *close_ns == LPR_NEVER || (!lpr_link_is_alone(&tls->lines) && lpr_now_ns() < *close_ns);
}

static void *run(void *arg)
{
    libpool_remote_tls *tls = arg;
    uint64_t close_ns = LPR_NEVER;
    while (turn(tls, &close_ns))
        ;
    while (!lpr_link_is_alone(&tls->lines)) {
        struct lpr_tls_line *line = LPR_OF(tls->lines.next, struct lpr_tls_line, link);
        tls->cut |= line->state == LPR_TLS_OPEN;
        lpr_tls_line_drop(line);
    }
    bury(&tls->dead);
    return NULL;
}

/* ---- the doors ------------------------------------------------------------------------------ */

static int check_options(libpool_remote_tls_options *options)
{
    bool anybody = options->flags & LIBPOOL_REMOTE_TLS_ANYBODY;
    if (!options->handshake_ms)
        options->handshake_ms = 5000;
    if (!options->connections)
        options->connections = 64;
    bool sane = (options->flags & ~(uint32_t)LIBPOOL_REMOTE_TLS_ANYBODY) == 0 &&
                options->connections <= CONNECTIONS && !options->certificate == !options->key &&
                (options->fingerprints || !options->fingerprints_count) &&
                (options->authority || options->fingerprints_count || anybody);
    return sane ? 0 : -EINVAL;
}

/* It takes no signal of the application's. */
static int start_thread(libpool_remote_tls *tls)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&tls->thread, NULL, run, tls);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? -EAGAIN : 0;
}

static int start(libpool_remote_tls *tls)
{
    tls->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    tls->wake = (struct lpr_tls_source){.kind = LPR_TLS_WAKE, .fd = -1};
    if (tls->epoll_fd >= 0)
        tls->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (tls->wake.fd < 0)
        return -errno;
    return lpr_tls_watch(tls, &tls->wake, EPOLLIN, true) ? start_thread(tls) : -ENOMEM;
}

static void free_tls(libpool_remote_tls *tls)
{
    drop_listeners(tls, &tls->new_listeners);
    if (tls->wake.fd >= 0)
        close(tls->wake.fd);
    if (tls->epoll_fd >= 0)
        close(tls->epoll_fd);
    lpr_tls_identity_free(tls);
    pthread_cond_destroy(&tls->changed);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}

static libpool_remote_tls *new_tls(const libpool_remote_tls_options *options)
{
    pthread_condattr_t monotonic;
    libpool_remote_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return NULL;
    tls->options = *options;
    tls->owner = getpid();
    tls->epoll_fd = tls->wake.fd = -1;
    tls->next_ns = LPR_NEVER;
    pthread_mutex_init(&tls->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&tls->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    lpr_link_init(&tls->arrivals);
    lpr_link_init(&tls->new_listeners);
    lpr_link_init(&tls->lines);
    lpr_link_init(&tls->dead);
    lpr_link_init(&tls->listeners);
    return tls;
}

static int open_tls(libpool_remote_tls **out, const libpool_remote_tls_options *given, char *text,
                    size_t size)
{
    libpool_remote_tls_options options;
    int error = lpr_copy(&options, sizeof options, given);
    if (!error && check_options(&options)) {
        error = -EINVAL;
        if (text)
            lpr_say(text, size,
                    "options: whom to trust, certificate and key, flags or connections");
    }
    libpool_remote_tls *tls = error ? NULL : new_tls(&options);
    if (!tls)
        return error ? error : -ENOMEM;
    error = lpr_tls_identity_load(tls, &options, text, size);
    if (!error)
        error = start(tls);
    if (error)
        free_tls(tls);
    else
        *out = tls;
    return error;
}

int libpool_remote_tls_open(libpool_remote_tls **tls, const libpool_remote_tls_options *options,
                            char *text, size_t size)
{
    int saved_errno = errno;
    if (!tls)
        return -EINVAL;
    *tls = NULL;
    if (text && size)
        text[0] = 0;
    int error = open_tls(tls, options, size ? text : NULL, size);
    errno = saved_errno;
    return error;
}

int lpr_tls_check(const libpool_remote_tls *tls)
{
    if (!tls)
        return -EINVAL;
    if (getpid() != tls->owner)
        return -ECHILD;
    return pthread_equal(pthread_self(), tls->thread) ? -EDEADLK : 0;
}

int libpool_remote_tls_stop(libpool_remote_tls *tls)
{
    int saved_errno = errno, error = lpr_tls_check(tls);
    if (error)
        return error;
    pthread_mutex_lock(&tls->lock);
    tls->stop = true;
    lpr_tls_wake(tls);
    while (!tls->stopped)
        (void)pthread_cond_wait(&tls->changed, &tls->lock);
    pthread_mutex_unlock(&tls->lock);
    errno = saved_errno;
    return 0;
}

int libpool_remote_tls_close(libpool_remote_tls *tls, int timeout_ms)
{
    int saved_errno = errno, error = tls ? libpool_remote_tls_stop(tls) : 0;
    if (!tls || error)
        return error;
    pthread_mutex_lock(&tls->lock);
    tls->close_ns = lpr_deadline(timeout_ms < 0 ? CLOSE_MS : timeout_ms);
    tls->close = true;
    lpr_tls_wake(tls);
    pthread_mutex_unlock(&tls->lock);
    pthread_join(tls->thread, NULL);
    error = tls->cut ? -ETIME : 0;
    free_tls(tls);
    errno = saved_errno;
    return error;
}
