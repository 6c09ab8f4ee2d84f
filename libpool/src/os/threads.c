/* SPDX-License-Identifier: MIT */
#include "os/threads.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "os/child.h"
#include "sys/sys.h"

#define STACK_BYTES ((size_t)8 * 1024 * 1024) /* as workers have that are processes */
#define YIELDS 64 /* a thread that has said its last word ends in some microseconds... */
#define JOIN_WAIT_MS \
    1 /* ...unless the application's destructors take longer. Then it is looked for */
#define JOIN_LONGEST_MS 64

enum {
    OURS = 0,
    THEIRS,
    ENDS
};

/* ---- The worker's side -------------------------------------------------------------------- */

static void ring(const struct lp_threads *threads)
{
    uint64_t one = 1;
    (void)lp_sys.write(threads->bell_fd, &one, sizeof one);
}

/* Also of one that leaves by pthread_exit(), or is cancelled. The last touch. */
static void end(void *arg)
{
    struct lp_threads_seat *seat = arg;
    const struct lp_threads *threads = seat->threads;
    atomic_store(&seat->who, 0);
    atomic_store(&seat->ended, true);
    ring(threads);
}

static void name_worker(const struct lp_threads_seat *seat)
{
    char digits[12];
    struct lp_text text = lp_text_begin(digits, sizeof digits);
    lp_text_add_number(&text, seat->number);
    lp_child_set_name(seat->threads->name, digits);
}

static void *live(void *arg)
{
    struct lp_threads_seat *seat = arg;
    const struct lp_threads *threads = seat->threads;
    pthread_cleanup_push(end, seat);
    name_worker(seat);
    atomic_store(&seat->who, (uintptr_t)pthread_self());
    atomic_store(&seat->tid, gettid());
    ring(threads);
    seat->code = threads->body(threads->context, seat->slot, seat->number, seat->generation);
    pthread_cleanup_pop(1);
    return NULL;
}

bool lp_threads_is_worker(const struct lp_threads *threads)
{
    uintptr_t self = (uintptr_t)pthread_self();
    for (uint32_t slot = 0; slot < threads->slots; slot++)
        if (atomic_load_explicit(&threads->seats[slot].who, memory_order_relaxed) == self)
            return true;
    return false;
}

/* ---- Reports ------------------------------------------------------------------------------ */

/* Waits for room: the host never waits for this thread while it has not read all. */
static void report(const struct lp_threads *threads, struct lp_report *message)
{
    struct iovec part = {message, sizeof *message};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    while (lp_sys.sendmsg(threads->socket_fd, &header, MSG_NOSIGNAL) == -EINTR)
        continue;
}

static void report_seat(const struct lp_threads_seat *seat, enum lp_report_kind kind, int error)
{
    struct lp_report message = {.kind = kind,
                                .slot = seat->slot,
                                .generation = seat->generation,
                                .pid = atomic_load(&seat->tid),
                                .error = error};
    if (kind == LP_REPORT_EXITED)
        message.code = seat->code; /* its own until then */
    report(seat->threads, &message);
}

/* ---- The zygote's side -------------------------------------------------------------------- */

/* Faults are the application's to handle, if it does; it has other threads for everything else. */
static void block_signals(sigset_t *before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t most;
    (void)sigfillset(&most);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        (void)sigdelset(&most, faults[i]);
    (void)lp_sys.signal_mask(SIG_SETMASK, &most, before);
}

static int create(pthread_t *thread, void *(*body)(void *), void *arg)
{
    pthread_attr_t attributes;
    int error = -pthread_attr_init(&attributes);
    if (error)
        return error;
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    error = -pthread_create(thread, &attributes, body, arg);
    (void)pthread_attr_destroy(&attributes);
    return error;
}

static void spawn(struct lp_threads *threads, const struct lp_request *request)
{
    struct lp_threads_seat *seat = &threads->seats[request->slot];
    seat->threads = threads;
    seat->slot = request->slot;
    seat->number = request->number;
    seat->generation = request->generation;
    seat->reported = false;
    seat->code = EXIT_FAILURE;
    atomic_store(&seat->tid, 0);
    atomic_store(&seat->ended, false);
    int error = create(&seat->thread, live, seat);
    seat->taken = error == 0;
    if (error)
        report_seat(seat, LP_REPORT_SPAWN_FAILED, error);
}

