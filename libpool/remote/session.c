/* SPDX-License-Identifier: MIT */
/*
 * session: one client, from its first byte to the last of its tasks. It ends once, for one reason; a client
 * that is at fault is told, and then nothing of it is looked at any more. What its tasks come to meanwhile
 * is its policy's matter. A session that is gone stays as long as a task of its is left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

#define READS_A_STEP 4          /* of LPR_STAGING bytes: then it is others' turn */
#define VISITS_A_STEP 16384     /* of tasks, to find those of a group */
#define BYE_MS 1000             /* to be told why */
#define NOTES_BYTES (64u << 10) /* of memory, for answers that it has not read */

static bool is_connected(const struct lpr_session *session)
{
    return session->state != LPR_GONE;
}

static bool is_stranger(const struct lpr_session *session)
{
    return session->state == LPR_GREETING || session->state == LPR_LEAVING;
}

/* One that was let in, as long as a task of its is left. */
static bool is_member(const struct lpr_session *session)
{
    return session->state == LPR_OPEN || (session->state == LPR_GONE && session->lingers);
}

static void set_state(struct lpr_session *session, enum lpr_state state)
{
    libpool_remote_server *server = session->server;
    server->strangers -= is_stranger(session);
    server->members -= is_member(session);
    session->state = state;
    server->strangers += is_stranger(session);
    server->members += is_member(session);
}

/* ---- what it is waiting for ----------------------------------------------------------------- */

void lpr_session_touch(struct lpr_session *session)
{
    if (lpr_link_is_alone(&session->touched))
        lpr_link_append(&session->server->touched, &session->touched);
}

void lpr_session_line_up(struct lpr_session *session)
{
    const libpool_remote_options *options = &session->server->options;
    bool may = session->waiting > 0 && session->in_pool < options->session_window &&
               session->outbox.bytes < options->unsent_bytes;
    bool does = !lpr_link_is_alone(&session->ready);
    if (may && !does)
        lpr_link_append(&session->server->ready, &session->ready);
    else if (!may && does)
        lpr_link_remove(&session->ready);
}

static void watch(struct lpr_session *session)
{
    uint32_t events = (session->rest ? 0 : (uint32_t)EPOLLIN) |
                      (session->outbox.first ? (uint32_t)EPOLLOUT : 0);
    if (events == session->watched)
        return;
    struct epoll_event event = {.events = events, .data.ptr = &session->source};
    session->watched = events;
    (void)epoll_ctl(session->server->epoll_fd, EPOLL_CTL_MOD, session->source.fd, &event);
}

/* ---- its end -------------------------------------------------------------------------------- */

static void drop_rest(struct lpr_session *session)
{
    free(session->rest);
    session->rest = NULL;
    lpr_link_remove(&session->halted);
}

/* A copy of the descriptor in a process that is just being forked keeps nothing open. */
static void hang_up(struct lpr_session *session)
{
    if (!is_connected(session))
        return;
    (void)epoll_ctl(session->server->epoll_fd, EPOLL_CTL_DEL, session->source.fd, NULL);
    (void)shutdown(session->source.fd, SHUT_RDWR);
    close(session->source.fd);
    session->source.fd = -1;
    lpr_outbox_clear(&session->outbox);
    lpr_reader_clear(&session->reader);
    drop_rest(session);
    session->lingers = !lpr_link_is_alone(&session->tasks);
    set_state(session, LPR_GONE);
    if (session->lingers)
        lpr_books_lingering(session->server, 1);
    lpr_session_touch(session);
}

/* As its policy says. What ends at once leaves the ring while we go through it. */
static void lose_tasks(struct lpr_session *session)
{
    if (session->policy == LIBPOOL_REMOTE_CONTINUE)
        return;
    struct lpr_link *next;
    for (struct lpr_link *link = session->tasks.next; link != &session->tasks; link = next) {
        struct lpr_task *task = LPR_OF(link, struct lpr_task, all);
        next = link->next;
        if (task->place == LPR_WAITING || session->policy == LIBPOOL_REMOTE_CANCEL)
            lpr_task_cancel(task, false);
    }
}

