/* SPDX-License-Identifier: MIT */
/*
 * serve: the loop, in turns that never block: what came on sockets, what the pool has ended, what time has
 * brought; then tasks are handed over, and whatever was touched is settled once. Driven or by a thread of its
 * own, it is the same turn: all it waits for is in one epoll descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "server.h"

#define EVENTS 64
#define ACCEPTS 16 /* a turn */
#define STRANGERS \
    64 /* who have not said who they are, or are about to go: the oldest goes for another */
#define PAUSE_MS 100 /* for want of descriptors or memory */
#define LISTENERS 64
#define SESSIONS 65536

/* ---- time ----------------------------------------------------------------------------------- */

void lpr_server_at(libpool_remote_server *server, uint64_t time_ns)
{
    if (time_ns < server->next_ns)
        server->next_ns = time_ns;
}

static void arm(libpool_remote_server *server)
{
    if (server->next_ns == server->armed_ns)
        return;
    server->armed_ns = server->next_ns;
    struct itimerspec timer = {.it_value = {0, 0}};
    if (server->next_ns != LPR_NEVER) {
        timer.it_value.tv_sec = (time_t)(server->next_ns / 1000000000);
        timer.it_value.tv_nsec = (long)(server->next_ns % 1000000000);
    }
    (void)timerfd_settime(server->timer.fd, TFD_TIMER_ABSTIME, &timer, NULL);
}

static void listen_again(libpool_remote_server *server);

static void sweep(libpool_remote_server *server)
{
    uint64_t now_ns = lpr_now_ns();
    if (now_ns < server->next_ns)
        return;
    server->next_ns = LPR_NEVER;
    if (server->retry_ns && server->retry_ns <= now_ns)
        server->retry_ns = 0;
    if (server->resume_ns && server->resume_ns <= now_ns)
        listen_again(server);
    for (struct lpr_link *link = server->sessions.next; link != &server->sessions;
         link = link->next)
        lpr_server_at(server, lpr_session_sweep(LPR_OF(link, struct lpr_session, all), now_ns));
    if (server->retry_ns)
        lpr_server_at(server, server->retry_ns);
    if (server->resume_ns)
        lpr_server_at(server, server->resume_ns);
    if (server->phase != LPR_SERVING)
        lpr_server_at(server, server->phase_ns);
}

/* ---- listening ------------------------------------------------------------------------------ */

static void watch_listeners(libpool_remote_server *server, uint32_t events)
{
    for (uint32_t i = 0; i < server->listeners_count; i++) {
        struct epoll_event event = {.events = events, .data.ptr = &server->listeners[i]};
        (void)epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, server->listeners[i].fd, &event);
    }
}

/* Clients wait in the sockets' backlogs meanwhile. time_ns 0: until there are fewer strangers. */
static void pause_listening(libpool_remote_server *server, uint64_t time_ns)
{
    server->paused = true;
    server->resume_ns = time_ns;
    if (time_ns) {
        lpr_books_paused(server);
        lpr_server_at(server, time_ns);
    }
    watch_listeners(server, 0);
}

static void listen_again(libpool_remote_server *server)
{
    server->paused = false;
    server->resume_ns = 0;
    watch_listeners(server, EPOLLIN);
}

/* That client's matter; else there is no descriptor or memory, or the socket is no good any more. */
static bool is_passing(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPERM || error == EPROTO;
}

/* Somebody has shut it down: it would tell of that for ever. */
static void drop_listener(const libpool_remote_server *server, struct lpr_source *listener)
{
    (void)epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
    close(listener->fd);
    listener->fd = -1;
}

/* Who goes for another: who was told why it must, or who has been silent for longest. */
static struct lpr_session *find_oldest_stranger(const libpool_remote_server *server)
{
    struct lpr_session *oldest = NULL;
    for (struct lpr_link *at = server->sessions.next; at != &server->sessions; at = at->next) {
        struct lpr_session *session = LPR_OF(at, struct lpr_session, all);
        if (session->state == LPR_LEAVING && session->half_closed && lpr_session_is_told(session)) {
            oldest = session;
            break;
        }
        if (!oldest && session->state == LPR_GREETING && !session->vouched)
            oldest = session;
    }
    return oldest;
}

