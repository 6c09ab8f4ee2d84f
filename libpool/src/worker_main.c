/* SPDX-License-Identifier: MIT */
/*
 * worker_main: what a worker, process or thread, does from its birth to its end.
 *
 *     outfit -> initializer -> READY -> (START) -> task, result, task, result...
 *            -> RETIRE -> finalizer -> gone
 *
 * The zygote has prepared the process (child.h). From here on user code runs: it may do anything, so
 * nothing here is trusted by the host. Until the host has said START, the process dies with its
 * zygote (its death signal is set): a worker that was never reported can't outlive the report.
 * After each task whatever it started and left behind is killed, before the result is told; a worker
 * that can't do that (a task has taken all descriptors) asks to be retired, and the zygote does it.
 *
 * A worker that is a thread does the same, but for what is a process's own affair: descendants, limits,
 * stdio, the exit. Where a process would leave by _exit a thread leaves by a jump to its beginning.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "buffer.h"
#include "growth.h"
#include "os/channel.h"
#include "os/file.h"
#include "os/load.h"
#include "os/maps.h"
#include "os/tree.h"
#include "supervisor.h"
#include "sys/sys.h"
#include "worker.h"
#include "worker_call.h"

#define DOORBELL_FD 3
#define IDLE_MS 250       /* large buffers are given back when no task came for so long */
#define LEFTOVERS_MS 1000 /* what can't be killed in that time is the zygote's matter */
#define KEEPS 64          /* children of the initializer that are left alone */
#define BELL_NS 20000u    /* an answer may stay unannounced so long while others follow */
#define TINY_NS 2000u     /* a task like the one before is expected to take no longer */
#define USAGE_NS 1000000u /* what a task of so long has used is measured */
#define SHORT_NS 20000u   /* what a short one costs beside itself: waiting, waking */
#define FORK_NS 1000u     /* no process is created in less: the least measured is 7 us */
#define REPLY_PIECE_BYTES ((size_t)64 << 20) /* of a large reply, between two signs of life */

/* CPU time of this process and of the children it has waited for. */
struct usage {
    uint64_t user_ns, system_ns;
    uint32_t max_rss_kib;
};

struct libpool_worker {
    struct lp_channel channel;
    const struct lp_worker_kit *kit;
    libpool_finalizer *finalizer;
    jmp_buf *way_out;      /* of a thread; NULL: it is a process */
    int exit_code;         /* of a thread that has gone there */
    const uint32_t *alive; /* wiped in a child that a task forks */
    uint32_t alive_here;   /* what it is in the worker itself */
    uint32_t slot;         /* where its window and its cgroup are */
    uint32_t number;       /* what the application knows it by */
    uint32_t generation;
    uint64_t task_id;
    uint64_t last_ns;   /* when the last task ended; 0: something came between */
    uint64_t run_ns;    /* how long it took */
    struct usage usage; /* when it was read last... */
    uint64_t unread_ns; /* ...and about as much as may have come since, by tasks that were short */
    uint64_t quiet_ns;  /* since when there are answers that were not announced; 0: none are */
    void *data;
    struct lp_buffer input, reply;
    uint64_t replied_bytes; /* by this task; what is not in `reply` has been sent */
    struct lp_buffer name;  /* of the task's function, when it is named */
    struct lp_load load;
    void *mapped; /* the input, when it is a file: then it is nowhere else */
    size_t mapped_size;
    uint64_t checked_function; /* the last one found to be mapped */
    pid_t keeps[KEEPS];        /* started by the initializer: not a task's */
    size_t n_keeps;
    struct lp_growth growth;
    int tail_stream;   /* one that is kept as a tail; 0: none is */
    dev_t tail_device; /* what that is: a task may put something else there */
    ino_t tail_inode;
    uint32_t tasks_marked;
    struct lp_calling calling;
};

/* ---- for user code -------------------------------------------------------------------------- */

uint32_t libpool_worker_slot(const libpool_worker *worker)
{
    return worker->number;
}

uint64_t libpool_worker_task_id(const libpool_worker *worker)
{
    return worker->task_id;
}

void libpool_worker_set_data(libpool_worker *worker, void *data)
{
    worker->data = data;
}

