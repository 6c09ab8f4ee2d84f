/* SPDX-License-Identifier: MIT */
/*
 * Nothing to be had: what a server and a client do when the n-th allocation fails, once or from then on, for
 * n = 1, 2, 3... until there is none that could. What is told is true, it costs one session at most, and
 * nothing is left of it.
 */
#include "base.h"

#include <malloc.h>
#include <stdio.h>

#include "rig.h"

/* ---- the tests' memory ---------------------------------------------------------------------- */

_Thread_local struct rig_memory rig_memory;
static _Atomic int64_t blocks;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *pointer, size_t size);
void __real_free(void *pointer);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *pointer, size_t size);
void __wrap_free(void *pointer);

static bool is_refused(void)
{
    struct rig_memory *memory = &rig_memory;
    int64_t call = ++memory->calls;
    bool refused = memory->fail_at &&
                   (call == memory->fail_at || (memory->for_good && call > memory->fail_at));
    if (refused)
        errno = ENOMEM;
    return refused;
}

static void count(void *pointer, int sign)
{
    if (!pointer)
        return;
    struct rig_memory *memory = &rig_memory;
    memory->bytes += sign * (int64_t)(malloc_usable_size(pointer) + sizeof(size_t));
    if (memory->bytes > memory->most_bytes)
        memory->most_bytes = memory->bytes;
    atomic_fetch_add_explicit(&blocks, sign, memory_order_relaxed);
}

void *__wrap_malloc(size_t size)
{
    void *pointer = is_refused() ? NULL : __real_malloc(size);
    count(pointer, 1);
    return pointer;
}

void *__wrap_calloc(size_t n, size_t size)
{
    void *pointer = is_refused() ? NULL : __real_calloc(n, size);
    count(pointer, 1);
    return pointer;
}

void *__wrap_realloc(void *pointer, size_t size)
{
    if (is_refused())
        return NULL;
    count(pointer, -1);
    void *larger = __real_realloc(pointer, size);
    count(larger ? larger : pointer, 1);
    return larger;
}

void __wrap_free(void *pointer)
{
    count(pointer, -1);
    __real_free(pointer);
}

int64_t rig_blocks(void)
{
    return atomic_load(&blocks);
}

static void *take_uncounted(void *context, size_t size)
{
    (void)context;
    return is_refused() ? NULL : __real_malloc(size);
}

static void give_uncounted(void *context, void *pointer, size_t size)
{
    (void)context, (void)size;
    __real_free(pointer);
}

const libpool_allocator rig_uncounted = {NULL, take_uncounted, give_uncounted};

/* ---- helpers ---------------------------------------------------------------------------------- */

#define SWEEP_MAX 500
#define LARGE 5000 /* bytes: an input that lies in no struct */

static void fail_from_here(int64_t n, bool for_good)
{
    rig_memory.for_good = for_good;
    rig_memory.fail_at = rig_memory.calls + n;
}

/* True: it did fail. All is to be had again. */
static bool heal(void)
{
    int64_t fail_at = rig_memory.fail_at;
    rig_memory.fail_at = 0;
    return rig_memory.calls >= fail_at;
}

static int count_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Of this pool only what is refused to who calls it is seen. */
static void open_uncounted_pool(struct rig *rig)
{
    libpool_options options = {.size = sizeof options,
                               .flags = LIBPOOL_CALLBACKS,
                               .max_workers = 1,
                               .allocator = &rig_uncounted};
    *rig = (struct rig){.listener = -1};
    CU_ASSERT_TRUE_FATAL(rig_share());
    CU_ASSERT_EQUAL_FATAL(libpool_open(&rig->pool, &options), 0);
}

static void close_pool(struct rig *rig)
{
    libpool_close(rig->pool);
    sem_destroy(&rig_shared->gate);
    munmap(rig_shared, sizeof *rig_shared);
}

/* On a new socket each time: the last server has closed its own. */
static void listen_again(struct rig *rig)
{
    libpool *pool = rig->pool;
    CU_ASSERT_TRUE_FATAL(rig_listen(rig));
    rig->pool = pool;
}

/* ---- serving ---------------------------------------------------------------------------------- */

static void serve_without_memory(uint32_t flags, bool for_good)
{
    struct rig rig;
    libpool_remote_options options = {.size = sizeof options, .flags = flags};
    open_uncounted_pool(&rig);
    int64_t before = rig_blocks();
    int fds = count_fds(), n = 0, error = -ENOMEM;
    while (error && ++n < SWEEP_MAX) {
        listen_again(&rig);
        rig.server = (libpool_remote_server *)(void *)&rig;
        fail_from_here(n, for_good);
        error = rig_serve(&rig, 1, &options);
        CU_ASSERT_EQUAL(heal(), error != 0);
        CU_ASSERT_TRUE(error == 0 || (error == -ENOMEM && !rig.server));
        CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, 0, 0), 0);
        CU_ASSERT_EQUAL(close(rig.listener),
                        error ? 0 : -1); /* it stays the application's, or not */
        CU_ASSERT_EQUAL(rig_blocks(), before);
        CU_ASSERT_EQUAL(count_fds(), fds);
    }
    CU_ASSERT_TRUE(n > 3 && n < SWEEP_MAX);
    close_pool(&rig);
}