static void accept_some(libpool_remote_server *server, int listener)
{
    for (unsigned i = 0; i < ACCEPTS && !server->paused; i++) {
        bool full = server->strangers >= STRANGERS;
        struct lpr_session *oldest = full ? find_oldest_stranger(server) : NULL;
        if (full && !oldest) {
            pause_listening(server, 0);
            return;
        }
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (fd >= 0 && oldest)
            lpr_session_end(oldest, LIBPOOL_REMOTE_STALLED, 0, NULL);
        bool failed = fd < 0 ? !is_passing(errno) : !lpr_session_open(server, fd, false);
        if (failed)
            pause_listening(server, lpr_now_ns() + PAUSE_MS * LPR_MS);
    }
}

static void take_adopted(libpool_remote_server *server)
{
    struct lpr_box *box = server->box;
    pthread_mutex_lock(&box->lock);
    int *fds = box->adopted;
    uint32_t n = box->adopted_count;
    box->adopted = NULL;
    box->adopted_count = 0;
    pthread_mutex_unlock(&box->lock);
    for (uint32_t i = 0; i < n; i++) {
        if (server->phase == LPR_SERVING)
            (void)lpr_session_open(server, fds[i], true);
        else
            close(fds[i]);
    }
    free(fds);
}

/* ---- the turn ------------------------------------------------------------------------------- */

static void handle(libpool_remote_server *server, const struct epoll_event *event)
{
    struct lpr_source *source = event->data.ptr;
    uint64_t count;
    switch (source->kind) {
    case LPR_SOURCE_BOX:
    case LPR_SOURCE_TIMER:
        if (read(source->fd, &count, sizeof count) < 0)
            return; /* somebody else has, which is as good */
        if (source->kind == LPR_SOURCE_TIMER)
            server->armed_ns = LPR_NEVER;
        return;
    case LPR_SOURCE_LISTENER:
        if (event->events & (EPOLLHUP | EPOLLERR))
            drop_listener(server, source);
        else
            accept_some(server, source->fd);
        return;
    case LPR_SOURCE_SESSION: lpr_session_event((struct lpr_session *)source, event->events); return;
    }
}

/* Each once: who has still more to do goes to the end of the ring. */
static void resume_halted(libpool_remote_server *server)
{
    const struct lpr_link *last = server->halted.before;
    bool more = !lpr_link_is_alone(&server->halted);
    while (more) {
        struct lpr_link *link = server->halted.next;
        more = link != last;
        lpr_session_resume(LPR_OF(link, struct lpr_session, halted));
    }
}

static void settle(libpool_remote_server *server)
{
    while (!lpr_link_is_alone(&server->touched))
        lpr_session_settle(LPR_OF(server->touched.next, struct lpr_session, touched));
}

/* As far as it goes by itself: what a phase says is sent before the next one looks. */
static void close_on(libpool_remote_server *server)
{
    enum lpr_phase before;
    do {
        before = server->phase;
        lpr_server_close_on(server);
        settle(server);
    } while (server->phase != before);
}

void lpr_server_step(libpool_remote_server *server, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    resume_halted(server);
    int n = epoll_wait(server->epoll_fd, events, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++)
        handle(server, &events[i]); /* sessions are freed in settle() only */
    take_adopted(server);
    lpr_tasks_take_ended(server);
    sweep(server);
    settle(server); /* who reads makes room for its next tasks */
    lpr_tasks_hand_over(server);
    close_on(server);
    if (server->paused && !server->resume_ns && server->strangers < STRANGERS)
        listen_again(server);
    if (!lpr_link_is_alone(&server->halted))
        lpr_box_wake(server->box); /* also for who drives: there is a next turn to take at once */
    arm(server);
}

/* When nothing can fail any more: else they stay as they were. */
static void make_listeners_nonblocking(const libpool_remote_server *server)
{
    for (uint32_t i = 0; i < server->listeners_count; i++) {
        int flags = fcntl(server->listeners[i].fd, F_GETFL);
        (void)fcntl(server->listeners[i].fd, F_SETFL, flags | O_NONBLOCK);
    }
}