void lpr_session_end(struct lpr_session *session, libpool_remote_end reason, int error,
                     const char *text)
{
    if (session->state == LPR_LEAVING)
        hang_up(session);
    if (session->state == LPR_GONE)
        return;
    bool was_open = session->state == LPR_OPEN;
    lpr_books_ended_session(session->server, reason);
    set_state(session, LPR_LEAVING);
    session->deadline_ns = lpr_now_ns() + BYE_MS * LPR_MS;
    lpr_server_at(session->server, session->deadline_ns);
    lpr_reader_clear(&session->reader);
    drop_rest(session);
    bool told = error && !session->deaf && lpr_outbox_bye(&session->outbox, error, text);
    if (was_open)
        lose_tasks(session);
    if (!told)
        hang_up(session);
    lpr_session_touch(session);
}

static void free_session(struct lpr_session *session)
{
    lpr_link_remove(&session->all);
    lpr_link_remove(&session->touched);
    lpr_link_remove(&session->ready);
    session->server->strangers -= is_stranger(session);
    session->server->members -= is_member(session);
    lpr_reader_clear(&session->reader);
    free(session->table);
    free(session);
}

void lpr_session_destroy(struct lpr_session *session)
{
    hang_up(session);
    struct lpr_link *next;
    for (struct lpr_link *link = session->tasks.next; link != &session->tasks; link = next) {
        next = link->next;
        lpr_link_remove(link);
    }
    free_session(session);
}

/* ---- its beginning -------------------------------------------------------------------------- */

static void find_peer(struct lpr_session *session)
{
    struct ucred ucred;
    socklen_t size = sizeof ucred;
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t address_size = sizeof address;
    session->peer = (libpool_remote_peer){.size = sizeof session->peer,
                                          .fd = session->source.fd,
                                          .uid = UINT32_MAX,
                                          .gid = UINT32_MAX};
    (void)getsockname(session->source.fd, (struct sockaddr *)&address, &address_size);
    session->local = address.ss_family == AF_UNIX;
    if (!session->local)
        return;
    if (getsockopt(session->source.fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) == 0) {
        session->peer.pid = ucred.pid;
        session->peer.uid = ucred.uid;
        session->peer.gid = ucred.gid;
    }
}

static void init(struct lpr_session *session, libpool_remote_server *server, int fd, bool vouched)
{
    session->source = (struct lpr_source){LPR_SOURCE_SESSION, fd};
    session->server = server;
    session->vouched = vouched;
    session->state = LPR_GREETING;
    session->deadline_ns = lpr_now_ns() + server->options.handshake_ms * LPR_MS;
    session->reader.largest[LPR_HELLO] = LPR_HELLO_SIZE + LPR_CREDENTIAL_MAX;
    session->watched = EPOLLIN;
    lpr_outbox_init(&session->outbox, session);
    lpr_link_init(&session->all);
    lpr_link_init(&session->touched);
    lpr_link_init(&session->ready);
    lpr_link_init(&session->halted);
    lpr_link_init(&session->tasks);
    for (unsigned i = 0; i < LIBPOOL_PRIORITIES; i++)
        lpr_link_init(&session->queues[i]);
    lpr_link_append(&server->sessions, &session->all);
    server->strangers++;
    find_peer(session);
}

/* Without a function to ask: who is the same user, or may do anything anyway. */
static bool is_own_user(const libpool_remote_peer *peer)
{
    return peer->uid == geteuid() || peer->uid == 0;
}

struct lpr_session *lpr_session_open(libpool_remote_server *server, int fd, bool vouched)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct lpr_session *session = calloc(1, sizeof *session);
    if (session) {
        event.data.ptr = &session->source;
        if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
            free(session);
            session = NULL;
        }
    }
    if (!session) {
        close(fd);
        return NULL;
    }
    lpr_keep_alive(fd);
    lpr_send_at_once(fd);
    init(session, server, fd, vouched);
    lpr_books_accepted(server);
    lpr_server_at(server, session->deadline_ns);
    if (!vouched && !server->options.admit && !is_own_user(&session->peer))
        lpr_session_end(session, LIBPOOL_REMOTE_REFUSED, -EACCES,
                        "this server is for the user it runs as");
    return session;
}

/* ---- messages ------------------------------------------------------------------------------- */

static void violate(struct lpr_session *session, int error, const char *text)
{
    lpr_session_end(session, LIBPOOL_REMOTE_MALFORMED, error, text);
}