TEST(remote_scarce, serve_tells_that_there_is_no_memory_and_leaves_nothing)
{
    serve_without_memory(0, false);
    serve_without_memory(LIBPOOL_REMOTE_NO_THREAD, true);
}

TEST(remote_scarce, an_end_that_can_not_be_adopted_is_closed)
{
    struct rig rig;
    int ends[2];
    open_uncounted_pool(&rig);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    fail_from_here(1, false);
    CU_ASSERT_EQUAL(libpool_remote_adopt(rig.server, ends[0]), -ENOMEM);
    CU_ASSERT_TRUE(heal());
    CU_ASSERT_TRUE(fcntl(ends[0], F_GETFD) < 0);
    close(ends[1]);
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, 0, 0), 0);
    close_pool(&rig);
}

/* ---- clients of a server that has none --------------------------------------------------------- */

/* 0: it completed as it was; else it was refused for want of memory, or went with its session. */
static int echo_large(libpool_remote *remote)
{
    static unsigned char input[LARGE] = {1, 2, 3};
    libpool_remote_future *future;
    libpool_remote_task task = {
        .size = sizeof task, .name = "echo", .input = input, .input_size = sizeof input};
    int error = libpool_remote_submit(remote, &task, RIG_MS, &future);
    if (error)
        return error == -ENOMEM || error == libpool_remote_status(remote, NULL, 0) ? 1 : 20;
    if (libpool_remote_wait(future, RIG_MS))
        return 21;
    const libpool_result *result = libpool_remote_result(future);
    bool whole = result->data_size == LARGE && memcmp(result->data, input, LARGE) == 0;
    bool refused = (result->cause == LIBPOOL_ERROR && result->code == -ENOMEM) ||
                   (result->cause == LIBPOOL_LOST && libpool_remote_status(remote, NULL, 0));
    int code = result->cause == LIBPOOL_COMPLETED && whole ? 0 : refused ? 1 : 22;
    libpool_remote_free(future);
    return code;
}

static bool is_told_rightly(int error)
{
    return error == -ENOMEM || error == -ECONNRESET || error == -EPIPE;
}

/* Has the server do whatever it may need memory for. 0: all came to what it should; 1: not all. */
static int ask_for_all(const struct rig *rig)
{
    libpool_remote *remote;
    libpool_remote_client_options options = {.size = sizeof options, .handshake_ms = 300};
    int error = rig_open_with(rig, &options, &remote);
    if (error)
        return is_told_rightly(error) ? 1 : 10;
    int code = echo_large(remote);
    libpool_cause cause = rig_end(rig_submit(remote, "unknown", NULL, 0));
    bool is_open = !libpool_remote_status(remote, NULL, 0);
    if (is_open != (cause == LIBPOOL_ERROR))
        code = 11;
    if (is_open && libpool_remote_cancel_group(remote, 7))
        code = 12;
    int second = echo_large(remote);
    error = libpool_remote_status(remote, NULL, 0);
    if (error && !is_told_rightly(error))
        code = 13;
    libpool_remote_close(remote);
    return code > second ? code : second;
}

/* Until that client has ended, and nothing is left of it; how it did. */
static int drive_for(struct rig *rig, int (*client)(const struct rig *rig), int64_t n,
                     bool for_good)
{
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = rig_fork(client, rig);
    close(ends[1]); /* the other copy is the client's */
    struct pollfd polled[] = {{.fd = libpool_remote_server_fd(rig->server), .events = POLLIN},
                              {.fd = ends[0], .events = POLLIN}};
    if (n)
        fail_from_here(n, for_good);
    while (poll(polled, 2, RIG_MS) > 0 && !polled[1].revents)
        CU_ASSERT_EQUAL(libpool_remote_server_dispatch(rig->server), 0);
    int status = rig_reap(pid);
    close(ends[0]);
    return status;
}

static void drive_to_the_last(struct rig *rig)
{
    struct pollfd polled = {.fd = libpool_remote_server_fd(rig->server), .events = POLLIN};
    libpool_remote_stats stats = rig_stats(rig);
    while ((stats.sessions_open || stats.sessions_lingering) && poll(&polled, 1, RIG_MS) == 1) {
        CU_ASSERT_EQUAL(libpool_remote_server_dispatch(rig->server), 0);
        stats = rig_stats(rig);
    }
    CU_ASSERT_EQUAL(stats.sessions_open + stats.sessions_lingering, 0);
}

static void serve_clients_without_memory(bool for_good)
{
    struct rig rig;
    libpool_remote_options options = {.size = sizeof options, .flags = LIBPOOL_REMOTE_NO_THREAD};
    open_uncounted_pool(&rig);
    int64_t before = rig_blocks();
    bool failed = true;
    int n = 0;
    while (failed && ++n < SWEEP_MAX) {
        listen_again(&rig);
        CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, &options), 0);
        int status = drive_for(&rig, ask_for_all, n, for_good);
        failed = heal();
        CU_ASSERT_TRUE(status == TEST_EXIT(0) || (failed && status == TEST_EXIT(1)));
        CU_ASSERT_EQUAL(drive_for(&rig, ask_for_all, 0, false), TEST_EXIT(0));
        drive_to_the_last(&rig);
        CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, 0, 0), 0);
        CU_ASSERT_EQUAL(rig_blocks(), before);
    }
    CU_ASSERT_TRUE(n > 10 && n < SWEEP_MAX);
    close_pool(&rig);
}

