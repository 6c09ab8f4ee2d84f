/* SPDX-License-Identifier: MIT */
/*
 * Streams between two processes, byte for byte; and a host that meets nonsense: every answer must
 * be one of those the header lists, within the memory it was given.
 */
#include "os/channel.h"

#include "harness/test.h"
#include "sys/sys.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD_MAX ((size_t)1024 * 1024)
#define WAIT_MS 10000

struct line {
    struct lp_channel host, worker;
    int doorbell_fd;
};

static struct line open_line(void)
{
    struct line line;
    struct lp_window *window = lp_sys.map_shared(lp_channel_window_bytes());
    line.doorbell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    lp_channel_init_host(&line.host, window, line.doorbell_fd);
    lp_channel_init_worker(&line.worker, window, line.doorbell_fd);
    return line;
}

static void close_line(struct line *line)
{
    munmap(line->host.window, lp_channel_window_bytes());
    close(line->doorbell_fd);
}

/* splitmix64: tests name their seed */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Small, page-like, large and the odd ones around the ring's size. */
static size_t draw_size(uint64_t *state)
{
    uint64_t kind = draw(state) % 8;
    if (kind < 3)
        return draw(state) % 200;
    if (kind < 5)
        return draw(state) % 70000;
    if (kind == 5)
        return 256 * 1024 - 64 + draw(state) % 128;
    return draw(state) % (PAYLOAD_MAX + 1);
}

/* ---- Two sides that block ---------------------------------------------------------------- */

static void host_sleeps(struct lp_channel *channel, bool want_room)
{
    if (lp_channel_arm(channel, want_room))
        return;
    struct pollfd doorbell = {.fd = channel->doorbell_fd, .events = POLLIN};
    if (poll(&doorbell, 1, WAIT_MS) != 1)
        _exit(40); /* a lost wake-up */
    lp_channel_hush(channel);
}

static void sleep_once(struct lp_channel *channel, bool want_room)
{
    if (channel->is_host)
        host_sleeps(channel, want_room);
    else
        (void)lp_channel_wait(channel, want_room, -1);
}

static void put(struct lp_channel *channel, const struct lp_message *message, const uint8_t *data)
{
    for (int sent; (sent = lp_channel_send(channel, message)) != 1;) {
        if (sent < 0)
            _exit(41);
        sleep_once(channel, true);
    }
    lp_channel_ring(channel);
    for (size_t done = 0; done < message->size;) {
        int64_t taken = lp_channel_write(channel, data + done, message->size - done, true);
        if (taken < 0)
            _exit(42);
        done += (size_t)taken;
        lp_channel_ring(channel);
        if (taken == 0)
            sleep_once(channel, true);
    }
}

static void get(struct lp_channel *channel, struct lp_message *message, uint8_t *data)
{
    for (int got; (got = lp_channel_receive(channel, message)) != 1;) {
        if (got < 0 || message->size > PAYLOAD_MAX)
            _exit(43);
        sleep_once(channel, false);
    }
    lp_channel_ring(channel);
    for (size_t done = 0; done < message->size;) {
        int64_t given = lp_channel_read(channel, data + done, message->size - done, true);
        if (given < 0)
            _exit(44);
        done += (size_t)given;
        lp_channel_ring(channel);
        if (given == 0)
            sleep_once(channel, false);
    }
}

static void fill(uint8_t *data, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)((seed + i) * 2654435761u >> 13);
}

/* ---- Streams ----------------------------------------------------------------------------- */

struct echo {
    struct line line;
    int rounds;
};

static int echo_worker(void *arg)
{
    struct echo *echo = arg;
    struct lp_channel *channel = &echo->line.worker;
    uint8_t *data = malloc(PAYLOAD_MAX);
    for (int i = 0; i < echo->rounds; i++) {
        struct lp_message message = {0};
        get(channel, &message, data);
        message.kind = LP_MESSAGE_RESULT;
        put(channel, &message, data);
    }
    free(data);
    return 0;
}

static int echo_host(struct lp_channel *channel, int rounds, uint64_t seed)
{
    uint8_t *sent = malloc(PAYLOAD_MAX), *got = malloc(PAYLOAD_MAX);
    int wrong = 0;
    for (int i = 0; i < rounds && wrong == 0; i++) {
        struct lp_message message = {.kind = LP_MESSAGE_TASK, .task_id = (uint64_t)i + 1};
        message.size = draw_size(&seed);
        fill(sent, message.size, message.task_id);
        put(channel, &message, sent);
        struct lp_message reply = {0};
        get(channel, &reply, got);
        wrong = reply.task_id != message.task_id || reply.size != message.size ||
                memcmp(sent, got, message.size) != 0;
    }
    free(sent);
    free(got);
    return wrong;
}