static uint32_t count_same_user(const struct lpr_session *session)
{
    const struct lpr_link *all = &session->server->sessions;
    uint32_t n = 0;
    for (struct lpr_link *link = all->next; link != all; link = link->next) {
        const struct lpr_session *other = LPR_OF(link, struct lpr_session, all);
        n += is_member(other) && other->peer.uid == session->peer.uid;
    }
    return n;
}

/* 0, or what to tell, with *text. */
static int admit(struct lpr_session *session, const struct lpr_hello *hello, const char **text)
{
    const libpool_remote_options *options = &session->server->options;
    *text = "this version of the protocol is not spoken here";
    if (hello->lowest > LPR_VERSION || hello->highest < LPR_VERSION)
        return -EPROTONOSUPPORT;
    *text = "tasks don't outlive their client here: ask for another policy";
    if (hello->policy > options->policy)
        return -EPERM;
    *text = "too many sessions are open";
    if (session->server->members >= options->sessions)
        return -EBUSY;
    *text = "not admitted";
    if (session->vouched || !options->admit)
        return 0;
    session->peer.sessions = count_same_user(session);
    session->peer.credential = hello->credential;
    session->peer.credential_size = hello->credential_size;
    int error = options->admit(options->admit_arg, &session->peer);
    return error > 0 || error < -4095 ? -EACCES : error;
}

static void welcome(struct lpr_session *session)
{
    const libpool_remote_options *options = &session->server->options;
    struct lpr_welcome welcome = {.version = LPR_VERSION,
                                  .tasks = options->session_tasks,
                                  .bytes = options->session_bytes,
                                  .payload = options->payload_bytes};
    session->table = calloc(options->session_tasks, sizeof(struct lpr_task *));
    if (!session->table || !lpr_outbox_welcome(&session->outbox, &welcome)) {
        lpr_session_end(session, LIBPOOL_REMOTE_SCARCE, -ENOMEM, "no memory for a session");
        return;
    }
    memset(session->reader.largest, 0, sizeof session->reader.largest);
    session->reader.largest[LPR_SUBMIT] = LPR_SUBMIT_SIZE + LPR_NAME_MAX + options->payload_bytes;
    set_state(session, LPR_OPEN);
}

static void greet(struct lpr_session *session)
{
    const struct lpr_head *head = &session->reader.head;
    struct lpr_hello hello;
    const char *text;
    if (head->type != LPR_HELLO || lpr_get_hello(session->reader.body, head->size, &hello)) {
        violate(session, -EPROTO, "this is no greeting");
        return;
    }
    int error = admit(session, &hello, &text);
    session->policy = (libpool_remote_policy)hello.policy;
    if (error)
        lpr_session_end(session, LIBPOOL_REMOTE_REFUSED, error, text);
    else
        welcome(session);
}

static void take_task(struct lpr_session *session)
{
    const struct lpr_head *head = &session->reader.head;
    const libpool_remote_options *options = &session->server->options;
    struct lpr_submit submit;
    uint32_t number = (uint32_t)head->id;
    if (lpr_get_submit(session->reader.body, head->size, &submit))
        violate(session, -EPROTO, "a task is malformed");
    else if (number >= options->session_tasks || session->table[number])
        violate(session, -EPROTO, "a task has a number that it must not have");
    else if (submit.input_size > options->payload_bytes)
        violate(session, -EMSGSIZE, "an input is too large");
    else if (submit.input_size > options->session_bytes - session->input_bytes)
        violate(session, -EDQUOT, "more bytes than a session may have here");
    else if (lpr_task_receive(session, head->id, &submit, session->reader.body))
        lpr_session_end(session, LIBPOOL_REMOTE_SCARCE, -ENOMEM, "no memory for a task");
    else
        (void)lpr_reader_take(&session->reader); /* it is the task's */
}

static void cancel(struct lpr_session *session, uint64_t id)
{
    uint32_t number = (uint32_t)id;
    struct lpr_task *task = number < session->server->options.session_tasks ? session->table[number]
                                                                            : NULL;
    if (task && task->id == id &&
        !task->cancelled) /* else it has ended, and its client does not know yet */
        lpr_task_cancel(task, false);
}

