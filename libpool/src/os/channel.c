/* SPDX-License-Identifier: MIT */
/*
 * The window, and how the two sides stay out of each other's way.
 *
 *     page 0      the two rings' indices, each on a cache line of its own; who sleeps; what runs;
 *                 what it was asked, and what it reports
 *     256 KiB     requests, host to worker
 *     256 KiB     replies, worker to host
 *
 * An index counts bytes since the beginning and never wraps (64 bits); a ring's size is a power of
 * two. Each side keeps its own indices in private memory and only publishes them; the other's are
 * cached, and looked at again when the cache says "not enough". Headers start at multiples of 64
 * and payloads are padded to them, so a header is never torn by the ring's end.
 *
 * A sleeper swaps what it waits for into a word, then looks once more. Who has published touches
 * the same word with a read-modify-write, so one of the two always sees the other. The bell is
 * rung only when what the sleeper waits for is there; room counts from a quarter of the ring on,
 * lest a stream become a ping-pong of single lines.
 *
 * The host trusts nothing: an index of the worker is read once, and must neither go back nor leave
 * the ring; a header is copied to private memory before it is looked at.
 */
#include "os/channel.h"

#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES ((uint64_t)LP_CHANNEL_RING_BYTES)
#define ROOM_BYTES (RING_BYTES / 4)
#define STEP_BYTES (RING_BYTES / 4) /* at most at once, so that both sides copy at the same time */
#define LINE_BYTES ((uint64_t)64)
#define SPIN_LONGEST_NS 50000u
#define SPIN_FIRST_NS 10000u
#define SPIN_SHORTEST_NS 2000u
#define YIELDS_FOR_WATCHER 2
#define PAUSES 16
#define STARTED_LOOKS 8
#define DOOR_CLAIMED UINT64_MAX

_Static_assert(sizeof(struct lp_message) == LINE_BYTES, "a header is one line");
_Static_assert((RING_BYTES & (RING_BYTES - 1)) == 0, "a ring's size is a power of two");

enum {
    WAITS_FOR_DATA = 1,
    WAITS_FOR_ROOM = 2
};

struct ring {
    alignas(64) _Atomic uint64_t head; /* bytes ever published; the producer's */
    alignas(64) _Atomic uint64_t tail; /* bytes ever consumed; the consumer's */
};

struct lp_window {
    struct ring requests, replies;
    alignas(64) _Atomic uint32_t worker_waits; /* a futex */
    alignas(64) _Atomic uint32_t host_waits;
    _Atomic uint32_t host_watches;
    alignas(64) _Atomic uint64_t gate; /* epoch << 32 | claimed */
    _Atomic uint64_t started_task;
    _Atomic uint64_t started_ns;
    _Atomic uint64_t asked; /* the task that was asked to end */
    _Atomic uint64_t door;  /* the task that may be sent its signal; 0: none; DOOR_CLAIMED */
    _Atomic uint32_t sent;  /* a futex: signals, so far */
    _Atomic uint64_t user_ns, system_ns; /* CPU time that was used before the task */
    alignas(64) struct lp_board board;
    alignas(64) struct lp_omen omen;
    alignas(4096) uint8_t request_bytes[RING_BYTES];
    uint8_t reply_bytes[RING_BYTES];
    struct lp_tail tail;
    struct lp_trace trace;
};

size_t lp_channel_window_bytes(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (sizeof(struct lp_window) + page - 1) / page * page;
}

static void init(struct lp_channel *channel, struct lp_window *window, int doorbell_fd, bool host)
{
    *channel = (struct lp_channel){
        .window = window, .doorbell_fd = doorbell_fd, .is_host = host, .spin_ns = SPIN_FIRST_NS};
}

static void wipe_ring(struct ring *ring)
{
    atomic_store_explicit(&ring->head, 0, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, 0, memory_order_relaxed);
}