TEST_WITHIN(remote_scarce, a_server_serves_on_and_who_was_not_is_told, 60000)
{
    serve_clients_without_memory(false);
    serve_clients_without_memory(true);
}

/* ---- clients that have none -------------------------------------------------------------------- */

static bool try_cancel(libpool_remote *remote, libpool_remote_future *future)
{
    int one = libpool_remote_cancel(future), group = libpool_remote_cancel_group(remote, 7);
    int status = libpool_remote_status(remote, NULL, 0);
    return (one >= 0 || one == -ENOMEM || one == status) &&
           (group == 0 || group == -ENOMEM || group == status);
}

/* A silent server is asked whether it is there; then the task ends in one way or the other. */
static bool wait_and_ask(libpool_remote_future *future)
{
    (void)libpool_remote_wait(future, 50);
    rig_open_gate(1);
    bool ended = libpool_remote_wait(future, RIG_MS) == 0;
    libpool_cause cause = ended ? libpool_remote_result(future)->cause : LIBPOOL_PENDING;
    while (sem_trywait(&rig_shared->gate) == 0)
        ; /* if nobody came for it */
    return cause == LIBPOOL_COMPLETED || cause == LIBPOOL_CANCELLED || cause == LIBPOOL_LOST;
}

/* True: whatever failed was told as that. */
static bool use_session(libpool_remote *remote)
{
    libpool_remote_task task = {.size = sizeof task, .name = "gate"};
    libpool_remote_future *gate = (libpool_remote_future *)(void *)&task;
    int error = libpool_remote_submit(remote, &task, RIG_MS, &gate);
    bool good = error ? error == -ENOMEM && !gate : wait_and_ask(gate);
    libpool_remote_free(gate);
    int status = libpool_remote_status(remote, NULL, 0);
    error = libpool_remote_submit(remote, &task, RIG_MS, &gate);
    good = good && (!error || error == -ENOMEM || error == status) && (!error == !!gate);
    good = good && (error || try_cancel(remote, gate));
    rig_open_gate(!error);
    good = good && (error || libpool_remote_wait(gate, RIG_MS) == 0);
    libpool_remote_free(gate);
    good = good && echo_large(remote) <= 1;
    status = libpool_remote_status(remote, NULL, 0);
    return good && (status == 0 || status == -ENOMEM);
}

static void be_client_without_memory(bool for_good)
{
    struct rig rig;
    libpool_remote_client_options options = {.size = sizeof options, .silence_ms = 20};
    open_uncounted_pool(&rig);
    listen_again(&rig);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig, 1, NULL), 0);
    int64_t before = rig_blocks();
    int fds = count_fds(), n = 0;
    bool failed = true;
    while (failed && ++n < SWEEP_MAX) {
        libpool_remote *remote = (libpool_remote *)(void *)&rig;
        fail_from_here(n, for_good);
        int error = rig_open_with(&rig, &options, &remote);
        CU_ASSERT_TRUE(error ? error == -ENOMEM && !remote : use_session(remote));
        libpool_remote_close(remote);
        failed = heal();
        CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).sessions_accepted == (uint64_t)n &&
                                 rig_stats(&rig).sessions_open == 0 &&
                                 rig_stats(&rig).sessions_lingering == 0 &&
                                 rig_blocks() == before && count_fds() == fds));
        while (sem_trywait(&rig_shared->gate) == 0)
            ;
    }
    CU_ASSERT_TRUE(n > 10 && n < SWEEP_MAX);
    CU_ASSERT_EQUAL(libpool_remote_server_close(rig.server, 0, 0), 0);
    close_pool(&rig);
}

TEST_WITHIN(remote_scarce, a_client_is_told_and_loses_nothing_but_its_session, 60000)
{
    be_client_without_memory(false);
    be_client_without_memory(true);
}

TEST(remote_scarce, what_there_was_no_memory_for_is_said)
{
    struct rig rig;
    char why[100];
    rig_start(&rig, 1, NULL);
    libpool_remote *remote = rig_open(&rig);
    libpool_remote_future *future = rig_submit(remote, "echo", "1", 1);
    CU_ASSERT_TRUE(RIG_AWAIT(rig_stats(&rig).tasks_ended[LIBPOOL_COMPLETED] == 1));
    fail_from_here(1, false);
    CU_ASSERT_EQUAL(rig_end(future), LIBPOOL_LOST);
    CU_ASSERT_TRUE(heal());
    CU_ASSERT_EQUAL(libpool_remote_status(remote, why, sizeof why), -ENOMEM);
    CU_ASSERT_STRING_EQUAL(why, "no memory for the server's message");
    libpool_remote_close(remote);
    rig_stop(&rig);
}