static int echo_both(void *arg)
{
    struct echo *echo = arg;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(echo_worker(echo));
    }
    int wrong = echo_host(&echo->line.host, echo->rounds, 1);
    int status = -1;
    waitpid(pid, &status, 0);
    return wrong != 0 || status != 0;
}

TEST(channel, echoes_any_size_byte_for_byte)
{
    struct echo echo = {.line = open_line(), .rounds = 400};
    CU_ASSERT_EQUAL(hn_test_child(echo_both, &echo, 25000), TEST_EXIT(0));
    close_line(&echo.line);
}

/* Both rings are full at once: the host reads and writes whatever is possible. */
static int flood_worker(struct lp_channel *channel, int count)
{
    uint8_t data[3000];
    for (int i = 0; i < count; i++) {
        struct lp_message message = {.kind = LP_MESSAGE_RESULT, .task_id = (uint64_t)i + 1};
        message.size = (uint64_t)i % sizeof(data);
        fill(data, message.size, message.task_id);
        put(channel, &message, data);
    }
    return 0;
}

static int flood_both(void *arg)
{
    struct echo *echo = arg;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(flood_worker(&echo->line.worker, echo->rounds));
    }
    uint8_t got[3000], wanted[3000];
    int wrong = 0;
    for (int i = 0; i < echo->rounds; i++) {
        struct lp_message message = {0};
        get(&echo->line.host, &message, got);
        fill(wanted, message.size, message.task_id);
        wrong |= message.task_id != (uint64_t)i + 1 || memcmp(got, wanted, message.size) != 0;
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return wrong != 0 || status != 0;
}

TEST(channel, stream_of_replies_keeps_its_order)
{
    struct echo echo = {.line = open_line(), .rounds = 20000};
    CU_ASSERT_EQUAL(hn_test_child(flood_both, &echo, 25000), TEST_EXIT(0));
    close_line(&echo.line);
}

/* ---- One side at a time ------------------------------------------------------------------ */

TEST(channel, says_no_room_and_no_data)
{
    struct line line = open_line();
    struct lp_message message = {.kind = LP_MESSAGE_TASK};
    CU_ASSERT_EQUAL(lp_channel_receive(&line.worker, &message), 0);
    int sent = 0;
    while (lp_channel_send(&line.host, &message) == 1)
        sent++;
    CU_ASSERT_EQUAL(sent, 256 * 1024 / 64);
    CU_ASSERT_EQUAL(lp_channel_send(&line.host, &message), 0);
    CU_ASSERT_EQUAL(lp_channel_receive(&line.worker, &message), 1);
    CU_ASSERT_EQUAL(lp_channel_send(&line.host, &message), 1);
    close_line(&line);
}

TEST(channel, doorbell_rings_once_and_only_for_a_sleeper)
{
    struct line line = open_line();
    struct lp_message message = {.kind = LP_MESSAGE_READY};
    struct pollfd doorbell = {.fd = line.doorbell_fd, .events = POLLIN};
    lp_channel_send(&line.worker, &message);
    lp_channel_ring(&line.worker);
    CU_ASSERT_EQUAL(poll(&doorbell, 1, 0), 0);
    CU_ASSERT(lp_channel_arm(&line.host, false));
    CU_ASSERT_EQUAL(lp_channel_receive(&line.host, &message), 1);
    CU_ASSERT_FALSE(lp_channel_arm(&line.host, false));
    for (int i = 0; i < 3; i++) {
        lp_channel_send(&line.worker, &message);
        lp_channel_ring(&line.worker);
    }
    uint64_t count = 0;
    CU_ASSERT_EQUAL(poll(&doorbell, 1, 0), 1);
    CU_ASSERT_EQUAL(read(line.doorbell_fd, &count, sizeof(count)), (ssize_t)sizeof(count));
    CU_ASSERT_EQUAL(count, 1);
    close_line(&line);
}

/* Piece by piece, until all is written or no more fits. */
static int64_t write_pieces(struct lp_channel *channel, const uint8_t *data, size_t size)
{
    size_t written = 0;
    int64_t n = 1;
    while (n > 0 && written < size) {
        n = lp_channel_write(channel, data + written, size - written, true);
        written += n > 0 ? (size_t)n : 0;
    }
    return n < 0 ? n : (int64_t)written;
}