static void *run(void *arg)
{
    libpool_remote_server *server = arg;
    make_listeners_nonblocking(server);
    while (server->phase != LPR_CLOSED)
        lpr_server_step(server, -1);
    return NULL;
}

/* ---- the doors ------------------------------------------------------------------------------ */

static bool is_sane_offer(const libpool_remote_offer *offer)
{
    libpool_task task;
    if (!offer->name || !offer->name[0] || strnlen(offer->name, LPR_NAME_MAX + 1) > LPR_NAME_MAX)
        return false;
    if (lpr_copy(&task, sizeof task, &offer->task) || task.priority >= LIBPOOL_PRIORITIES)
        return false;
    return !task.input && !task.input_size && !task.flags && !task.started && !task.done &&
           (task.function || task.symbol);
}

static void set_default(uint32_t *value, uint32_t otherwise)
{
    if (!*value)
        *value = otherwise;
}

static void set_default64(uint64_t *value, uint64_t otherwise)
{
    if (!*value)
        *value = otherwise;
}

static int check_options(libpool_remote_options *options)
{
    uint32_t window = 4 * libpool_default_workers();
    set_default(&options->window, window < 16 ? 16 : window);
    set_default(&options->session_window, options->window);
    set_default(&options->sessions, 64);
    set_default(&options->session_tasks, 1024);
    set_default(&options->handshake_ms, 5000);
    set_default(&options->stall_ms, 60000);
    set_default64(&options->payload_bytes, UINT64_C(16) << 20);
    if (options->payload_bytes > LPR_PAYLOAD_MAX)
        return -EINVAL;
    set_default64(&options->session_bytes, 4 * options->payload_bytes);
    set_default64(&options->unsent_bytes, options->payload_bytes);
    bool sane = (options->flags & ~(uint32_t)LIBPOOL_REMOTE_NO_THREAD) == 0 &&
                options->sessions <= SESSIONS && options->session_tasks <= SESSIONS &&
                options->policy <= LIBPOOL_REMOTE_CONTINUE &&
                options->session_bytes >= options->payload_bytes && options->offers_count &&
                options->offers && options->listeners_count <= LISTENERS &&
                (options->listeners || !options->listeners_count);
    for (uint32_t i = 0; sane && i < options->offers_count; i++)
        sane = is_sane_offer(&options->offers[i]);
    return sane ? 0 : -EINVAL;
}

/* A question to a socket; negative: it can't answer. */
static int ask_socket(int fd, int question)
{
    int answer = 0;
    socklen_t size = sizeof answer;
    return getsockopt(fd, SOL_SOCKET, question, &answer, &size) < 0 ? -errno : answer;
}

static int check_listener(const libpool_remote_options *options, int fd)
{
    int listening = ask_socket(fd, SO_ACCEPTCONN);
    if (listening < 0)
        return listening;
    if (!listening || ask_socket(fd, SO_TYPE) != SOCK_STREAM)
        return -EINVAL;
    return options->admit || ask_socket(fd, SO_DOMAIN) == AF_UNIX ? 0 : -EPERM;
}

static int add_source(const libpool_remote_server *server, struct lpr_source *source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

static int start_listening(libpool_remote_server *server)
{
    const libpool_remote_options *options = &server->options;
    server->listeners = calloc(options->listeners_count + 1, sizeof *server->listeners);
    if (!server->listeners)
        return -ENOMEM;
    for (uint32_t i = 0; i < options->listeners_count; i++) {
        int fd = options->listeners[i];
        int error = check_listener(options, fd);
        if (error)
            return error;
        server->listeners[i] = (struct lpr_source){LPR_SOURCE_LISTENER, fd};
        error = add_source(server, &server->listeners[i]);
        if (error)
            return error;
    }
    server->listeners_count = options->listeners_count;
    return 0;
}

static int open_descriptors(libpool_remote_server *server)
{
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll_fd < 0)
        return -errno;
    server->timer.kind = LPR_SOURCE_TIMER;
    server->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (server->timer.fd < 0)
        return -errno;
    server->box = lpr_box_new();
    if (!server->box)
        return errno == ENOMEM ? -ENOMEM : -errno;
    server->wake = (struct lpr_source){LPR_SOURCE_BOX, server->box->wake_fd};
    int error = add_source(server, &server->timer);
    if (!error)
        error = add_source(server, &server->wake);
    return error;
}