void *libpool_worker_data(const libpool_worker *worker)
{
    return worker->data;
}

/* This is a process that user code has forked, not the worker. */
static bool is_child_of_worker(const libpool_worker *worker)
{
    return *worker->alive != worker->alive_here;
}

/* A child of a worker process shares its window, that of a thread has none. */
static bool has_no_window(const libpool_worker *worker)
{
    return worker->way_out && is_child_of_worker(worker);
}

int libpool_worker_stopping(const libpool_worker *worker)
{
    return worker->task_id && !has_no_window(worker) &&
           lp_channel_is_asked(&worker->channel, worker->task_id);
}

void libpool_worker_beat(libpool_worker *worker)
{
    if (worker->task_id && !has_no_window(worker))
        lp_board_beat(lp_window_board(worker->channel.window), lp_supervisor_now());
}

int libpool_worker_progress(libpool_worker *worker, uint64_t done, uint64_t total, const char *text)
{
    struct lp_progress report = {.task_id = worker->task_id, .done = done, .total = total};
    if (worker->task_id == 0)
        return -EINVAL;
    if (has_no_window(worker))
        return -ECHILD;
    if (text)
        strncpy(report.text, text, sizeof report.text - 1);
    lp_board_write(lp_window_board(worker->channel.window), &report);
    libpool_worker_beat(worker);
    return 0;
}

/* ---- talking to the host -------------------------------------------------------------------- */

static bool is_thread(const libpool_worker *worker)
{
    return worker->way_out != NULL;
}

static _Noreturn void end(libpool_worker *worker, int code)
{
    if (!is_thread(worker))
        _exit(code);
    worker->exit_code = code;
    longjmp(*worker->way_out, 1);
}

/* The host broke the protocol, or a task what the worker needs to be heard: its death tells. */
static _Noreturn void give_up(libpool_worker *worker)
{
    end(worker, EXIT_FAILURE);
}

/* Until the ring that is written to has room. */
static void await_room(libpool_worker *worker)
{
    if (!lp_channel_wait(&worker->channel, true, -1))
        give_up(worker);
}

/* False: the timeout has passed. */
static bool await_data(libpool_worker *worker, int timeout_ms)
{
    bool there = lp_channel_wait(&worker->channel, false, timeout_ms);
    if (worker->channel.mute)
        give_up(worker);
    return there;
}

/* The bell for the last piece is the caller's. `last`: with it the payload ends. */
static void send_bytes(libpool_worker *worker, const unsigned char *data, size_t size, bool last)
{
    while (size) {
        int64_t n = lp_channel_write(&worker->channel, data, size, last);
        if (n < 0)
            give_up(worker);
        data += n;
        size -= (size_t)n;
        if (size)
            lp_channel_ring(&worker->channel);
        if (n == 0)
            await_room(worker);
    }
}

static void send_header(libpool_worker *worker, const struct lp_message *message)
{
    int sent;
    while ((sent = lp_channel_send(&worker->channel, message)) == 0)
        await_room(worker);
    if (sent < 0)
        give_up(worker);
}

static void say(libpool_worker *worker, enum lp_message_kind kind, int code)
{
    send_header(worker,
                &(struct lp_message){.kind = kind, .code = code, .task_id = worker->task_id});
    lp_channel_ring(&worker->channel);
}

/* Before the result. Only by the worker itself: two that write to one channel write nonsense. */
static void send_piece(libpool_worker *worker, enum lp_message_kind kind, const void *data,
                       size_t size)
{
    send_header(worker,
                &(struct lp_message){.kind = kind, .task_id = worker->task_id, .size = size});
    send_bytes(worker, data, size, true);
    lp_channel_ring(&worker->channel);
    worker->quiet_ns = 0; /* what it had not announced is now */
    libpool_worker_beat(worker);
}

int libpool_emit(libpool_worker *worker, const void *data, size_t size)
{
    if (worker->task_id == 0)
        return -EINVAL;
    if (is_child_of_worker(worker))
        return -ECHILD;
    if (size > worker->kit->result_bytes)
        return -EMSGSIZE;
    send_piece(worker, LP_MESSAGE_PART, data, size);
    return 0;
}

