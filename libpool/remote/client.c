/* SPDX-License-Identifier: MIT */
/* client: its doors. A task's number is taken from those that are vacant, so neither side has to search. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

/* ---- futures -------------------------------------------------------------------------------- */

static void free_future(libpool_remote_future *future)
{
    free(future->message);
    free(future->body);
    free(future);
}

void lpr_client_end(libpool_remote_future *future)
{
    libpool_remote *remote = future->remote;
    uint32_t number = (uint32_t)future->id;
    remote->table[number] = NULL;
    remote->vacant[remote->vacant_count++] = number;
    remote->bytes -= future->input_size;
    remote->news = true;
    if (future->detached)
        free_future(future);
    else
        atomic_store_explicit(&future->ended, true, memory_order_release);
    remote->ended = true;
}

/* Sent entirely, or never. */
static void was_sent(struct lpr_parcel *parcel, void *arg)
{
    libpool_remote_future *future = (libpool_remote_future *)(void *)parcel;
    (void)arg;
    future->sent = parcel->sent == parcel->size;
    free(future->message);
    future->message = NULL;
}

static bool has_ended(const libpool_remote_future *future)
{
    return atomic_load_explicit(&future->ended, memory_order_acquire);
}

static libpool_remote_future *new_future(libpool_remote *remote, const libpool_remote_task *task)
{
    size_t name_size = strlen(task->name), fixed = LPR_HEAD_SIZE + LPR_SUBMIT_SIZE;
    libpool_remote_future *future = calloc(1, sizeof *future);
    unsigned char *message = malloc(fixed + name_size + task->input_size);
    if (!future || !message) {
        free(future);
        free(message);
        return NULL;
    }
    memcpy(message + fixed, task->name, name_size);
    if (task->input_size)
        memcpy(message + fixed + name_size, task->input, task->input_size);
    future->remote = remote;
    future->message = message;
    future->input_size = task->input_size;
    future->parcel.pieces[0].data = message;
    future->parcel.pieces[0].size = fixed + name_size + task->input_size;
    future->parcel.gone = was_sent;
    return future;
}