/* Word by word: a thread of the host may be looking (lp_window_has_reply). */
static void wipe(struct lp_window *window)
{
    wipe_ring(&window->requests);
    wipe_ring(&window->replies);
    atomic_store_explicit(&window->worker_waits, 0, memory_order_relaxed);
    atomic_store_explicit(&window->host_waits, 0, memory_order_relaxed);
    atomic_store_explicit(&window->host_watches, 0, memory_order_relaxed);
    atomic_store_explicit(&window->gate, 0, memory_order_relaxed);
    atomic_store_explicit(&window->started_task, 0, memory_order_relaxed);
    atomic_store_explicit(&window->started_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&window->asked, 0, memory_order_relaxed);
    atomic_store_explicit(&window->door, 0, memory_order_relaxed);
    atomic_store_explicit(&window->sent, 0, memory_order_relaxed);
    lp_window_set_usage(window, 0, 0);
    lp_board_wipe(&window->board);
    lp_omen_wipe(&window->omen);
}

void lp_channel_init_host(struct lp_channel *channel, struct lp_window *window, int doorbell_fd)
{
    wipe(window);
    init(channel, window, doorbell_fd, true);
}

void lp_channel_init_worker(struct lp_channel *channel, struct lp_window *window, int doorbell_fd)
{
    init(channel, window, doorbell_fd, false);
    struct stat bell = {0};
    (void)lp_sys.fstat(doorbell_fd, &bell);
    channel->bell_device = bell.st_dev;
    channel->bell_inode = bell.st_ino;
}

/* ---- The two rings, seen from one side --------------------------------------------------- */

static struct ring *ring_out(const struct lp_channel *channel)
{
    return channel->is_host ? &channel->window->requests : &channel->window->replies;
}

static struct ring *ring_in(const struct lp_channel *channel)
{
    return channel->is_host ? &channel->window->replies : &channel->window->requests;
}

/* Of a header, which never spans the ring's end. */
static void *next_line(const struct lp_channel *channel)
{
    uint8_t *ring = channel->is_host ? channel->window->request_bytes
                                     : channel->window->reply_bytes;
    return ring + (channel->head & (RING_BYTES - LINE_BYTES));
}

static void get_line(const struct lp_channel *channel, struct lp_message *message)
{
    const uint8_t *ring = channel->is_host ? channel->window->reply_bytes
                                           : channel->window->request_bytes;
    memcpy(message, ring + (channel->tail & (RING_BYTES - LINE_BYTES)), LINE_BYTES);
}

static void copy_out(const struct lp_channel *channel, const void *data, size_t size)
{
    uint8_t *ring = channel->is_host ? channel->window->request_bytes
                                     : channel->window->reply_bytes;
    size_t at = channel->head & (RING_BYTES - 1);
    size_t first = size < RING_BYTES - at ? size : RING_BYTES - at;
    memcpy(ring + at, data, first);
    memcpy(ring, (const uint8_t *)data + first, size - first);
}

static void copy_in(const struct lp_channel *channel, void *data, size_t size)
{
    const uint8_t *ring = channel->is_host ? channel->window->reply_bytes
                                           : channel->window->request_bytes;
    size_t at = channel->tail & (RING_BYTES - 1);
    size_t first = size < RING_BYTES - at ? size : RING_BYTES - at;
    memcpy(data, ring + at, first);
    memcpy((uint8_t *)data + first, ring, size - first);
}

/* Up to the next line. */
static uint64_t padding(uint64_t index)
{
    return -index & (LINE_BYTES - 1);
}

/* Bytes that may be written, at least `wanted` if there are; -EPROTO. */
static int64_t room(struct lp_channel *channel, uint64_t wanted)
{
    uint64_t used = channel->head - channel->peer_tail;
    if (RING_BYTES - used < wanted) {
        uint64_t tail = atomic_load_explicit(&ring_out(channel)->tail, memory_order_acquire);
        if (channel->head - tail > used)
            return -EPROTO;
        channel->peer_tail = tail;
        used = channel->head - tail;
    }
    return (int64_t)(RING_BYTES - used);
}

/* Bytes that may be read, at least `wanted` if there are; -EPROTO. */
static int64_t data_there(struct lp_channel *channel, uint64_t wanted)
{
    uint64_t there = channel->peer_head - channel->tail;
    if (there < wanted) {
        uint64_t head = atomic_load_explicit(&ring_in(channel)->head, memory_order_acquire);
        if (head - channel->tail > RING_BYTES || head - channel->tail < there)
            return -EPROTO;
        channel->peer_head = head;
        there = head - channel->tail;
    }
    return (int64_t)there;
}