static int64_t read_pieces(struct lp_channel *channel, uint8_t *data, size_t size, bool last)
{
    size_t got = 0;
    int64_t n = 1;
    while (n > 0 && got < size) {
        n = lp_channel_read(channel, data + got, size - got, last);
        got += n > 0 ? (size_t)n : 0;
    }
    return n < 0 ? n : (int64_t)got;
}

TEST(channel, no_more_than_a_quarter_of_the_ring_is_published_at_once)
{
    struct line line = open_line();
    static uint8_t data[LP_CHANNEL_RING_BYTES];
    int64_t quarter = LP_CHANNEL_RING_BYTES / 4;
    CU_ASSERT_EQUAL(lp_channel_write(&line.worker, data, sizeof data, true), quarter);
    CU_ASSERT_EQUAL(lp_channel_write(&line.worker, data, sizeof data, true), quarter);
    CU_ASSERT_EQUAL(lp_channel_read(&line.host, data, sizeof data, true), quarter);
    close_line(&line);
}

TEST(channel, last_byte_waits_for_room_for_its_padding)
{
    struct line line = open_line();
    static uint8_t data[256 * 1024];
    struct lp_message message = {.kind = LP_MESSAGE_RESULT, .size = sizeof(data) - 64 - 63};
    CU_ASSERT_EQUAL(lp_channel_send(&line.worker, &message), 1);
    int64_t size = (int64_t)message.size;
    CU_ASSERT_EQUAL(write_pieces(&line.worker, data, message.size), size);
    message.size = 10;
    CU_ASSERT_EQUAL(lp_channel_send(&line.worker, &message), 0);
    CU_ASSERT_EQUAL(lp_channel_receive(&line.host, &message), 1);
    CU_ASSERT_EQUAL(read_pieces(&line.host, data, message.size - 1, false), size - 1);
    /* 64 bytes of the old header and all but one line of its payload are free again */
    message = (struct lp_message){.kind = LP_MESSAGE_RESULT, .size = sizeof(data)};
    CU_ASSERT_EQUAL(lp_channel_send(&line.worker, &message), 1);
    int64_t taken = write_pieces(&line.worker, data, sizeof(data));
    CU_ASSERT_EQUAL(taken, (int64_t)(sizeof(data) - 64 - 64));
    CU_ASSERT_EQUAL(lp_channel_write(&line.worker, data, 1, true), 0);
    CU_ASSERT_EQUAL(lp_channel_read(&line.host, data, 1, true), 1);
    CU_ASSERT_EQUAL(lp_channel_receive(&line.host, &message), 1);
    CU_ASSERT_EQUAL(message.size, sizeof(data));
    close_line(&line);
}

TEST(channel, tells_what_was_started)
{
    struct line line = open_line();
    uint64_t task_id = 7, since_ns = 7;
    lp_channel_read_started(&line.host, &task_id, &since_ns);
    CU_ASSERT_EQUAL(task_id, 0);
    lp_channel_mark_started(&line.worker, 42, 4711);
    lp_channel_read_started(&line.host, &task_id, &since_ns);
    CU_ASSERT_EQUAL(task_id, 42);
    CU_ASSERT_EQUAL(since_ns, 4711);
    close_line(&line);
}

TEST(channel, a_message_may_be_written_where_it_is_sent)
{
    struct line line = open_line();
    struct lp_message message;
    uint64_t sent = 0, heard = 0;
    for (int round = 0; round < 3; round++) {
        struct lp_message *placed;
        while ((placed = lp_channel_place(&line.host))) {
            *placed = (struct lp_message){.kind = LP_MESSAGE_TASK, .task_id = ++sent};
            if (sent == 1)
                CU_ASSERT_EQUAL(lp_channel_receive(&line.worker, &message), 0); /* not yet */
            lp_channel_send_placed(&line.host);
        }
        while (lp_channel_receive(&line.worker, &message) == 1)
            heard += message.task_id == heard + 1;
        CU_ASSERT_EQUAL(sent, heard);
    }
    CU_ASSERT_EQUAL(sent, 3 * 256 * 1024 / 64);
    close_line(&line);
}

