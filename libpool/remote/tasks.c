/* SPDX-License-Identifier: MIT */
/*
 * tasks: from a message to a result. A task keeps the message it came in, so the pool borrows its input from
 * there; and it keeps its future until its result was sent, so that is sent from where the pool has put it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "server.h"

/* A pool that is full of others' tasks does not tell when it has room, and counts each try. */
#define RETRY_MS 5
#define RETRY_MAX_MS 200

/* ---- the box ------------------------------------------------------------------------------ */

struct lpr_box *lpr_box_new(void)
{
    struct lpr_box *box = calloc(1, sizeof *box);
    if (!box)
        return NULL;
    box->ended_last = &box->ended;
    box->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (box->wake_fd < 0) {
        free(box);
        return NULL;
    }
    pthread_mutex_init(&box->lock, NULL);
    return box;
}

void lpr_box_wake(const struct lpr_box *box)
{
    uint64_t one = 1;
    ssize_t written = write(box->wake_fd, &one, sizeof one);
    (void)written; /* a full counter wakes as well */
}

static void free_box(struct lpr_box *box)
{
    close(box->wake_fd);
    for (uint32_t i = 0; i < box->adopted_count; i++)
        close(box->adopted[i]);
    free(box->adopted);
    pthread_mutex_destroy(&box->lock);
    free(box);
}

void lpr_box_abandon(struct lpr_box *box, uint64_t left)
{
    pthread_mutex_lock(&box->lock);
    for (struct lpr_task *task = box->ended, *next; task; task = next, left--) {
        next = task->next;
        libpool_future_free(task->future);
        free(task->body);
        free(task);
    }
    box->abandoned = true;
    box->left = left;
    pthread_mutex_unlock(&box->lock);
    if (left == 0)
        free_box(box);
}

/* The callback of a task whose server is no more. */
static void end_abandoned(struct lpr_box *box, libpool_future *future, struct lpr_task *task)
{
    bool last = --box->left == 0;
    pthread_mutex_unlock(&box->lock);
    libpool_future_free(future);
    free(task->body);
    free(task);
    if (last)
        free_box(box);
}

static void ended_in_pool(libpool_future *future, void *arg)
{
    struct lpr_task *task = arg;
    struct lpr_box *box = task->box;
    int saved_errno = errno;
    pthread_mutex_lock(&box->lock);
    if (box->abandoned) {
        end_abandoned(box, future, task);
    } else {
        bool first = !box->ended;
        task->next = NULL;
        *box->ended_last = task;
        box->ended_last = &task->next;
        if (first)
            lpr_box_wake(box);
        pthread_mutex_unlock(&box->lock);
    }
    errno = saved_errno;
}

/* ---- results ------------------------------------------------------------------------------ */

/* Its result was sent, or never will be. */
static void forget(struct lpr_parcel *parcel, void *arg)
{
    struct lpr_task *task = (struct lpr_task *)(void *)parcel;
    struct lpr_session *session = arg;
    if (parcel->sent < parcel->size)
        lpr_books_dropped(session->server);
    session->table[(uint32_t)task->id] = NULL;
    session->input_bytes -= task->input_size;
    lpr_link_remove(&task->all);
    libpool_future_free(task->future);
    free(task->body);
    free(task);
    lpr_session_touch(session);
}

/* text, data and tail stay where they are until it is sent. */
static void tell(struct lpr_task *task, const libpool_result *result, const char *text)
{
    struct lpr_session *session = task->session;
    struct lpr_parcel *parcel = &task->parcel;
    lpr_put_result(task->head, task->id, result);
    parcel->pieces[0].data = task->head;
    parcel->pieces[0].size = sizeof task->head;
    parcel->pieces[1].data = result->data;
    parcel->pieces[1].size = result->data_size;
    parcel->pieces[2].data = result->tail;
    parcel->pieces[2].size = result->tail_size;
    parcel->pieces[3].data = text;
    parcel->pieces[3].size = strnlen(result->text, LPR_TEXT_MAX);
    parcel->gone = forget;
    task->place = LPR_TOLD;
    free(task->body); /* nobody borrows the input any more */
    task->body = NULL;
    if (session->state == LPR_OPEN && !session->deaf) {
        lpr_outbox_add(&session->outbox, parcel);
        lpr_session_touch(session);
    } else {
        parcel->size = parcel->pieces[0].size;
        forget(parcel, session);
    }
}

/* The pool says that it was cancelled, and knows no more. A literal. */
static const char *describe_closing(libpool_certainty certainty)
{
    if (certainty == LIBPOOL_NOT_STARTED)
        return "shutdown: the server was closed before it ran";
    return certainty == LIBPOOL_HAS_RUN
               ? "shutdown: the server was closed, it returned when asked to"
               : "shutdown: the server was closed while it ran";
}