/* False: it has said its last word, and not ended yet. */
static bool join(const struct lp_threads_seat *seat)
{
    int error = pthread_tryjoin_np(seat->thread, NULL);
    for (int i = 0; error == EBUSY && i < YIELDS; i++) {
        (void)lp_sys.sched_yield();
        error = pthread_tryjoin_np(seat->thread, NULL);
    }
    return error != EBUSY;
}

/* The news of one slot. False: it is ending, and has to be looked for again. */
static bool look(struct lp_threads_seat *seat)
{
    if (!seat->reported && atomic_load(&seat->tid)) {
        seat->reported = true;
        report_seat(seat, LP_REPORT_SPAWNED, 0);
    }
    if (!atomic_load(&seat->ended))
        return true;
    if (!join(seat))
        return false;
    seat->taken = false;
    report_seat(seat, LP_REPORT_EXITED, 0);
    report_seat(seat, LP_REPORT_EMPTY, 0);
    return true;
}

struct news {
    bool any_lives, any_ends;
};

static struct news look_at_all(struct lp_threads *threads)
{
    struct news news = {.any_lives = false};
    for (uint32_t slot = 0; slot < threads->slots; slot++) {
        struct lp_threads_seat *seat = &threads->seats[slot];
        if (seat->taken && !look(seat))
            news.any_ends = true;
        news.any_lives = news.any_lives || seat->taken;
    }
    return news;
}

/* False: nobody asks any more. */
static bool serve(struct lp_threads *threads)
{
    struct lp_request request;
    struct iovec part = {&request, sizeof request};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t got = lp_sys.recvmsg(threads->socket_fd, &header, MSG_DONTWAIT);
    if (got == -EAGAIN || got == -EINTR)
        return true;
    if (got != (ssize_t)sizeof request || request.kind == LP_REQUEST_QUIT)
        return false;
    if (request.kind == LP_REQUEST_SPAWN && request.slot < threads->slots &&
        !threads->seats[request.slot].taken)
        spawn(threads, &request);
    return true;
}

static void *tend(void *arg)
{
    struct lp_threads *threads = arg;
    int wait_ms = JOIN_WAIT_MS;
    bool open = true;
    struct news news = {.any_lives = false};
    lp_child_set_name(threads->name, "zygote");
    report(threads, &(struct lp_report){.kind = LP_REPORT_HELLO, .pid = gettid()});
    while (open || news.any_lives) {
        struct pollfd fds[ENDS] = {{.fd = threads->bell_fd, .events = POLLIN},
                                   {.fd = open ? threads->socket_fd : -1, .events = POLLIN}};
        uint64_t count;
        if (lp_sys.poll(fds, ENDS, news.any_ends ? wait_ms : -1) > 0)
            wait_ms = JOIN_WAIT_MS;
        else if (wait_ms < JOIN_LONGEST_MS)
            wait_ms *= 2;
        if (fds[0].revents)
            (void)lp_sys.read(threads->bell_fd, &count, sizeof count);
        if (fds[1].revents)
            open = serve(threads);
        news = look_at_all(threads);
    }
    lp_fd_close(&threads->socket_fd); /* the host hears that all is over */
    return NULL;
}

/* ---- The host's side ---------------------------------------------------------------------- */

static int open_ends(struct lp_threads *threads, int *host_fd)
{
    int ends[ENDS] = {-1, -1};
    int error = lp_sys.socketpair(SOCK_SEQPACKET | SOCK_CLOEXEC, ends);
    if (error)
        return error;
    *host_fd = ends[OURS];
    threads->socket_fd = ends[THEIRS];
    threads->bell_fd = lp_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return threads->bell_fd < 0 ? threads->bell_fd : 0;
}

int lp_threads_start(struct lp_threads *threads, struct lp_zygote_link *link)
{
    *link = LP_ZYGOTE_LINK_NULL;
    threads->socket_fd = threads->bell_fd = -1;
    sigset_t before;
    int error = open_ends(threads, &link->socket_fd);
    if (!error) {
        block_signals(&before);
        error = create(&threads->zygote, tend, threads);
        (void)lp_sys.signal_mask(SIG_SETMASK, &before, NULL);
    }
    threads->runs = error == 0;
    if (!error)
        return 0;
    lp_fd_close(&link->socket_fd);
    lp_fd_close(&threads->socket_fd);
    lp_fd_close(&threads->bell_fd);
    return error;
}

void lp_threads_join(struct lp_threads *threads)
{
    if (!threads->runs)
        return;
    (void)pthread_join(threads->zygote, NULL);
    threads->runs = false;
    lp_fd_close(&threads->socket_fd);
    lp_fd_close(&threads->bell_fd);
}