TEST(channel, only_a_short_message_of_its_kind_is_received_so)
{
    struct line line = open_line();
    const uint32_t kind = LP_MESSAGE_RESULT;
    struct lp_message message = {.kind = kind, .task_id = 7}, got;
    CU_ASSERT_FALSE(lp_channel_receive_short(&line.host, kind, &got));
    lp_channel_send(&line.worker, &message);
    CU_ASSERT_TRUE(lp_channel_receive_short(&line.host, kind, &got));
    CU_ASSERT_EQUAL(got.task_id, 7);
    CU_ASSERT_FALSE(lp_channel_receive_short(&line.host, kind, &got));
    message.size = 3;
    lp_channel_send(&line.worker, &message);
    lp_channel_write(&line.worker, "abc", 3, true);
    CU_ASSERT_FALSE(lp_channel_receive_short(&line.host, kind, &got));
    CU_ASSERT_EQUAL(lp_channel_receive(&line.host, &got), 1); /* it has stayed */
    uint8_t data[3];
    CU_ASSERT_EQUAL(lp_channel_read(&line.host, data, 3, true), 3);
    message = (struct lp_message){.kind = LP_MESSAGE_READY};
    lp_channel_send(&line.worker, &message);
    CU_ASSERT_FALSE(lp_channel_receive_short(&line.host, kind, &got));
    CU_ASSERT_EQUAL(lp_channel_receive(&line.host, &got), 1);
    close_line(&line);
}

/* ---- A hostile window -------------------------------------------------------------------- */

#define GUARD 64

/* Where the worker's word on its replies stands: found by looking which word a send changes. */
static _Atomic uint64_t *find_reply_head(struct line *line)
{
    uint64_t *words = (uint64_t *)(void *)line->host.window;
    struct lp_message message = {.kind = LP_MESSAGE_READY, .system_ns = 1};
    for (int i = 0; i < 3; i++)
        lp_channel_send(&line->worker, &message);
    size_t at = 0;
    while (words[at] != 3 * 64)
        at++;
    for (int i = 0; i < 3; i++)
        lp_channel_receive(&line->host, &message);
    return (_Atomic uint64_t *)&words[at];
}

TEST(channel, index_that_leaves_the_ring_is_nonsense)
{
    struct line line = open_line();
    _Atomic uint64_t *head = find_reply_head(&line);
    struct lp_message message;
    const uint64_t bad[] = {
        3 * 64 + 256 * 1024 + 1, 3 * 64 - 1, 0, UINT64_MAX, 1ull << 63, 3 * 64 + 1};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        atomic_store(head, bad[i]);
        CU_ASSERT_EQUAL(lp_channel_receive(&line.host, &message), -EPROTO);
        CU_ASSERT(lp_channel_arm(&line.host, false));
    }
    close_line(&line);
}

TEST(channel, index_that_goes_back_is_nonsense)
{
    struct line line = open_line();
    _Atomic uint64_t *head = find_reply_head(&line);
    struct lp_message message = {.kind = LP_MESSAGE_READY};
    for (int i = 0; i < 4; i++)
        lp_channel_send(&line.worker, &message);
    CU_ASSERT_EQUAL(lp_channel_receive(&line.host, &message), 1); /* caches all four */
    atomic_store(head, 5 * 64);
    uint8_t data[4 * 64];
    CU_ASSERT_EQUAL(lp_channel_read(&line.host, data, sizeof(data), false), -EPROTO);
    close_line(&line);
}

TEST(channel, message_of_a_wrong_kind_is_nonsense)
{
    struct line line = open_line();
    struct lp_message message = {.kind = LP_MESSAGE_TASK};
    lp_channel_send(&line.worker, &message);
    CU_ASSERT_EQUAL(lp_channel_receive(&line.host, &message), -EPROTO);
    close_line(&line);
}

static void place(struct lp_channel *channel, const struct lp_message *message)
{
    struct lp_message *placed = lp_channel_place(channel);
    if (!placed)
        return;
    *placed = *message;
    lp_channel_send_placed(channel);
}

/* One random operation of the host; true when it answered within its contract. */
static bool host_step(struct lp_channel *channel, uint64_t *seed, uint8_t *data, size_t size)
{
    struct lp_message message = {.kind = LP_MESSAGE_TASK};
    size_t some = draw(seed) % (size + 1);
    bool last = draw(seed) % 2 == 0;
    int64_t got = 0;
    switch (draw(seed) % 9) {
    case 0: got = lp_channel_send(channel, &message); break;
    case 1: got = lp_channel_receive(channel, &message); break;
    case 2: got = lp_channel_write(channel, data, some, last); break;
    case 3: got = lp_channel_read(channel, data, some, last); break;
    case 4: lp_channel_ring(channel); break;
    case 5: (void)lp_channel_arm(channel, last); break;
    case 6: lp_channel_hush(channel); break;
    case 7: got = lp_channel_receive_short(channel, LP_MESSAGE_RESULT, &message); break;
    case 8: place(channel, &message); break;
    }
    return got == -EPROTO || (got >= 0 && got <= (int64_t)(some > 1 ? some : 1));
}