static void cancel_group(struct lpr_session *session, uint64_t group)
{
    struct lpr_link *next;
    for (struct lpr_link *link = session->tasks.next; link != &session->tasks; link = next) {
        struct lpr_task *task = LPR_OF(link, struct lpr_task, all);
        next = link->next;
        session->visits++;
        if (group && task->group == group && !task->cancelled)
            lpr_task_cancel(task, false);
    }
}

static void take_message(struct lpr_session *session)
{
    const struct lpr_head *head = &session->reader.head;
    if (session->state == LPR_GREETING) {
        greet(session);
        return;
    }
    switch ((enum lpr_type)head->type) {
    case LPR_SUBMIT: take_task(session); return;
    case LPR_CANCEL: cancel(session, head->id); return;
    case LPR_CANCEL_GROUP: cancel_group(session, head->id); return;
    case LPR_PING:
        if (!session->deaf && !lpr_outbox_note(&session->outbox, LPR_PONG, head->id))
            lpr_session_end(session, LIBPOOL_REMOTE_SCARCE, -ENOMEM, "no memory for an answer");
        return;
    case LPR_HELLO:
    case LPR_WELCOME:
    case LPR_RESULT:
    case LPR_PONG:
    case LPR_BYE:
    case LPR_TYPES: break;
    }
    violate(session, -EPROTO, "a message that a client must not send");
}

/* It has to read what it has asked for, before it is heard any further. */
static bool is_glutted(const struct lpr_session *session)
{
    return session->outbox.notes >= NOTES_BYTES;
}

/* The rest is looked at in the next step, or when it has read. */
static void go_on(struct lpr_session *session)
{
    if (session->rest && !is_glutted(session) && lpr_link_is_alone(&session->halted))
        lpr_link_append(&session->server->halted, &session->halted);
}

static void keep_rest(struct lpr_session *session, unsigned char *rest, size_t n)
{
    session->rest = rest;
    session->rest_size = n;
    go_on(session);
}

/* What is left, because it is not to be looked at any further for now; 0 when the session is over. */
static size_t take_bytes(struct lpr_session *session, const unsigned char *bytes, size_t n)
{
    while (n && (session->state == LPR_GREETING || session->state == LPR_OPEN)) {
        if (session->visits >= VISITS_A_STEP || is_glutted(session))
            return n;
        size_t used;
        int complete = lpr_reader_feed(&session->reader, bytes, n, &used);
        bytes += used;
        n -= used;
        if (complete == -ENOMEM)
            lpr_session_end(session, LIBPOOL_REMOTE_SCARCE, -ENOMEM, "no memory for a message");
        else if (complete < 0)
            violate(session, complete, "a message of an impossible type or size");
        else if (complete)
            take_message(session);
    }
    return 0;
}

static void take_received(struct lpr_session *session, const unsigned char *bytes, size_t n)
{
    size_t left = take_bytes(session, bytes, n);
    unsigned char *rest = left ? malloc(left) : NULL;
    if (rest) {
        memcpy(rest, bytes + n - left, left);
        keep_rest(session, rest, left);
    } else if (left) {
        lpr_session_end(session, LIBPOOL_REMOTE_SCARCE, -ENOMEM, "no memory for a message");
    }
}