static int keep_reply(libpool_worker *worker, const void *data, size_t size)
{
    struct lp_buffer *reply = &worker->reply;
    int error = lp_buffer_reserve(reply, reply->size + size);
    if (error || size == 0)
        return error;
    memcpy(reply->data + reply->size, data, size);
    reply->size += size;
    return 0;
}

/* What is there already first. A sign of life now and then, however slow the host takes it. */
static void stream_reply(libpool_worker *worker, const unsigned char *data, size_t size)
{
    if (worker->reply.size)
        send_piece(worker, LP_MESSAGE_REPLY, worker->reply.data, worker->reply.size);
    worker->reply.size = 0;
    for (size_t sent = 0; sent < size;) {
        size_t piece = size - sent < REPLY_PIECE_BYTES ? size - sent : REPLY_PIECE_BYTES;
        send_piece(worker, LP_MESSAGE_REPLY, data + sent, piece);
        sent += piece;
    }
}

/* What fills a ring goes there at once: then the host copies at the same time, and nothing is kept here. */
int libpool_reply(libpool_worker *worker, const void *data, size_t data_size)
{
    if (worker->task_id == 0)
        return -EINVAL; /* the initializer and the finalizer have nobody to reply to */
    if (data_size > worker->kit->result_bytes - worker->replied_bytes)
        return -EMSGSIZE;
    int error = 0;
    if (worker->reply.size + data_size >= LP_CHANNEL_RING_BYTES && !is_child_of_worker(worker))
        stream_reply(worker, data, data_size);
    else
        error = keep_reply(worker, data, data_size);
    if (!error)
        worker->replied_bytes += data_size;
    return error;
}

/* ---- for worker_call.c ---- */

struct lp_calling *lp_worker_calling(libpool_worker *worker)
{
    return &worker->calling;
}

int lp_worker_may_call(const libpool_worker *worker)
{
    if (worker->task_id == 0)
        return -EINVAL;
    return is_child_of_worker(worker) ? -ECHILD : 0;
}

void lp_worker_send(libpool_worker *worker, const struct lp_message *message)
{
    send_header(worker, message);
}

void lp_worker_send_bytes(libpool_worker *worker, const void *data, size_t size, bool last)
{
    send_bytes(worker, data, size, last);
}

void lp_worker_ring(libpool_worker *worker)
{
    lp_channel_ring(&worker->channel);
    worker->quiet_ns = 0; /* what it had not announced is now */
}

bool lp_worker_receive(libpool_worker *worker, struct lp_message *message, int timeout_ms)
{
    int got;
    while ((got = lp_channel_receive(&worker->channel, message)) == 0)
        if (!await_data(worker, timeout_ms))
            return false;
    if (got < 0)
        give_up(worker);
    return true;
}

_Noreturn void lp_worker_give_up(libpool_worker *worker)
{
    give_up(worker);
}

static bool holds_much(const libpool_worker *worker)
{
    return worker->input.capacity >= LP_BUFFER_MAPPED_BYTES ||
           worker->reply.capacity >= LP_BUFFER_MAPPED_BYTES;
}

static void give_memory_back(libpool_worker *worker)
{
    lp_buffer_free(&worker->input);
    lp_buffer_free(&worker->reply);
}

static void receive_message(libpool_worker *worker, struct lp_message *message)
{
    int got;
    while ((got = lp_channel_receive(&worker->channel, message)) == 0)
        if (!await_data(worker, holds_much(worker) ? IDLE_MS : -1))
            give_memory_back(worker);
    if (got < 0)
        give_up(worker);
}

/* Into `to`, or nowhere when there was no memory for it. `last`: with it the payload ends. */
static void receive_bytes(libpool_worker *worker, unsigned char *to, size_t size, bool last)
{
    unsigned char scratch[4096];
    while (size) {
        size_t want = to || size < sizeof scratch ? size : sizeof scratch;
        int64_t n = lp_channel_read(&worker->channel, to ? to : scratch, want,
                                    last && want == size);
        if (n < 0)
            give_up(worker);
        lp_channel_ring(&worker->channel);
        if (n == 0)
            (void)await_data(worker, -1);
        to = to ? to + n : NULL;
        size -= (size_t)n;
    }
}