/* It takes no signal of the application's. */
static int start_thread(libpool_remote_server *server)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&server->thread, NULL, run, server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? -EAGAIN : 0;
}

static int start(libpool_remote_server *server)
{
    server->staging = malloc(LPR_STAGING);
    if (!server->staging)
        return -ENOMEM;
    int error = open_descriptors(server);
    if (!error)
        error = start_listening(server);
    if (error)
        return error;
    if (!(server->options.flags & LIBPOOL_REMOTE_NO_THREAD))
        return start_thread(server);
    make_listeners_nonblocking(server);
    return 0;
}

static libpool_remote_server *new_server(libpool *pool, const libpool_remote_options *options)
{
    libpool_remote_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    server->pool = pool;
    server->options = *options;
    server->window = options->window;
    server->owner = getpid();
    server->epoll_fd = server->timer.fd = -1;
    server->next_ns = server->armed_ns = LPR_NEVER;
    server->books.size = sizeof server->books;
    pthread_mutex_init(&server->books_lock, NULL);
    lpr_link_init(&server->sessions);
    lpr_link_init(&server->touched);
    lpr_link_init(&server->ready);
    lpr_link_init(&server->halted);
    return server;
}

static int serve(libpool_remote_server **out, libpool *pool, const libpool_remote_options *given)
{
    libpool_remote_options options;
    int error = pool ? lpr_copy(&options, sizeof options, given) : -EINVAL;
    if (!error)
        error = check_options(&options);
    if (!error)
        error = lpr_tasks_try_pool(pool);
    if (error)
        return error;
    libpool_remote_server *server = new_server(pool, &options);
    if (!server)
        return -ENOMEM;
    error = start(server);
    if (error) {
        server->listeners_count = 0; /* they stay the application's */
        lpr_server_free(server);
        return error;
    }
    *out = server;
    return 0;
}

int libpool_remote_serve(libpool_remote_server **server, libpool *pool,
                         const libpool_remote_options *options)
{
    int saved_errno = errno;
    if (!server)
        return -EINVAL;
    *server = NULL;
    int error = serve(server, pool, options);
    errno = saved_errno;
    return error;
}

static int leave_adopted(struct lpr_box *box, int fd)
{
    int error = -ESHUTDOWN;
    pthread_mutex_lock(&box->lock);
    if (!box->close) {
        int *more = realloc(box->adopted, (box->adopted_count + 1) * sizeof *more);
        error = more ? 0 : -ENOMEM;
        if (more) {
            box->adopted = more;
            more[box->adopted_count++] = fd;
        }
    }
    pthread_mutex_unlock(&box->lock);
    if (!error)
        lpr_box_wake(box);
    return error;
}

static int adopt(libpool_remote_server *server, int fd)
{
    if (!server)
        return -EINVAL;
    if (getpid() != server->owner)
        return -ECHILD;
    int type = ask_socket(fd, SO_TYPE), flags = fcntl(fd, F_GETFD);
    if (type < 0 || flags < 0)
        return type < 0 ? type : -errno;
    if (type != SOCK_STREAM)
        return -EINVAL;
    if (fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
        return -errno;
    return leave_adopted(server->box, fd);
}

int libpool_remote_adopt(libpool_remote_server *server, int fd)
{
    int saved_errno = errno;
    int error = adopt(server, fd);
    if (error && fd >= 0)
        close(fd);
    errno = saved_errno;
    return error;
}

static int check_driver(const libpool_remote_server *server)
{
    if (!server || !(server->options.flags & LIBPOOL_REMOTE_NO_THREAD))
        return -EINVAL;
    return getpid() == server->owner ? 0 : -ECHILD;
}

int libpool_remote_server_fd(const libpool_remote_server *server)
{
    int error = check_driver(server);
    return error ? error : server->epoll_fd;
}

int libpool_remote_server_dispatch(libpool_remote_server *server)
{
    int saved_errno = errno;
    int error = check_driver(server);
    if (!error)
        lpr_server_step(server, 0);
    errno = saved_errno;
    return error;
}