static void publish_head(struct lp_channel *channel, uint64_t bytes)
{
    channel->head += bytes;
    if (!channel->holds)
        atomic_store_explicit(&ring_out(channel)->head, channel->head, memory_order_release);
}

static void publish_tail(struct lp_channel *channel, uint64_t bytes)
{
    channel->tail += bytes;
    atomic_store_explicit(&ring_in(channel)->tail, channel->tail, memory_order_release);
}

/* ---- Messages ---------------------------------------------------------------------------- */

int lp_channel_send(struct lp_channel *channel, const struct lp_message *message)
{
    int64_t free_bytes = room(channel, LINE_BYTES);
    if (free_bytes < (int64_t)LINE_BYTES)
        return free_bytes < 0 ? (int)free_bytes : 0;
    memcpy(next_line(channel), message, LINE_BYTES);
    publish_head(channel, LINE_BYTES);
    return 1;
}

struct lp_message *lp_channel_place(struct lp_channel *channel)
{
    return room(channel, LINE_BYTES) < (int64_t)LINE_BYTES ? NULL : next_line(channel);
}

void lp_channel_send_placed(struct lp_channel *channel)
{
    publish_head(channel, LINE_BYTES);
}

int64_t lp_channel_write(struct lp_channel *channel, const void *data, size_t size, bool last)
{
    int64_t free_bytes = room(channel, size < RING_BYTES ? size + LINE_BYTES : RING_BYTES);
    if (free_bytes < 0)
        return free_bytes;
    uint64_t taken = size < (uint64_t)free_bytes ? size : (uint64_t)free_bytes;
    taken = taken < STEP_BYTES ? taken : STEP_BYTES;
    uint64_t pad = last && taken == size ? padding(channel->head + taken) : 0;
    if (taken + pad > (uint64_t)free_bytes) { /* the last byte waits for room for the padding */
        taken -= taken > 0;
        pad = 0;
    }
    copy_out(channel, data, taken);
    publish_head(channel, taken + pad);
    return (int64_t)taken;
}

static bool is_expected(const struct lp_channel *channel, uint32_t kind)
{
    const uint32_t to_worker = 1u << LP_MESSAGE_TASK | 1u << LP_MESSAGE_RETIRE |
                               1u << LP_MESSAGE_START | 1u << LP_MESSAGE_GO |
                               1u << LP_MESSAGE_SUBRESULT | 1u << LP_MESSAGE_CALLED;
    return kind > 0 && kind < LP_MESSAGE_N && (to_worker >> kind & 1) == !channel->is_host;
}

int lp_channel_receive(struct lp_channel *channel, struct lp_message *message)
{
    int64_t there = data_there(channel, LINE_BYTES);
    if (there <= 0)
        return (int)there;
    if (there < (int64_t)LINE_BYTES || padding(channel->tail) != 0)
        return -EPROTO;
    get_line(channel, message);
    /* From here on the private copy is used, not the shared memory it came from. */
    __asm__ volatile("" : : "r"(message) : "memory");
    if (!is_expected(channel, message->kind))
        return -EPROTO;
    publish_tail(channel, LINE_BYTES);
    return 1;
}

bool lp_channel_receive_short(struct lp_channel *channel, uint32_t kind, struct lp_message *message)
{
    if (data_there(channel, LINE_BYTES) < (int64_t)LINE_BYTES || padding(channel->tail) != 0)
        return false;
    get_line(channel, message);
    __asm__ volatile("" : : "r"(message) : "memory");
    if (message->kind != kind || message->size)
        return false; /* it is looked at again, or what is wrong is */
    publish_tail(channel, LINE_BYTES);
    return true;
}