void lp_worker_receive_bytes(libpool_worker *worker, void *to, size_t size, bool last)
{
    receive_bytes(worker, to, size, last);
}

/* ---- tasks ---------------------------------------------------------------------------------- */

/* By its name in the host: a descriptor can be passed without a socket for each worker. */
static int map_input(libpool_worker *worker, const struct lp_message *message)
{
    int fd = lp_file_reopen(worker->kit->files_of, message->mapped_fd,
                            message->writable ? O_RDWR : O_RDONLY);
    if (fd < 0)
        return fd;
    int error = lp_sys.map_file(fd, message->mapped_size, (int)message->writable, &worker->mapped);
    (void)lp_sys.close(fd);
    worker->mapped_size = error ? 0 : message->mapped_size;
    return error;
}

static void unmap_input(libpool_worker *worker)
{
    if (worker->mapped_size)
        (void)lp_sys.unmap(worker->mapped, worker->mapped_size);
    worker->mapped_size = 0;
}

/* User code that forks may come back twice. The child is not the worker, whose window it shares. */
static int leave_if_child(const libpool_worker *worker, int code)
{
    if (is_child_of_worker(worker))
        _exit(code);
    return code;
}

static int call(libpool_worker *worker, libpool_task_function *function)
{
    if (worker->mapped_size)
        return function(worker, worker->mapped, worker->mapped_size);
    return function(worker, worker->input.data, worker->input.size);
}

static int receive_input(libpool_worker *worker, const struct lp_message *message)
{
    size_t size = message->size - message->name_size;
    worker->input.size = size;
    if (size == 0)
        return 0;
    int error = lp_buffer_reserve(&worker->input, size);
    receive_bytes(worker, error ? NULL : worker->input.data, size, true);
    return error;
}

static int receive_name(libpool_worker *worker, const struct lp_message *message)
{
    size_t size = message->name_size;
    if (size > LP_LOAD_NAME_BYTES || size > message->size)
        give_up(worker);
    int error = lp_buffer_reserve(&worker->name, size);
    worker->name.size = size;
    receive_bytes(worker, error ? NULL : worker->name.data, size, size == message->size);
    return error;
}

/* A function that was loaded after the zygote was forked isn't there: an error, not a crash. */
static bool is_mapped(libpool_worker *worker, uint64_t function)
{
    if (function == worker->checked_function)
        return true;
    if (!lp_maps_is_executable((uintptr_t)function))
        return false;
    worker->checked_function = function;
    return true;
}

/* False: something may be left, and ends with the worker. */
static bool kill_leftovers(libpool_worker *worker)
{
    if (is_thread(worker) || !lp_tree_has_children())
        return true;                               /* a thread's children are the application's */
    (void)lp_sys.prctl(PR_SET_CHILD_SUBREAPER, 1); /* a task that forks may have cleared it */
    return lp_tree_kill_children(worker->keeps, worker->n_keeps, LEFTOVERS_MS) == 0;
}

/* Answers that were not announced wait for the next ones, unless those may take long. */
static void announce(libpool_worker *worker, uint64_t now_ns)
{
    if (!worker->quiet_ns || (worker->run_ns <= TINY_NS && now_ns - worker->quiet_ns <= BELL_NS))
        return;
    lp_channel_settle_bell(&worker->channel);
    worker->quiet_ns = 0;
}

static uint64_t ns_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_usec * 1000u;
}

static void read_usage(libpool_worker *worker)
{
    struct rusage self, children = {.ru_nsignals = 0};
    worker->unread_ns = 0;
    if (lp_sys.getrusage(is_thread(worker) ? RUSAGE_THREAD : RUSAGE_SELF, &self))
        return; /* a filter may forbid it */
    if (!is_thread(worker) && lp_sys.getrusage(RUSAGE_CHILDREN, &children))
        return;
    worker->usage.user_ns = ns_of(&self.ru_utime) + ns_of(&children.ru_utime);
    worker->usage.system_ns = ns_of(&self.ru_stime) + ns_of(&children.ru_stime);
    worker->usage.max_rss_kib = (uint32_t)self.ru_maxrss;
    lp_window_set_usage(worker->channel.window, worker->usage.user_ns, worker->usage.system_ns);
}