/* false: nothing more for now. */
static bool receive(struct lpr_session *session)
{
    unsigned char *staging = session->server->staging;
    ssize_t n = recv(session->source.fd, staging, LPR_STAGING, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return errno == EINTR;
    if (n <= 0) {
        lpr_session_end(session, n ? LIBPOOL_REMOTE_RESET : LIBPOOL_REMOTE_LEFT, 0, NULL);
        return false;
    }
    lpr_books_bytes(session->server, (uint64_t)n, 0);
    take_received(session, staging, (size_t)n);
    return (size_t)n == LPR_STAGING && !session->rest;
}

void lpr_session_resume(struct lpr_session *session)
{
    unsigned char *rest = session->rest;
    session->rest = NULL;
    session->visits = 0;
    lpr_link_remove(&session->halted);
    size_t left = take_bytes(session, rest, session->rest_size);
    if (left) {
        memmove(rest, rest + session->rest_size - left, left);
        keep_rest(session, rest, left);
    } else {
        free(rest);
    }
    lpr_session_touch(session);
}

void lpr_session_event(struct lpr_session *session, uint32_t events)
{
    bool more = is_connected(session) && !session->rest &&
                (events & (EPOLLIN | EPOLLHUP | EPOLLERR));
    session->visits = 0;
    for (unsigned i = 0; i < READS_A_STEP && more; i++)
        more = receive(session) && is_connected(session);
    lpr_session_touch(session);
}

/* ---- at the end of a step ------------------------------------------------------------------- */

/* Nobody hears it any more; what it had sent before it went is read to its end all the same. */
static void go_deaf(struct lpr_session *session)
{
    session->deaf = true;
    session->stall_ns = 0;
    lpr_outbox_clear(&session->outbox);
    if (session->state != LPR_OPEN)
        lpr_session_end(session, LIBPOOL_REMOTE_RESET, 0, NULL);
}

static void send_some(struct lpr_session *session, uint64_t now_ns)
{
    int64_t sent = lpr_outbox_send(&session->outbox, session->source.fd);
    if (sent < 0) {
        go_deaf(session);
        return;
    }
    if (sent)
        lpr_books_bytes(session->server, 0, (uint64_t)sent);
    if (!session->outbox.first) {
        session->stall_ns = 0;
    } else if (sent || !session->stall_ns) {
        session->stall_ns = now_ns + session->server->options.stall_ms * LPR_MS;
        lpr_server_at(session->server, session->stall_ns);
    }
    if (session->state == LPR_LEAVING && !session->outbox.first && !session->half_closed) {
        session->half_closed = true;
        (void)shutdown(session->source.fd, SHUT_WR);
    }
}

void lpr_session_settle(struct lpr_session *session)
{
    lpr_link_remove(&session->touched);
    if (is_connected(session))
        send_some(session, lpr_now_ns());
    go_on(session);
    if (is_connected(session))
        watch(session);
    lpr_session_line_up(session);
    lpr_link_remove(&session->touched); /* what was sent has touched it again */
    if (is_connected(session) || !lpr_link_is_alone(&session->tasks))
        return;
    if (session->lingers)
        lpr_books_lingering(session->server, -1);
    free_session(session);
}

/* ---- time ----------------------------------------------------------------------------------- */

static uint64_t sweep_queues(struct lpr_session *session, uint64_t now_ns)
{
    uint64_t next_ns = LPR_NEVER;
    struct lpr_link *next;
    for (struct lpr_link *link = session->tasks.next; session->timed && link != &session->tasks;
         link = next) {
        struct lpr_task *task = LPR_OF(link, struct lpr_task, all);
        next = link->next;
        if (task->place != LPR_WAITING)
            continue;
        if (task->queue_deadline_ns <= now_ns)
            lpr_task_end_waiting(task, LIBPOOL_QUEUE_TIMEOUT, 0,
                                 "queue-timeout: it waited too long at the server");
        else if (task->queue_deadline_ns < next_ns)
            next_ns = task->queue_deadline_ns;
    }
    return next_ns;
}

/*
 * Over TCP all that is on its way is lost when we close and something unread is there, or comes: so it is the
 * client that ends the connection, and that tells.
 */
bool lpr_session_is_told(const struct lpr_session *session)
{
    bool was_member = session->table;
    return !session->outbox.first &&
           (session->local || session->deaf || !was_member || !is_connected(session));
}

static void give_up_telling(struct lpr_session *session)
{
    session->server->late |= session->server->phase == LPR_TELLING && !lpr_session_is_told(session);
    hang_up(session);
}

uint64_t lpr_session_sweep(struct lpr_session *session, uint64_t now_ns)
{
    uint64_t next_ns = LPR_NEVER;
    if (session->state == LPR_GREETING && session->deadline_ns <= now_ns)
        lpr_session_end(session, LIBPOOL_REMOTE_STALLED, -ETIMEDOUT, "it did not say who it is");
    else if (session->state == LPR_LEAVING && session->deadline_ns <= now_ns)
        give_up_telling(session);
    else if (is_connected(session) && session->stall_ns && session->stall_ns <= now_ns)
        lpr_session_end(session, LIBPOOL_REMOTE_STALLED, 0, NULL);
    if (is_stranger(session))
        next_ns = session->deadline_ns;
    if (is_connected(session) && session->stall_ns && session->stall_ns < next_ns)
        next_ns = session->stall_ns;
    uint64_t queues_ns = sweep_queues(session, now_ns);
    return queues_ns < next_ns ? queues_ns : next_ns;
}