int64_t lp_channel_read(struct lp_channel *channel, void *data, size_t size, bool last)
{
    int64_t there = data_there(channel, size < RING_BYTES ? size + LINE_BYTES : RING_BYTES);
    if (there < 0)
        return there;
    uint64_t given = size < (uint64_t)there ? size : (uint64_t)there;
    given = given < STEP_BYTES ? given : STEP_BYTES;
    uint64_t pad = last && given == size ? padding(channel->tail + given) : 0;
    if (given + pad > (uint64_t)there) /* the padding is published along with the last byte */
        return -EPROTO;
    copy_in(channel, data, given);
    publish_tail(channel, given + pad);
    return (int64_t)given;
}

/* ---- Sleeping and waking ----------------------------------------------------------------- */

/* Nonsense counts as ready, because the next call tells. */
static bool is_ready(struct lp_channel *channel, uint32_t wanted)
{
    if ((wanted & WAITS_FOR_DATA) != 0 && data_there(channel, 1) != 0)
        return true;
    if ((wanted & WAITS_FOR_ROOM) == 0)
        return false;
    int64_t free_bytes = room(channel, ROOM_BYTES);
    return free_bytes < 0 || free_bytes >= (int64_t)ROOM_BYTES;
}

/* What the other side has now, of what it may wait for. Its indices decide only about its wake-up. */
static uint32_t offered(const struct lp_channel *channel)
{
    uint64_t their_tail = atomic_load_explicit(&ring_out(channel)->tail, memory_order_relaxed);
    uint64_t their_head = atomic_load_explicit(&ring_in(channel)->head, memory_order_relaxed);
    bool has_data = their_tail != channel->head;
    bool has_room = their_head - channel->tail <= RING_BYTES - ROOM_BYTES;
    return (has_data ? WAITS_FOR_DATA : 0u) | (has_room ? WAITS_FOR_ROOM : 0u);
}

void lp_channel_hold(struct lp_channel *channel)
{
    channel->holds = true;
}

/* Closed, or another file by now. */
static bool has_lost_bell(const struct lp_channel *channel)
{
    struct stat bell;
    return lp_sys.fstat(channel->doorbell_fd, &bell) != 0 || bell.st_dev != channel->bell_device ||
           bell.st_ino != channel->bell_inode;
}

void lp_channel_ring(struct lp_channel *channel)
{
    if (channel->holds) {
        channel->holds = false;
        publish_head(channel, 0);
    }
    struct lp_window *window = channel->window;
    _Atomic uint32_t *waits = channel->is_host ? &window->worker_waits : &window->host_waits;
    uint32_t wanted = atomic_fetch_or_explicit(waits, 0, memory_order_acq_rel);
    if (wanted == 0 || (wanted & offered(channel)) == 0)
        return;
    if (atomic_exchange_explicit(waits, 0, memory_order_acq_rel) == 0)
        return;
    if (channel->is_host)
        (void)lp_sys.futex_wake(waits);
    else if (has_lost_bell(channel) || lp_sys.write(channel->doorbell_fd, &(uint64_t){1},
                                                    sizeof(uint64_t)) != sizeof(uint64_t))
        channel->mute = true; /* what has its number now may be the user's file */
}

void lp_window_watch(struct lp_window *window, int cpu)
{
    atomic_store_explicit(&window->host_watches, (uint32_t)(cpu + 1), memory_order_relaxed);
}

/* It can't look as long as we keep its processor, and yielding has not made it look. */
static bool keeps_watcher_out(const struct lp_channel *channel)
{
    return channel->bell_owed && lp_window_has_reply(channel->window) &&
           atomic_load_explicit(&channel->window->host_watches, memory_order_relaxed) ==
               (uint32_t)(sched_getcpu() + 1);
}

bool lp_window_has_reply(const struct lp_window *window)
{
    return atomic_load_explicit(&window->replies.head, memory_order_relaxed) !=
           atomic_load_explicit(&window->replies.tail, memory_order_relaxed);
}

void lp_channel_ring_unless_watched(struct lp_channel *channel)
{
    channel->bell_owed = true;
    if (!atomic_load_explicit(&channel->window->host_watches, memory_order_relaxed))
        lp_channel_settle_bell(channel);
}

void lp_channel_owe_bell(struct lp_channel *channel)
{
    channel->bell_owed = true;
}