/* To ask after each short task would cost more than it: they only count until the next look. */
static void measure(libpool_worker *worker, struct lp_message *result)
{
    if (worker->run_ns < USAGE_NS) {
        worker->unread_ns += worker->run_ns + SHORT_NS;
        return;
    }
    struct usage before = worker->usage;
    read_usage(worker);
    result->user_ns = worker->usage.user_ns - before.user_ns;
    result->system_ns = worker->usage.system_ns - before.system_ns;
    result->max_rss_kib = worker->usage.max_rss_kib;
}

/* Where the output of this task begins. */
static void mark_tail(libpool_worker *worker, uint64_t task_id)
{
    struct stat file;
    bool is_ours = lp_sys.fstat(worker->tail_stream, &file) == 0 &&
                   file.st_dev == worker->tail_device && file.st_ino == worker->tail_inode;
    lp_tail_mark(lp_window_tail(worker->channel.window), worker->tasks_marked++, task_id,
                 is_ours ? (uint64_t)file.st_size : LP_TAIL_NONE);
}

/* The mark is the last thing before user code: it tells what may have run, and since when. */
static void begin(libpool_worker *worker, const struct lp_message *message,
                  struct lp_message *result)
{
    bool follows = worker->last_ns &&
                   worker->run_ns < FORK_NS; /* else there was more to clear up */
    result->started_ns = follows ? worker->last_ns : lp_supervisor_now();
    announce(worker, result->started_ns);
    if (worker->tail_stream)
        mark_tail(worker, message->task_id);
    lp_channel_mark_started(&worker->channel, message->task_id, result->started_ns);
}

/*
 * The object's constructors are the application's code, and this task's: should they not come back, it
 * has been started. When there is no such function it has not.
 */
static int load(libpool_worker *worker, const struct lp_message *message, struct lp_message *result,
                libpool_task_function **function)
{
    const char *name = (const char *)worker->name.data;
    int error = 0;
    begin(worker, message, result);
    *function = (libpool_task_function *)lp_load_find(&worker->load, name, worker->name.size,
                                                      &error);
    (void)leave_if_child(worker, error);
    if (*function)
        return 0;
    result->started_ns = 0;
    result->leaves = kill_leftovers(worker) ? LP_LEAVES_NOT : LP_LEAVES_REST;
    (void)libpool_reply(worker, worker->load.why, strlen(worker->load.why));
    return error;
}

static int find(libpool_worker *worker, const struct lp_message *message, struct lp_message *result,
                libpool_task_function **function)
{
    *function = (libpool_task_function *)(uintptr_t)message->function;
    if (!message->name_size)
        return is_mapped(worker, message->function) ? 0 : -EFAULT;
    *function = (libpool_task_function *)lp_load_recall(
        &worker->load, (const char *)worker->name.data, worker->name.size);
    return *function ? 0 : load(worker, message, result, function);
}

/* All that is the task's: its object's constructors, too. */
static int enter(libpool_worker *worker, const struct lp_message *message,
                 struct lp_message *result)
{
    libpool_task_function *function;
    int error = find(worker, message, result, &function);
    if (error)
        return error;
    if (!result->started_ns)
        begin(worker, message, result);
    int code = leave_if_child(worker, call(worker, function));
    result->ended_ns = lp_supervisor_now();
    worker->run_ns = result->ended_ns - result->started_ns;
    measure(worker, result);
    return code;
}

/* What came too late for the task must not reach the next one. */
static void close_door(libpool_worker *worker, const struct lp_message *message)
{
    sigset_t soft, before;
    (void)sigemptyset(&soft);
    (void)sigaddset(&soft, message->soft_signal);
    (void)lp_sys.signal_mask(SIG_BLOCK, &soft, &before);
    if (lp_channel_close_door(&worker->channel, message->task_id))
        while (lp_sys.signal_take(&soft) > 0)
            continue;
    (void)lp_sys.signal_mask(SIG_SETMASK, &before, NULL);
}