static void ended(struct lpr_task *task)
{
    static const char too_large[] = "the result is larger than this server sends";
    const libpool_result *result = libpool_future_result(task->future);
    struct lpr_session *session = task->session;
    libpool_result told = *result;
    const char *text = result->text;
    told.pending_ns += task->handed_ns - task->arrived_ns;
    if (task->closing && told.cause == LIBPOOL_CANCELLED) {
        told.cause = LIBPOOL_SHUTDOWN;
        text = describe_closing(told.certainty);
    }
    if (told.data_size > session->server->options.payload_bytes) {
        told.cause = LIBPOOL_ERROR;
        told.code = -EMSGSIZE;
        told.data = NULL;
        told.data_size = 0;
        text = too_large;
    }
    if (text != result->text) {
        told.text[0] = 0;
        lpr_say(told.text, sizeof told.text, text);
    }
    session->in_pool--;
    lpr_books_ended(session->server, LPR_IN_POOL, told.cause);
    tell(task, &told, text);
}

void lpr_tasks_take_ended(libpool_remote_server *server)
{
    struct lpr_box *box = server->box;
    pthread_mutex_lock(&box->lock);
    struct lpr_task *task = box->ended, *next;
    box->ended = NULL;
    box->ended_last = &box->ended;
    pthread_mutex_unlock(&box->lock);
    if (task)
        server->retry_ns = 0;
    for (; task; task = next) {
        next = task->next;
        ended(task);
    }
}

/* ---- waiting ------------------------------------------------------------------------------ */

static void enqueue(struct lpr_task *task)
{
    struct lpr_session *session = task->session;
    lpr_link_append(&session->queues[task->priority], &task->queue);
    session->occupied |= UINT64_C(1) << task->priority;
    session->waiting++;
    session->timed += task->queue_deadline_ns != LPR_NEVER;
    lpr_session_line_up(session);
}

static void dequeue(struct lpr_task *task)
{
    struct lpr_session *session = task->session;
    lpr_link_remove(&task->queue);
    if (lpr_link_is_alone(&session->queues[task->priority]))
        session->occupied &= ~(UINT64_C(1) << task->priority);
    session->waiting--;
    session->timed -= task->queue_deadline_ns != LPR_NEVER;
    lpr_session_line_up(session);
}

/* One that is in no queue any more, and with no pool. */
static void end_here(struct lpr_task *task, libpool_cause cause, int code, const char *text)
{
    libpool_result result = {.cause = cause,
                             .code = code,
                             .slot = UINT32_MAX,
                             .pending_ns = lpr_now_ns() - task->arrived_ns};
    lpr_say(result.text, sizeof result.text, text);
    lpr_books_ended(task->session->server, LPR_WAITING, cause);
    tell(task, &result, text);
}

void lpr_task_end_waiting(struct lpr_task *task, libpool_cause cause, int code, const char *text)
{
    dequeue(task);
    end_here(task, cause, code, text);
}

void lpr_task_cancel(struct lpr_task *task, bool closing)
{
    task->closing |= closing && !task->cancelled;
    task->cancelled = true;
    if (task->place == LPR_WAITING && closing)
        lpr_task_end_waiting(task, LIBPOOL_SHUTDOWN, 0,
                             "shutdown: the server was closed before it ran");
    else if (task->place == LPR_WAITING)
        lpr_task_end_waiting(task, LIBPOOL_CANCELLED, 0, "cancelled while it was waiting");
    else if (task->place == LPR_IN_POOL)
        (void)libpool_future_cancel(task->future); /* whatever it does, the callback tells */
}

/* ---- receiving ---------------------------------------------------------------------------- */

static const libpool_remote_offer *find_offer(const libpool_remote_options *options,
                                              const struct lpr_submit *submit)
{
    for (uint32_t i = 0; i < options->offers_count; i++) {
        const char *name = options->offers[i].name;
        if (strlen(name) == submit->name_size && memcmp(name, submit->name, submit->name_size) == 0)
            return &options->offers[i];
    }
    return NULL;
}

/* 0 is no bound. */
static uint32_t shorter(uint32_t asked_ms, uint32_t longest_ms)
{
    return asked_ms && (!longest_ms || asked_ms < longest_ms) ? asked_ms : longest_ms;
}

static void set_bounds(struct lpr_task *task, const struct lpr_submit *submit)
{
    const libpool_task *offered = &task->offer->task;
    uint32_t queue_timeout_ms = shorter(submit->queue_timeout_ms, offered->queue_timeout_ms);
    task->priority = submit->priority > offered->priority ? submit->priority : offered->priority;
    task->run_timeout_ms = shorter(submit->run_timeout_ms, offered->run_timeout_ms);
    if (queue_timeout_ms) {
        task->queue_deadline_ns = task->arrived_ns + queue_timeout_ms * LPR_MS;
        lpr_server_at(task->session->server, task->queue_deadline_ns);
    }
}

static struct lpr_task *new_task(struct lpr_session *session, uint64_t id,
                                 const struct lpr_submit *submit, unsigned char *body)
{
    struct lpr_task *task = calloc(1, sizeof *task);
    if (!task)
        return NULL;
    task->session = session;
    task->box = session->server->box;
    task->id = id;
    task->group = submit->group;
    task->arrived_ns = lpr_now_ns();
    task->queue_deadline_ns = LPR_NEVER;
    task->body = body;
    task->input = submit->input_size ? submit->input : NULL;
    task->input_size = submit->input_size;
    lpr_link_init(&task->all);
    lpr_link_init(&task->queue);
    return task;
}