static void put_into_table(libpool_remote_future *future, const libpool_remote_task *task)
{
    libpool_remote *remote = future->remote;
    struct lpr_submit submit = {.priority = task->priority,
                                .run_timeout_ms = task->run_timeout_ms,
                                .queue_timeout_ms = task->queue_timeout_ms,
                                .group = task->group,
                                .name_size = strlen(task->name),
                                .input_size = task->input_size};
    uint32_t number = remote->vacant[--remote->vacant_count];
    future->id = (uint64_t)remote->uses[number]++ << 32 | number;
    lpr_put_submit(future->message, future->id, &submit);
    remote->table[number] = future;
    remote->bytes += future->input_size;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int check_options(libpool_remote_client_options *options,
                         const libpool_remote_client_options *given)
{
    int error = 0;
    memset(options, 0, sizeof *options);
    if (given)
        error = lpr_copy(options, sizeof *options, given);
    if (!options->handshake_ms)
        options->handshake_ms = 10000;
    if (!options->silence_ms)
        options->silence_ms = 30000;
    bool sane = options->policy <= LIBPOOL_REMOTE_CONTINUE && options->reserved == 0 &&
                options->credential_size <= LPR_CREDENTIAL_MAX &&
                (options->credential || !options->credential_size);
    return error ? error : sane ? 0 : -EINVAL;
}

static void init_lock(libpool_remote *remote)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&remote->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&remote->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static int prepare(libpool_remote *remote)
{
    struct epoll_event event = {.events = EPOLLIN};
    int type = 0, flags = fcntl(remote->fd, F_GETFD);
    socklen_t size = sizeof type;
    if (flags < 0 || getsockopt(remote->fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        return -errno;
    if (type != SOCK_STREAM)
        return -EINVAL;
    if (fcntl(remote->fd, F_SETFD, flags | FD_CLOEXEC) < 0)
        return -errno;
    lpr_send_at_once(remote->fd);
    remote->staging = malloc(LPR_CLIENT_STAGING);
    if (!remote->staging)
        return -ENOMEM;
    remote->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    remote->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    remote->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (remote->epoll_fd < 0 || remote->wake_fd < 0 || remote->bell_fd < 0 ||
        epoll_ctl(remote->epoll_fd, EPOLL_CTL_ADD, remote->bell_fd, &event) < 0 ||
        epoll_ctl(remote->epoll_fd, EPOLL_CTL_ADD, remote->fd, &event) < 0)
        return -errno;
    remote->watched = EPOLLIN;
    return 0;
}

int lpr_client_make_tables(libpool_remote *remote)
{
    uint32_t n = remote->limits.tasks;
    libpool_remote_future **table = calloc(n, sizeof *table);
    remote->uses = calloc(n, sizeof *remote->uses);
    remote->vacant = calloc(n, sizeof *remote->vacant);
    remote->table = table;
    if (!table || !remote->uses || !remote->vacant)
        return -ENOMEM;
    while (remote->vacant_count < n) {
        remote->vacant[remote->vacant_count] = n - 1 - remote->vacant_count;
        remote->vacant_count++;
    }
    return 0;
}

static bool say_hello(libpool_remote *remote, const libpool_remote_client_options *options)
{
    struct lpr_hello hello = {.lowest = LPR_VERSION,
                              .highest = LPR_VERSION,
                              .policy = options->policy,
                              .credential = options->credential,
                              .credential_size = options->credential_size};
    return lpr_outbox_hello(&remote->outbox, &hello);
}

static int shake_hands(libpool_remote *remote, const libpool_remote_client_options *options)
{
    uint64_t deadline_ns = lpr_now_ns() + options->handshake_ms * LPR_MS;
    remote->silence_ns = options->silence_ms * LPR_MS;
    remote->heard_ns = lpr_now_ns();
    remote->reader.largest[LPR_WELCOME] = LPR_WELCOME_SIZE + 256; /* what later versions add */
    remote->reader.largest[LPR_BYE] = LPR_BYE_SIZE + LPR_TEXT_MAX;
    if (!say_hello(remote, options))
        return -ENOMEM;
    pthread_mutex_lock(&remote->lock);
    lpr_client_pump(remote);
    while (!remote->open && lpr_client_turn(remote, deadline_ns))
        ;
    int error = remote->error;
    if (!error && !remote->open)
        error = -ETIMEDOUT;
    pthread_mutex_unlock(&remote->lock);
    return error;
}

static void free_remote(libpool_remote *remote)
{
    if (remote->epoll_fd >= 0)
        close(remote->epoll_fd);
    if (remote->wake_fd >= 0)
        close(remote->wake_fd);
    if (remote->bell_fd >= 0)
        close(remote->bell_fd);
    close(remote->fd);
    lpr_reader_clear(&remote->reader);
    pthread_cond_destroy(&remote->changed);
    pthread_mutex_destroy(&remote->lock);
    free(remote->table);
    free(remote->uses);
    free(remote->vacant);
    free(remote->staging);
    free(remote);
}

static int open_remote(libpool_remote **out, int fd, const libpool_remote_client_options *given)
{
    libpool_remote_client_options options;
    int error = out ? check_options(&options, given) : -EINVAL;
    libpool_remote *remote = error ? NULL : calloc(1, sizeof *remote);
    if (!remote) {
        close(fd);
        return error ? error : -ENOMEM;
    }
    remote->fd = fd;
    remote->epoll_fd = remote->wake_fd = remote->bell_fd = -1;
    remote->owner = getpid();
    lpr_outbox_init(&remote->outbox, remote);
    init_lock(remote);
    error = prepare(remote);
    if (!error)
        error = shake_hands(remote, &options);
    if (error) {
        lpr_outbox_clear(&remote->outbox);
        free_remote(remote);
        return error;
    }
    *out = remote;
    return 0;
}

int libpool_remote_open(libpool_remote **remote, int fd,
                        const libpool_remote_client_options *options)
{
    int saved_errno = errno;
    if (remote)
        *remote = NULL;
    int error = open_remote(remote, fd, options);
    errno = saved_errno;
    return error;
}

/* ---- tasks ---------------------------------------------------------------------------------- */

static int check(const libpool_remote *remote)
{
    if (!remote)
        return -EINVAL;
    return getpid() == remote->owner ? 0 : -ECHILD;
}

static int read_task(const libpool_remote *remote, libpool_remote_task *task,
                     const libpool_remote_task *given)
{
    int error = lpr_copy(task, sizeof *task, given);
    if (error)
        return error;
    if (!task->name || !task->name[0] || strnlen(task->name, LPR_NAME_MAX + 1) > LPR_NAME_MAX ||
        (task->input_size && !task->input) || task->priority >= LIBPOOL_PRIORITIES ||
        task->reserved)
        return -EINVAL;
    return task->input_size > remote->limits.payload ? -EMSGSIZE : 0;
}

static bool has_room(const libpool_remote *remote, size_t input_size)
{
    return remote->vacant_count && input_size <= remote->limits.bytes - remote->bytes;
}

static int await_room(libpool_remote *remote, size_t input_size, int timeout_ms,
                      uint64_t deadline_ns)
{
    if (!has_room(remote, input_size))
        lpr_client_pump(remote);
    while (!remote->error && !has_room(remote, input_size))
        if (!lpr_client_turn(remote, deadline_ns))
            break;
    if (remote->error)
        return remote->error;
    if (has_room(remote, input_size))
        return 0;
    return timeout_ms ? -ETIMEDOUT : -EAGAIN;
}

/* It is in the table; until it is on its way, it may be ended by whoever drives. */
static void send_off(libpool_remote *remote, libpool_remote_future *future, bool detached,
                     uint64_t deadline_ns)
{
    lpr_outbox_add(&remote->outbox, &future->parcel);
    lpr_client_pump(remote);
    while (!has_ended(future) && !future->sent)
        if (!lpr_client_turn(remote, deadline_ns))
            break;
    if (!detached)
        return;
    if (has_ended(future))
        free_future(future);
    else
        future->detached = true;
}

static int submit(libpool_remote *remote, const libpool_remote_task *given, int timeout_ms,
                  libpool_remote_future **out)
{
    libpool_remote_task task;
    uint64_t deadline_ns = lpr_deadline(timeout_ms);
    int error = check(remote);
    if (!error)
        error = read_task(remote, &task, given);
    if (error)
        return error;
    libpool_remote_future *future = new_future(remote, &task);
    if (!future)
        return -ENOMEM;
    pthread_mutex_lock(&remote->lock);
    error = await_room(remote, task.input_size, timeout_ms, deadline_ns);
    if (!error) {
        put_into_table(future, &task);
        send_off(remote, future, !out, deadline_ns);
    }
    pthread_mutex_unlock(&remote->lock);
    if (error)
        free_future(future);
    else if (out)
        *out = future;
    return error;
}

int libpool_remote_submit(libpool_remote *remote, const libpool_remote_task *task, int timeout_ms,
                          libpool_remote_future **future)
{
    int saved_errno = errno;
    if (future)
        *future = NULL;
    int error = submit(remote, task, timeout_ms, future);
    errno = saved_errno;
    return error;
}

static int wait_for_end(libpool_remote_future *future, int timeout_ms)
{
    libpool_remote *remote = future->remote;
    int error = check(remote);
    if (error)
        return error;
    uint64_t deadline_ns = lpr_deadline(timeout_ms);
    pthread_mutex_lock(&remote->lock);
    if (!has_ended(future))
        lpr_client_pump(remote);
    while (!has_ended(future))
        if (!lpr_client_turn(remote, deadline_ns))
            break;
    pthread_mutex_unlock(&remote->lock);
    return has_ended(future) ? 0 : -ETIMEDOUT;
}

int libpool_remote_wait(libpool_remote_future *future, int timeout_ms)
{
    int saved_errno = errno;
    if (!future)
        return -EINVAL;
    int error = has_ended(future) ? 0 : wait_for_end(future, timeout_ms);
    errno = saved_errno;
    return error;
}

const libpool_result *libpool_remote_result(const libpool_remote_future *future)
{
    return future && has_ended(future) ? &future->result : NULL;
}

/* ---- cancelling ----------------------------------------------------------------------------- */

static void end_as_cancelled(libpool_remote_future *future)
{
    future->result = (libpool_result){.cause = LIBPOOL_CANCELLED, .slot = UINT32_MAX};
    lpr_say(future->result.text, sizeof future->result.text, "cancelled before it was sent");
    lpr_client_end(future);
}

static int tell(libpool_remote *remote, enum lpr_type type, uint64_t id)
{
    if (remote->error)
        return remote->error;
    if (!lpr_outbox_note(&remote->outbox, type, id))
        return -ENOMEM;
    lpr_client_pump(remote);
    return 0;
}

static int cancel(libpool_remote_future *future)
{
    libpool_remote *remote = future->remote;
    if (has_ended(future))
        return LIBPOOL_CANCEL_DONE;
    if (!future->sent && lpr_outbox_remove(&remote->outbox, &future->parcel)) {
        end_as_cancelled(future);
        lpr_client_tell(remote);
        return LIBPOOL_CANCEL_DEQUEUED;
    }
    return tell(remote, LPR_CANCEL, future->id);
}

int libpool_remote_cancel(libpool_remote_future *future)
{
    if (!future)
        return -EINVAL;
    if (has_ended(future))
        return LIBPOOL_CANCEL_DONE;
    int saved_errno = errno, done = check(future->remote);
    if (!done) {
        pthread_mutex_lock(&future->remote->lock);
        done = cancel(future);
        pthread_mutex_unlock(&future->remote->lock);
    }
    errno = saved_errno;
    return done;
}

int libpool_remote_cancel_group(libpool_remote *remote, uint64_t group)
{
    int saved_errno = errno, error = group ? check(remote) : -EINVAL;
    if (!error) {
        pthread_mutex_lock(&remote->lock);
        error = tell(remote, LPR_CANCEL_GROUP, group);
        pthread_mutex_unlock(&remote->lock);
    }
    errno = saved_errno;
    return error;
}

/* ---- the rest ------------------------------------------------------------------------------- */

void libpool_remote_free(libpool_remote_future *future)
{
    if (!future)
        return;
    if (!has_ended(future)) {
        libpool_remote *remote = future->remote;
        if (check(remote))
            return; /* the copy of a table still leads to it */
        pthread_mutex_lock(&remote->lock);
        bool left = !has_ended(future);
        if (left)
            future->detached = true;
        pthread_mutex_unlock(&remote->lock);
        if (left)
            return;
    }
    free_future(future);
}

int libpool_remote_fd(const libpool_remote *remote)
{
    int error = check(remote);
    return error ? error : remote->epoll_fd;
}

int libpool_remote_dispatch(libpool_remote *remote)
{
    int saved_errno = errno, error = check(remote);
    if (!error) {
        pthread_mutex_lock(&remote->lock);
        lpr_client_answer_bell(remote);
        remote->dispatching = true;
        lpr_client_pump(remote);
        remote->dispatching = false;
        error = remote->error;
        pthread_mutex_unlock(&remote->lock);
    }
    errno = saved_errno;
    return error;
}

int libpool_remote_status(libpool_remote *remote, char *text, size_t size)
{
    int error = check(remote);
    if (error)
        return error;
    pthread_mutex_lock(&remote->lock);
    if (text && size) {
        text[0] = 0;
        lpr_say(text, size, remote->why);
    }
    error = remote->error;
    pthread_mutex_unlock(&remote->lock);
    return error;
}

/* In a copy another thread may have been in the middle of anything: nothing is looked at there. */
static void close_copy(const libpool_remote *remote)
{
    close(remote->epoll_fd);
    close(remote->wake_fd);
    close(remote->bell_fd);
    close(remote->fd);
}

void libpool_remote_close(libpool_remote *remote)
{
    int saved_errno = errno;
    if (!remote)
        return;
    if (getpid() == remote->owner) {
        pthread_mutex_lock(&remote->lock);
        lpr_client_fail(remote, -ESHUTDOWN, "the session was closed");
        pthread_mutex_unlock(&remote->lock);
        free_remote(remote);
    } else {
        close_copy(remote);
    }
    errno = saved_errno;
}