/* What was asked to end before it began is not begun. */
static int run(libpool_worker *worker, const struct lp_message *message, struct lp_message *result)
{
    if (message->soft_signal)
        lp_channel_open_door(&worker->channel, message->task_id);
    bool asked = lp_channel_is_asked(&worker->channel, message->task_id);
    int code = asked ? -ECANCELED : enter(worker, message, result);
    if (message->soft_signal)
        close_door(worker, message);
    return code;
}

/* While more is to do at once, the host learns of it soon enough with the answers to come. */
static void ring_for_answer(libpool_worker *worker, uint64_t now_ns)
{
    if (!lp_channel_has_more(&worker->channel)) {
        lp_channel_ring_unless_watched(&worker->channel);
        worker->quiet_ns = worker->last_ns = 0;
        return;
    }
    worker->last_ns = now_ns;
    if (!worker->quiet_ns)
        worker->quiet_ns = now_ns ? now_ns : 1;
    lp_channel_owe_bell(&worker->channel);
}

/* What is left behind, and what it costs to go on like this. */
static void look_back(libpool_worker *worker, struct lp_message *result)
{
    uint64_t own_bytes = worker->input.capacity + worker->reply.capacity;
    if (worker->run_ns >= FORK_NS && !kill_leftovers(worker))
        result->leaves = LP_LEAVES_REST;
    if (worker->growth.place && lp_growth_was_cut(&worker->growth, worker->run_ns))
        (void)lp_sys.kill(getpid(), SIGKILL);
    if (lp_growth_is_due(&worker->growth, worker->run_ns, result->ended_ns) &&
        lp_growth_look(&worker->growth, own_bytes, result->ended_ns))
        result->leaves = LP_LEAVES_OUTGROWN;
}

/* A process ends by _exit: what a task printed must not wait for it. */
static void flush_output(const libpool_worker *worker)
{
    if (!is_thread(worker) && __fpending(stdout))
        (void)fflush(stdout);
}

static void answer(libpool_worker *worker, struct lp_message *result)
{
    result->size = worker->reply.size;
    flush_output(worker);
    if (result->started_ns)
        look_back(worker, result);
    send_header(worker, result);
    send_bytes(worker, worker->reply.data, worker->reply.size, true);
    ring_for_answer(worker, result->ended_ns);
}

static void serve_task(libpool_worker *worker, const struct lp_message *message)
{
    struct lp_message result = {.kind = LP_MESSAGE_RESULT, .task_id = message->task_id};
    int error = message->name_size ? receive_name(worker, message) : 0;
    result.code = receive_input(worker, message);
    result.code = error ? error : result.code;
    if (!lp_channel_claim(&worker->channel, message)) {
        worker->last_ns = 0;
        return; /* it was taken back */
    }
    worker->task_id = message->task_id;
    if (!result.code && message->mapped_size)
        result.code = map_input(worker, message);
    if (!result.code)
        result.code = run(worker, message, &result);
    unmap_input(worker);
    answer(worker, &result);
    worker->reply.size = 0;
    worker->replied_bytes = 0;
    worker->task_id = 0;
    if (worker->calling.n)
        lp_calling_forget(&worker->calling);
    if (worker->unread_ns >= USAGE_NS) /* so that the next long one does not answer for them */
        read_usage(worker);
}

/* ---- life ----------------------------------------------------------------------------------- */

static _Noreturn void leave(libpool_worker *worker, int code)
{
    flush_output(worker);
    worker->n_keeps = 0;
    (void)kill_leftovers(worker);
    end(worker, code);
}

static _Noreturn void retire(libpool_worker *worker)
{
    if (worker->finalizer) {
        say(worker, LP_MESSAGE_FINAL_STARTED, 0);
        worker->finalizer(worker, worker->kit->finalizer_arg);
        (void)leave_if_child(worker, EXIT_SUCCESS);
        say(worker, LP_MESSAGE_FINALIZED, 0);
    }
    leave(worker, EXIT_SUCCESS);
}