void lp_channel_settle_bell(struct lp_channel *channel)
{
    if (channel->bell_owed && lp_window_has_reply(channel->window))
        lp_channel_ring(channel);
    channel->bell_owed = false;
}

bool lp_channel_arm(struct lp_channel *channel, bool want_room)
{
    uint32_t wanted = WAITS_FOR_DATA | (want_room ? WAITS_FOR_ROOM : 0u);
    _Atomic uint32_t *waits = &channel->window->host_waits;
    (void)atomic_exchange_explicit(waits, wanted, memory_order_acq_rel);
    if (!is_ready(channel, wanted))
        return false;
    atomic_store_explicit(waits, 0, memory_order_relaxed);
    return true;
}

void lp_channel_hush(struct lp_channel *channel)
{
    uint64_t count;
    (void)lp_sys.fcntl(channel->doorbell_fd, F_SETFL, O_NONBLOCK);
    (void)lp_sys.read(channel->doorbell_fd, &count, sizeof(count));
}

static uint64_t clock_ns(void)
{
    struct timespec now = {0};
    (void)lp_sys.clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void pause_briefly(void)
{
    for (int i = 0; i < PAUSES; i++)
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#else
        __asm__ volatile("" : : : "memory");
#endif
}

/*
 * True when it became ready. Yielding leaves a shared core to the peer; a yield that takes long
 * uses up the time at once, because then the core is wanted by others.
 */
static bool spin_until(struct lp_channel *channel, uint32_t wanted, uint64_t end_ns)
{
    int yields = 0;
    do {
        if (is_ready(channel, wanted))
            return true;
        pause_briefly();
        if (is_ready(channel, wanted))
            return true;
        if (yields++ >= YIELDS_FOR_WATCHER && keeps_watcher_out(channel))
            return false;
        (void)lp_sys.sched_yield();
    } while (clock_ns() < end_ns);
    return is_ready(channel, wanted);
}

/* Twice what a hit took, half of what was not enough: who has nothing to do soon sleeps at once. */
static bool spin(struct lp_channel *channel, uint32_t wanted)
{
    if (is_ready(channel, wanted))
        return true;
    uint64_t begun_ns = clock_ns();
    bool hit = spin_until(channel, wanted, begun_ns + channel->spin_ns);
    uint64_t next_ns = hit ? SPIN_FIRST_NS + 2 * (clock_ns() - begun_ns) : channel->spin_ns / 2;
    if (next_ns > SPIN_LONGEST_NS)
        next_ns = SPIN_LONGEST_NS;
    channel->spin_ns = next_ns > SPIN_SHORTEST_NS ? (uint32_t)next_ns : SPIN_SHORTEST_NS;
    return hit;
}

bool lp_channel_wait(struct lp_channel *channel, bool want_room, int timeout_ms)
{
    uint32_t wanted = want_room ? WAITS_FOR_ROOM : WAITS_FOR_DATA;
    _Atomic uint32_t *waits = &channel->window->worker_waits;
    bool ready = spin(channel, wanted);
    if (ready)
        return true;
    lp_channel_settle_bell(channel);
    channel->mute = channel->mute || has_lost_bell(channel);
    for (int error = 0; !ready && error != -ETIMEDOUT && !channel->mute;) {
        (void)atomic_exchange_explicit(waits, wanted, memory_order_acq_rel);
        ready = is_ready(channel, wanted);
        if (!ready)
            error = lp_sys.futex_wait(waits, wanted, timeout_ms);
    }
    atomic_store_explicit(waits, 0, memory_order_relaxed);
    return ready;
}

bool lp_channel_has_more(struct lp_channel *channel)
{
    return data_there(channel, 1) > 0;
}

/* ---- What runs --------------------------------------------------------------------------- */

bool lp_channel_claim(struct lp_channel *channel, const struct lp_message *message)
{
    _Atomic uint64_t *gate = &channel->window->gate;
    uint64_t before = atomic_load_explicit(gate, memory_order_relaxed);
    uint64_t after = (before & ~(uint64_t)UINT32_MAX) | (uint32_t)(before + 1);
    return before >> 32 == message->epoch &&
           atomic_compare_exchange_strong_explicit(gate, &before, after, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

int lp_channel_recall(struct lp_channel *channel, uint32_t *claimed)
{
    _Atomic uint64_t *gate = &channel->window->gate;
    uint64_t before = atomic_fetch_add_explicit(gate, UINT64_C(1) << 32, memory_order_acq_rel);
    *claimed = (uint32_t)before;
    return before >> 32 == channel->epoch++ ? 0 : -EPROTO;
}

uint32_t lp_channel_claimed(const struct lp_channel *channel)
{
    return (uint32_t)atomic_load_explicit(&channel->window->gate, memory_order_relaxed);
}

void lp_channel_mark_started(struct lp_channel *channel, uint64_t task_id, uint64_t now_ns)
{
    struct lp_window *window = channel->window;
    atomic_store_explicit(&window->started_task, 0, memory_order_relaxed);
    atomic_store_explicit(&window->started_ns, now_ns, memory_order_release);
    atomic_store_explicit(&window->started_task, task_id, memory_order_release);
}

/* A pair that changes while it is read is read again; a worker that never holds still says 0. */
void lp_channel_read_started(const struct lp_channel *channel, uint64_t *task_id,
                             uint64_t *since_ns)
{
    const struct lp_window *window = channel->window;
    for (int look = 0; look < STARTED_LOOKS; look++) {
        *task_id = atomic_load_explicit(&window->started_task, memory_order_acquire);
        *since_ns = atomic_load_explicit(&window->started_ns, memory_order_acquire);
        if (atomic_load_explicit(&window->started_task, memory_order_relaxed) == *task_id)
            return;
    }
    *task_id = 0;
    *since_ns = 0;
}

/* ---- What is asked, and told, while it runs ----------------------------------------------- */

void lp_channel_ask(struct lp_channel *channel, uint64_t task_id)
{
    atomic_store(&channel->window->asked, task_id);
}

bool lp_channel_claim_door(struct lp_channel *channel, uint64_t task_id)
{
    return atomic_compare_exchange_strong(&channel->window->door, &task_id, DOOR_CLAIMED);
}

void lp_channel_signal_sent(struct lp_channel *channel)
{
    struct lp_window *window = channel->window;
    atomic_store(&window->door, 0);
    atomic_fetch_add(&window->sent, 1);
    (void)lp_sys.futex_wake(&window->sent);
}

void lp_channel_open_door(struct lp_channel *channel, uint64_t task_id)
{
    atomic_store(&channel->window->door, task_id);
}

bool lp_channel_is_asked(const struct lp_channel *channel, uint64_t task_id)
{
    return atomic_load(&channel->window->asked) == task_id;
}

/* The count is read before the door: what was sent in between is not slept through. */
bool lp_channel_close_door(struct lp_channel *channel, uint64_t task_id)
{
    struct lp_window *window = channel->window;
    if (atomic_compare_exchange_strong(&window->door, &task_id, 0))
        return false;
    uint32_t sent = atomic_load(&window->sent);
    while (atomic_load(&window->door) == DOOR_CLAIMED) {
        (void)lp_sys.futex_wait(&window->sent, sent, -1);
        sent = atomic_load(&window->sent);
    }
    return true;
}

void lp_window_set_usage(struct lp_window *window, uint64_t user_ns, uint64_t system_ns)
{
    atomic_store_explicit(&window->user_ns, user_ns, memory_order_relaxed);
    atomic_store_explicit(&window->system_ns, system_ns, memory_order_relaxed);
}

void lp_window_usage(const struct lp_window *window, uint64_t *user_ns, uint64_t *system_ns)
{
    *user_ns = atomic_load_explicit(&window->user_ns, memory_order_relaxed);
    *system_ns = atomic_load_explicit(&window->system_ns, memory_order_relaxed);
}

struct lp_board *lp_window_board(struct lp_window *window)
{
    return &window->board;
}

struct lp_omen *lp_window_omen(struct lp_window *window)
{
    return &window->omen;
}

struct lp_tail *lp_window_tail(struct lp_window *window)
{
    return &window->tail;
}

struct lp_trace *lp_window_trace(struct lp_window *window)
{
    return &window->trace;
}