int lpr_task_receive(struct lpr_session *session, uint64_t id, const struct lpr_submit *submit,
                     unsigned char *body)
{
    struct lpr_task *task = new_task(session, id, submit, body);
    if (!task)
        return -ENOMEM;
    session->table[(uint32_t)id] = task;
    session->input_bytes += submit->input_size;
    lpr_link_append(&session->tasks, &task->all);
    lpr_books_received(session->server);
    task->offer = find_offer(&session->server->options, submit);
    if (session->server->phase != LPR_SERVING) {
        end_here(task, LIBPOOL_SHUTDOWN, 0, "shutdown: the server is being closed");
    } else if (!task->offer) {
        end_here(task, LIBPOOL_ERROR, -ENOENT, "the server offers no task of this name");
    } else {
        set_bounds(task, submit);
        enqueue(task);
    }
    return 0;
}

/* ---- into the pool ------------------------------------------------------------------------ */

/* In milliseconds, at least one; 0: none. */
static uint32_t queue_time_left(const struct lpr_task *task, uint64_t now_ns)
{
    if (task->queue_deadline_ns == LPR_NEVER)
        return 0;
    int left_ms = lpr_left_ms(task->queue_deadline_ns, now_ns);
    return left_ms > 0 ? (uint32_t)left_ms : 1;
}

static int submit(libpool_remote_server *server, struct lpr_task *task)
{
    libpool_task with;
    libpool_future *future = NULL;
    lpr_copy(&with, sizeof with, &task->offer->task); /* was checked at the beginning */
    task->handed_ns = lpr_now_ns();
    with.priority = task->priority;
    with.run_timeout_ms = task->run_timeout_ms;
    with.queue_timeout_ms = queue_time_left(task, task->handed_ns);
    with.input = task->input;
    with.input_size = task->input_size;
    with.flags = LIBPOOL_BORROW | LIBPOOL_DROP_PARTS;
    with.done = ended_in_pool;
    with.callback_arg = task;
    int error = libpool_submit(server->pool, &with, 0, &future);
    task->future = future; /* the callback may be under way, and does not look at it */
    return error;
}

static void refuse(struct lpr_task *task, int error)
{
    if (error == -ESHUTDOWN)
        end_here(task, LIBPOOL_SHUTDOWN, 0, "shutdown: the pool was shut down");
    else if (error == -EKEYREJECTED)
        end_here(task, LIBPOOL_QUARANTINED, 0, "quarantined: tasks of its kind kill their workers");
    else
        end_here(task, LIBPOOL_ERROR, error, "the pool refused it");
}

/* false: the pool is full. */
static bool hand_over_one(libpool_remote_server *server, struct lpr_session *session)
{
    struct lpr_link *queue = &session->queues[__builtin_ctzll(session->occupied)];
    struct lpr_task *task = LPR_OF(queue->next, struct lpr_task, queue);
    int error = submit(server, task);
    if (error == -EAGAIN)
        return false;
    dequeue(task);
    if (error) {
        refuse(task, error);
        return true;
    }
    task->place = LPR_IN_POOL;
    session->in_pool++;
    lpr_books_handed_over(server);
    lpr_session_line_up(session);
    return true;
}

static void try_later(libpool_remote_server *server)
{
    uint32_t retry_ms = server->retry_ms ? 2 * server->retry_ms : RETRY_MS;
    server->retry_ms = retry_ms < RETRY_MAX_MS ? retry_ms : RETRY_MAX_MS;
    server->retry_ns = lpr_now_ns() + server->retry_ms * LPR_MS;
    lpr_server_at(server, server->retry_ns);
}

void lpr_tasks_hand_over(libpool_remote_server *server)
{
    if (server->retry_ns)
        return;
    while (server->in_pool < server->window && !lpr_link_is_alone(&server->ready)) {
        struct lpr_session *session = LPR_OF(server->ready.next, struct lpr_session, ready);
        if (!hand_over_one(server, session)) {
            try_later(server);
            return;
        }
        server->retry_ms = 0;
        if (!lpr_link_is_alone(&session->ready))
            lpr_link_append(&server->ready, &session->ready); /* whose turn comes again last */
    }
}

/* A task that no pool can take: with callbacks the name is what it objects to. */
int lpr_tasks_try_pool(libpool *pool)
{
    char symbol[1024];
    memset(symbol, 'x', sizeof symbol);
    symbol[sizeof symbol - 1] = 0;
    libpool_task task = {
        .size = sizeof task, .object = "", .symbol = symbol, .done = ended_in_pool};
    int error = libpool_submit(pool, &task, 0, NULL);
    if (error == -ENAMETOOLONG)
        return 0;
    return error == -EINVAL ? -ENOTSUP : error;
}