static void *find_own(libpool_worker *worker, const char *symbol, int *error)
{
    char name[LP_LOAD_NAME_BYTES];
    size_t size = lp_load_name_size(worker->kit->object, symbol); /* checked by the host */
    lp_load_write_name(name, worker->kit->object, symbol);
    return lp_load_find(&worker->load, name, size, error);
}

/* Both are looked for at once: a finalizer that isn't there is told in time. */
static int call_initializer(libpool_worker *worker)
{
    const struct lp_worker_kit *kit = worker->kit;
    libpool_initializer *initializer = kit->initializer;
    int error = 0;
    worker->finalizer = kit->finalizer;
    if (kit->finalizer_symbol)
        worker->finalizer = (libpool_finalizer *)find_own(worker, kit->finalizer_symbol, &error);
    if (kit->initializer_symbol && !error)
        initializer = (libpool_initializer *)find_own(worker, kit->initializer_symbol, &error);
    if (error)
        return error;
    return initializer ? initializer(worker, kit->initializer_arg) : 0;
}

/* Lines, not blocks: what was printed when it died is to be seen. */
static int keep_stream(libpool_worker *worker, const struct lp_outfit *outfit, int fd, int stream)
{
    if (!lp_outfit_keeps_tail_of(outfit, stream))
        return 0;
    worker->tail_stream = stream;
    if (stream == STDOUT_FILENO)
        (void)setvbuf(stdout, NULL, _IOLBF, 0);
    int done = lp_sys.dup_to(fd, stream, 0);
    return done < 0 ? done : 0;
}

/* Before the rest of the outfit: limits may forbid it. */
static int keep_tail(libpool_worker *worker, const struct lp_outfit *outfit)
{
    struct stat file = {0};
    if (!lp_outfit_keeps_tail(outfit))
        return 0;
    lp_fd_auto int fd = lp_tail_reopen(lp_window_tail(worker->channel.window),
                                       worker->kit->files_of);
    int error = fd < 0 ? fd : lp_sys.fstat(fd, &file);
    worker->tail_device = file.st_dev;
    worker->tail_inode = file.st_ino;
    if (!error)
        error = keep_stream(worker, outfit, fd, STDOUT_FILENO);
    return error ? error : keep_stream(worker, outfit, fd, STDERR_FILENO);
}

static int dress(libpool_worker *worker)
{
    const struct lp_worker_kit *kit = worker->kit;
    struct lp_outfit *outfit = kit->outfit;
    int untraced = kit->traces
                       ? lp_trace_install(lp_window_trace(worker->channel.window), &worker->task_id)
                       : 0;
    if (untraced)
        return untraced;
    int error = 0;
    if (kit->wardrobe)
        error = lp_wardrobe_take(kit->wardrobe, worker->slot, kit->outfit, &outfit);
    if (error)
        return error - LIBPOOL_STEP_ENVIRONMENT;
    error = keep_tail(worker, outfit);
    return error ? error - LIBPOOL_STEP_STDIO : lp_outfit_wear(outfit, worker->number);
}

static void initialise(libpool_worker *worker)
{
    int code = dress(worker);
    if (!code)
        code = leave_if_child(worker, call_initializer(worker));
    if (code) {
        say(worker, LP_MESSAGE_INIT_FAILED, code);
        leave(worker, EXIT_FAILURE);
    }
    say(worker, LP_MESSAGE_READY, 0); /* what follows is done while the host hears of it */
    int kept = 0;
    if (!is_thread(worker) && lp_tree_has_children())
        kept = lp_tree_children(worker->keeps, KEEPS);
    worker->n_keeps = kept > 0 ? (size_t)kept : 0;
    read_usage(worker);
    lp_growth_begin(&worker->growth, &worker->kit->sizes, worker->kit->place, worker->slot);
}