static int hostile_rounds(void *arg)
{
    struct line *line = arg;
    uint64_t seed = 2;
    size_t size = 300000;
    uint8_t *data = malloc(size + GUARD);
    uint64_t *words = (uint64_t *)(void *)line->host.window;
    for (int round = 0; round < 2000; round++) {
        lp_channel_init_host(&line->host, line->host.window, line->doorbell_fd);
        for (int i = 0; i < 20; i++) {
            uint64_t shift = draw(&seed) % 64;
            words[draw(&seed) % 64] = draw(&seed) >> shift;
            words[4096 / 8 + draw(&seed) % (512 * 1024 / 8)] = draw(&seed);
            memset(data + size, 0x5a, GUARD);
            if (!host_step(&line->host, &seed, data, size))
                return 50;
            for (int j = 0; j < GUARD; j++)
                if (data[size + (size_t)j] != 0x5a)
                    return 51;
        }
    }
    free(data);
    return 0;
}

TEST(channel, garbage_in_the_window_is_at_worst_eproto)
{
    struct line line = open_line();
    CU_ASSERT_EQUAL(hn_test_child(hostile_rounds, &line, 25000), TEST_EXIT(0));
    close_line(&line);
}

/* The same against a process that scribbles all the time. */
static int scribbled_rounds(void *arg)
{
    struct line *line = arg;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        uint64_t seed = 3;
        volatile uint64_t *words = (volatile uint64_t *)(void *)line->host.window;
        for (;;)
            words[draw(&seed) % 64] = draw(&seed) % 4 ? draw(&seed) % 600000 : draw(&seed);
    }
    uint64_t seed = 4;
    uint8_t *data = malloc(300000);
    int result = 0;
    for (int i = 0; i < 20000 && result == 0; i++) {
        if (i % 50 == 0)
            lp_channel_init_host(&line->host, line->host.window, line->doorbell_fd);
        result = host_step(&line->host, &seed, data, 300000) ? 0 : 52;
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    free(data);
    return result;
}

TEST(channel, window_that_changes_under_the_host_is_at_worst_eproto)
{
    struct line line = open_line();
    CU_ASSERT_EQUAL(hn_test_child(scribbled_rounds, &line, 25000), TEST_EXIT(0));
    close_line(&line);
}

/* ---- The gate ---------------------------------------------------------------------------- */

TEST(channel, what_is_claimed_is_begun_what_is_recalled_never)
{
    struct line line = open_line();
    struct lp_message first = {.kind = LP_MESSAGE_TASK}, second = first, third = first;
    uint32_t claimed = 7;
    CU_ASSERT(lp_channel_claim(&line.worker, &first));
    CU_ASSERT_EQUAL(lp_channel_recall(&line.host, &claimed), 0);
    CU_ASSERT_EQUAL(claimed, 1);
    CU_ASSERT_FALSE(lp_channel_claim(&line.worker, &second));
    third.epoch = line.host.epoch;
    CU_ASSERT(lp_channel_claim(&line.worker, &third));
    CU_ASSERT_EQUAL(lp_channel_recall(&line.host, &claimed), 0);
    CU_ASSERT_EQUAL(claimed, 2);
    close_line(&line);
}

static void *claim_many(void *arg)
{
    struct lp_channel *worker = arg;
    uintptr_t claims = 0;
    while (lp_channel_claim(worker, &(struct lp_message){.kind = LP_MESSAGE_TASK}))
        claims++;
    return (void *)claims;
}

TEST(channel, a_recall_in_the_midst_of_claims_knows_how_many_there_were)
{
    for (int i = 0; i < 200; i++) {
        struct line line = open_line();
        pthread_t thread;
        void *claims = NULL;
        uint32_t claimed = 0;
        pthread_create(&thread, NULL, claim_many, &line.worker);
        for (int yields = 0; yields < i % 20; yields++)
            sched_yield();
        CU_ASSERT_EQUAL(lp_channel_recall(&line.host, &claimed), 0);
        pthread_join(thread, &claims);
        CU_ASSERT_EQUAL((uintptr_t)claims, claimed);
        close_line(&line);
    }
}

TEST(channel, an_epoch_that_a_worker_made_up_is_nonsense)
{
    struct line line = open_line(), other = open_line();
    uint32_t claimed = 0;
    other.host.window = line.host.window; /* moves the gate as a hostile worker would */
    CU_ASSERT_EQUAL(lp_channel_recall(&other.host, &claimed), 0);
    CU_ASSERT_EQUAL(lp_channel_recall(&line.host, &claimed), -EPROTO);
    other.host.window = other.worker.window;
    close_line(&other);
    close_line(&line);
}