static void serve(libpool_worker *worker)
{
    struct lp_message message;
    receive_message(worker, &message);
    switch ((enum lp_message_kind)message.kind) {
    case LP_MESSAGE_START: /* known to the host from now on: its zygote may die before it */
        if (!is_thread(worker))
            (void)lp_sys.prctl(PR_SET_PDEATHSIG, 0);
        return;
    case LP_MESSAGE_TASK: serve_task(worker, &message); return;
    case LP_MESSAGE_RETIRE: retire(worker);
    case LP_MESSAGE_READY:
    case LP_MESSAGE_INIT_FAILED:
    case LP_MESSAGE_REPLY:
    case LP_MESSAGE_RESULT:
    case LP_MESSAGE_PART:
    case LP_MESSAGE_FINAL_STARTED:
    case LP_MESSAGE_FINALIZED:
    case LP_MESSAGE_CALL:
    case LP_MESSAGE_GO:
    case LP_MESSAGE_SUBTASK:
    case LP_MESSAGE_HANG_UP:
    case LP_MESSAGE_SUBRESULT:
    case LP_MESSAGE_CALLED:
    case LP_MESSAGE_N: give_up(worker);
    }
}

static void leave_at_exit(int code, void *unused)
{
    (void)unused;
    (void)fflush(stdout);
    _exit(code);
}

/* quick_exit() as well; its handlers are not told the code. */
static void leave_at_quick_exit(void)
{
    leave_at_exit(EXIT_FAILURE, NULL);
}

/* Called first, being last. A libc that has no on_exit (musl) tells no handler the code. */
static void guard_exits(void)
{
#ifdef __GLIBC__
    (void)on_exit(leave_at_exit, NULL);
#else
    (void)atexit(leave_at_quick_exit);
#endif
    (void)at_quick_exit(leave_at_quick_exit);
}

void lp_worker_prepare(void)
{
    __fpurge(stdout);
    __fpurge(stderr);
    guard_exits();
}

void lp_worker_prepare_traced(void)
{
    lp_worker_prepare();
    lp_trace_preload();
}

/* Only its own window stays mapped: a worker can't write into another's. */
static struct lp_window *keep_own_window(const struct lp_worker_kit *kit, uint32_t slot)
{
    size_t bytes = kit->window_bytes;
    char *own = kit->windows + slot * bytes;
    char *end = kit->windows + kit->slots * bytes;
    if (own > kit->windows)
        (void)lp_sys.unmap(kit->windows, (size_t)(own - kit->windows));
    if (own + bytes < end)
        (void)lp_sys.unmap(own + bytes, (size_t)(end - own) - bytes);
    return (void *)own;
}

_Noreturn void lp_worker_process(const struct lp_worker_kit *kit, uint32_t slot, uint32_t number,
                                 uint32_t generation)
{
    libpool_worker worker = {.kit = kit,
                             .alive = kit->alive,
                             .alive_here = LP_ALIVE_IN_WORKER,
                             .slot = slot,
                             .number = number,
                             .generation = generation};
    *kit->alive = LP_ALIVE_IN_WORKER;
    lp_channel_init_worker(&worker.channel, keep_own_window(kit, slot), DOORBELL_FD);
    lp_omen_hold(lp_window_omen(worker.channel.window));
    initialise(&worker);
    for (;;)
        serve(&worker);
}

/* Jumped back to when it is over; what was changed since the jump was set is in the worker, not here. */
static void run_until_it_leaves(libpool_worker *worker)
{
    jmp_buf way_out;
    worker->way_out = &way_out;
    if (setjmp(way_out))
        return;
    initialise(worker);
    for (;;)
        serve(worker);
}

static void free_worker(void *arg)
{
    libpool_worker *worker = arg;
    give_memory_back(worker);
    lp_buffer_free(&worker->name);
    lp_load_forget(&worker->load);
    lp_calling_forget(&worker->calling);
}

int lp_worker_thread(const struct lp_worker_kit *kit, int doorbell_fd, uint32_t slot,
                     uint32_t number, uint32_t generation)
{
    libpool_worker worker = {.kit = kit,
                             .alive = kit->alive,
                             .alive_here = LP_ALIVE,
                             .slot = slot,
                             .number = number,
                             .generation = generation};
    char *window = kit->windows + slot * lp_channel_window_bytes();
    lp_channel_init_worker(&worker.channel, (void *)window, doorbell_fd);
    pthread_cleanup_push(free_worker, &worker); /* a task may call pthread_exit() */
    run_until_it_leaves(&worker);
    pthread_cleanup_pop(1);
    return worker.exit_code;
}
