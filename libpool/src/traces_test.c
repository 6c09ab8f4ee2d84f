/* SPDX-License-Identifier: MIT */
/* Where tasks crashed: that it is told, that it is true, and that nothing else changes. */
#include <libpool.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"
#include "os/channel.h"
#include "start_rig.h"

#define DEADLINE_MS 20000
#define SMASHED 0x41414140 /* no address of anything */
#define RUNS 10
#define NEAR 512 /* bytes: no function here has more code */

/* ---- tasks ---------------------------------------------------------------------------------- */

static void *volatile nowhere = (void *)16;
static void (*volatile no_function)(void) = NULL;
static void (*volatile wild_function)(void) = (void (*)(void))SMASHED;
static volatile int depth;

static int write_nowhere(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    *(volatile int *)nowhere = 1;
    return 0;
}

/* Writes to the address that is its input. */
static int write_there(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    *(volatile char *)*(char *const *)input = 1;
    return 0;
}

static __attribute__((noinline)) int inner(int value)
{
    *(volatile int *)nowhere = value;
    return value + depth;
}

static __attribute__((noinline)) int middle(int value)
{
    return inner(value + 1) + depth;
}

static int outer(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return middle(depth) + depth;
}

static __attribute__((noinline)) int descend(int level)
{
    volatile char frame[1024];
    frame[0] = (char)level;
    return level < 0 ? 0 : descend(level + 1) + frame[0];
}

static int overflow(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return descend(depth);
}

static int give_up(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    abort();
}

static int call_nothing(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    no_function();
    return depth;
}

static int call_garbage(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    wild_function();
    return depth;
}

static int send_itself(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)size;
    return kill(getpid(), *(const int *)input);
}

static void *crash_in_thread(void *arg)
{
    *(volatile int *)nowhere = 1;
    return arg;
}

static int start_thread(libpool_worker *worker, const void *input, size_t size)
{
    pthread_t thread;
    (void)worker, (void)input, (void)size;
    return pthread_create(&thread, NULL, crash_in_thread, NULL) || pthread_join(thread, NULL);
}

/* So that no caller is to be found; what is above may be what the trace is written by. */
static __attribute__((noinline, no_sanitize("address", "undefined", "thread"))) void smash(
    bool aborts)
{
    volatile uintptr_t here[1] = {0};
    volatile uintptr_t *at = here;
    __asm__ volatile("" : "+r"(at)); /* else a compiler may know where it leads */
    for (int i = depth; i < 24; i++)
        at[i] = SMASHED;
    if (aborts)
        abort();
}

static int smash_and_abort(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    smash(true);
    return depth;
}

static int smash_and_return(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    smash(false);
    return depth;
}

static int noop(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 0;
}

static int fail(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    return 7;
}

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        (void)pause();
    return 0;
}

static sigjmp_buf back;

static void come_back(int number)
{
    siglongjmp(back, number);
}

/* Ends well: its own handler is called. */
static int survive(libpool_worker *worker, const void *input, size_t size)
{
    (void)signal(SIGSEGV, come_back);
    return sigsetjmp(back, 1) ? 0 : write_nowhere(worker, input, size);
}

/* Dies without a trace. */
static int crash_untraced(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    (void)signal(SIGSEGV, SIG_DFL);
    return raise(SIGSEGV);
}

static void leave(int number)
{
    _exit(number);
}

/* The faults in the handler are not the task's. */
static int guard_and_abort(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    (void)signal(SIGSEGV, leave);
    smash(true);
    return depth;
}

static atomic_int *runs;

/* In the last of its runs without a trace. */
static int crash_again(libpool_worker *worker, const void *input, size_t size)
{
    bool is_last = atomic_fetch_add(runs, 1) == RUNS - 1;
    return is_last ? crash_untraced(worker, input, size) : write_nowhere(worker, input, size);
}

static int crash_after_child(libpool_worker *worker, const void *input, size_t size)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(write_nowhere(worker, input, size));
    if (child < 0 || waitpid(child, &status, 0) != child || WTERMSIG(status) != SIGSEGV)
        return 1;
    return crash_untraced(worker, input, size);
}

/* What it writes itself is what is read: any bytes, with the one field right that says whose it is. */
static int lie(libpool_worker *worker, const void *input, size_t size)
{
    struct lp_channel *channel = (void *)worker; /* its first member */
    struct lp_trace *trace = lp_window_trace(channel->window);
    memset((void *)trace, size ? *(const unsigned char *)input : 1, sizeof *trace);
    for (uint32_t i = 0; i < LP_TRACE_FRAMES; i += 2)
        trace->frames[i].name = i + 1;
    trace->signal = SIGSEGV;
    atomic_store(&trace->task_id, libpool_worker_task_id(worker));
    return size ? crash_untraced(worker, input, size) : raise(SIGKILL);
}

/* ---- helpers -------------------------------------------------------------------------------- */

static libpool *open_pool(uint32_t flags)
{
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .flags = flags, .max_workers = 1, .workers_limit = 2};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool_future *submit(libpool *pool, libpool_task_function *function, const void *input,
                              size_t size)
{
    libpool_future *future = NULL;
    libpool_task task = {
        .size = sizeof task, .function = function, .input = input, .input_size = size};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}

static const libpool_result *result_of(libpool_future *future)
{
    CU_ASSERT_EQUAL_FATAL(libpool_future_wait(future, DEADLINE_MS), 0);
    return libpool_future_result(future);
}

/* The result of a task that has to be traced, and of which it is the first frame in `function`. */
static bool crashes_in(const libpool_result *result, int signal, uint32_t frame, uintptr_t function)
{
    const libpool_trace *trace = result->trace;
    bool found = result->cause == LIBPOOL_CRASH && result->signal == signal && trace &&
                 frame < trace->count && trace->frames[frame].address - function < NEAR;
    char text[8192] = "no trace";
    if (!found) {
        (void)libpool_trace_text(result, text, sizeof text);
        (void)fprintf(stderr, "%s\n%s", result->text, text);
    }
    return found;
}

/* Runs it in a pool of its own. */
static bool traced(libpool_task_function *function, int signal, uint32_t frame, uintptr_t where)
{
    libpool *pool = open_pool(LIBPOOL_TRACE);
    libpool_future *future = submit(pool, function, NULL, 0);
    bool found = crashes_in(result_of(future), signal, frame, where);
    libpool_future_free(future);
    libpool_close(pool);
    return found;
}

static bool has_frame_in(const libpool_trace *trace, uintptr_t function)
{
    bool found = false;
    for (uint32_t i = 0; trace && i < trace->count; i++)
        found = found || trace->frames[i].address - function < NEAR;
    return found;
}

/* ---- where ---------------------------------------------------------------------------------- */

TEST(traces, a_write_to_nowhere_says_where_and_to_what)
{
    libpool *pool = open_pool(LIBPOOL_TRACE);
    libpool_future *future = submit(pool, write_nowhere, NULL, 0);
    const libpool_result *result = result_of(future);
    CU_ASSERT_TRUE(crashes_in(result, SIGSEGV, 0, (uintptr_t)write_nowhere));
    CU_ASSERT_PTR_NOT_NULL_FATAL(result->trace);
    CU_ASSERT_EQUAL(result->trace->fault_address, 16);
    CU_ASSERT_EQUAL(result->trace->code, SEGV_MAPERR);
    CU_ASSERT_EQUAL(result->trace->sender, 0);
    libpool_future_free(future);
    libpool_close(pool);
}

#ifdef __GLIBC__ /* elsewhere only what is compiled with frame pointers has callers */
TEST(traces, three_frames_are_told_from_the_inside_out)
{
    libpool *pool = open_pool(LIBPOOL_TRACE);
    libpool_future *future = submit(pool, outer, NULL, 0);
    const libpool_result *result = result_of(future);
    CU_ASSERT_TRUE(crashes_in(result, SIGSEGV, 0, (uintptr_t)inner));
    CU_ASSERT_TRUE(crashes_in(result, SIGSEGV, 1, (uintptr_t)middle));
    CU_ASSERT_TRUE(crashes_in(result, SIGSEGV, 2, (uintptr_t)outer));
    libpool_future_free(future);
    libpool_close(pool);
}

TEST(traces, an_abort_has_who_called_it)
{
    libpool *pool = open_pool(LIBPOOL_TRACE);
    libpool_future *future = submit(pool, give_up, NULL, 0);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->signal, SIGABRT);
    CU_ASSERT_TRUE(has_frame_in(result->trace, (uintptr_t)give_up));
    CU_ASSERT_PTR_NOT_NULL_FATAL(result->trace);
    CU_ASSERT_EQUAL(result->trace->sender, result->pid);
    libpool_future_free(future);
    libpool_close(pool);
}
#endif

TEST(traces, a_stack_overflow_has_one)
{
    CU_ASSERT_TRUE(traced(overflow, SIGSEGV, 0, (uintptr_t)descend));
    CU_ASSERT_TRUE(traced(overflow, SIGSEGV, 1, (uintptr_t)descend));
}

TEST(traces, a_call_of_nothing_has_its_caller)
{
    CU_ASSERT_TRUE(traced(call_nothing, SIGSEGV, 0, 0));
    CU_ASSERT_TRUE(traced(call_nothing, SIGSEGV, 1, (uintptr_t)call_nothing));
    CU_ASSERT_TRUE(traced(call_garbage, SIGSEGV, 0, SMASHED));
    CU_ASSERT_TRUE(traced(call_garbage, SIGSEGV, 1, (uintptr_t)call_garbage));
}

#ifdef __x86_64__ /* where a function returns to lies above what it has on the stack */
TEST(traces, what_is_no_caller_is_not_told)
{
    if (TEST_ADDRESS_SANITIZER)
        TEST_SKIP("its stack is laid out otherwise");
    libpool *pool = open_pool(LIBPOOL_TRACE);
    libpool_future *future = submit(pool, smash_and_return, NULL, 0);
    const libpool_result *result = result_of(future);
    CU_ASSERT_TRUE(crashes_in(result, SIGSEGV, 0, SMASHED));
    CU_ASSERT_PTR_NOT_NULL_FATAL(result->trace);
    CU_ASSERT_EQUAL(result->trace->count, 1);
    libpool_future_free(future);
    libpool_close(pool);
}
#endif

TEST(traces, a_thread_of_a_task_has_one)
{
    if (TEST_THREAD_SANITIZER)
        TEST_SKIP("in a fork the sanitizer takes new threads for old ones, and gives up");
    CU_ASSERT_TRUE(traced(start_thread, SIGSEGV, 0, (uintptr_t)crash_in_thread));
}

TEST(traces, an_offset_leads_to_the_function_and_the_text_names_the_object)
{
    libpool *pool = open_pool(LIBPOOL_TRACE);
    libpool_future *future = submit(pool, write_nowhere, NULL, 0);
    const libpool_result *result = result_of(future);
    char self[4096] = "", text[8192] = "", wanted[5000];
    Dl_info here;
    CU_ASSERT_PTR_NOT_NULL_FATAL(result->trace);
    const libpool_frame *frame = &result->trace->frames[0];
    CU_ASSERT(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    CU_ASSERT(dladdr((void *)(uintptr_t)write_nowhere, &here));
    CU_ASSERT_PTR_NOT_NULL_FATAL(frame->object);
    CU_ASSERT_STRING_EQUAL(frame->object, self);
    CU_ASSERT_EQUAL(frame->address - frame->offset, (uintptr_t)here.dli_fbase);
    int64_t length = libpool_trace_text(result, text, sizeof text);
    CU_ASSERT_EQUAL(length, (int64_t)strlen(text));
    (void)snprintf(wanted, sizeof wanted, "signal 11, a fault at 0x10\n#0 0x%llx (%s+0x%llx)\n",
                   (unsigned long long)frame->address, self, (unsigned long long)frame->offset);
    CU_ASSERT_NSTRING_EQUAL(text, wanted, strlen(wanted));
    CU_ASSERT_EQUAL(libpool_trace_text(result, NULL, 0), length);
    CU_ASSERT_EQUAL(libpool_trace_text(result, text, 8), length);
    CU_ASSERT_STRING_EQUAL(text, "signal ");
    CU_ASSERT_EQUAL(libpool_trace_text(NULL, text, 8), -EINVAL);
    CU_ASSERT_EQUAL(libpool_trace_text(result, NULL, 8), -EINVAL);
    libpool_future_free(future);
    libpool_close(pool);
}

static libpool_future *submit_named(libpool *pool, const char *symbol)
{
    libpool_future *future = NULL;
    libpool_task task = {
        .size = sizeof task, .object = lp_rig_beside_us("test_object.so"), .symbol = symbol};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    return future;
}

/* A worker's own object, at an address of its own. The compiler may place the return behind the function. */
TEST(traces, a_spawned_worker_tells_object_and_offset)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .flags = LIBPOOL_TRACE,
                               .start = LIBPOOL_SPAWN,
                               .zygote_path = lp_rig_beside_us("libpool-zygote"),
                               .max_workers = 1};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    libpool_future *future = submit_named(pool, "test_fault");
    const libpool_result *result = result_of(future);
    void *object = dlopen(lp_rig_beside_us("test_object.so"), RTLD_NOW);
    void *function = object ? dlsym(object, "test_fault") : NULL;
    Dl_info there;
    CU_ASSERT_FATAL(function && dladdr(function, &there));
    CU_ASSERT_PTR_NOT_NULL_FATAL(result->trace);
    const libpool_frame *frame = &result->trace->frames[0];
    CU_ASSERT(frame->object && strstr(frame->object, "test_object.so"));
    CU_ASSERT((uintptr_t)there.dli_fbase + frame->offset - (uintptr_t)function < NEAR);
    (void)dlclose(object);
    libpool_future_free(future);
    libpool_close(pool);
}

/* Of an object that the application had loaded the symbols are known. */
TEST(traces, a_symbol_that_is_exported_is_told)
{
    void *object = dlopen(lp_rig_beside_us("test_object.so"), RTLD_NOW);
    CU_ASSERT_PTR_NOT_NULL_FATAL(object);
    libpool *pool = open_pool(LIBPOOL_TRACE);
    libpool_future *future = submit_named(pool, "test_fault");
    char text[8192] = "";
    CU_ASSERT(libpool_trace_text(result_of(future), text, sizeof text) > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, " test_fault+0x"));
    libpool_future_free(future);
    libpool_close(pool);
    (void)dlclose(object);
}

TEST(traces, a_task_that_hangs_says_where_when_its_soft_signal_is_abort)
{
    libpool *pool = open_pool(LIBPOOL_TRACE);
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .function = hang,
                         .run_timeout_ms = 100,
                         .grace_ms = DEADLINE_MS,
                         .soft_signal = SIGABRT};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_TIMEOUT);
    CU_ASSERT_EQUAL(result->signal, SIGABRT);
    CU_ASSERT_PTR_NOT_NULL_FATAL(result->trace);
    CU_ASSERT_EQUAL(result->trace->sender, getpid());
#ifdef __GLIBC__
    CU_ASSERT_TRUE(has_frame_in(result->trace, (uintptr_t)hang));
#endif
    libpool_future_free(future);
    libpool_close(pool);
}

/* ---- whose ---------------------------------------------------------------------------------- */

TEST(traces, a_signal_that_was_sent_is_told_as_such)
{
    libpool *pool = open_pool(LIBPOOL_TRACE);
    char text[8192] = "";
    int segv = SIGSEGV;
    libpool_future *future = submit(pool, send_itself, &segv, sizeof segv);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->signal, SIGSEGV);
    CU_ASSERT_PTR_NOT_NULL_FATAL(result->trace);
    CU_ASSERT_EQUAL(result->trace->code, SI_USER);
    CU_ASSERT_EQUAL(result->trace->sender, result->pid);
    CU_ASSERT_EQUAL(result->trace->fault_address, 0);
    CU_ASSERT(libpool_trace_text(result, text, sizeof text) > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "signal 11, raised by the worker itself\n"));
    libpool_future_free(future);
    libpool_close(pool);
}

static bool has_none(libpool *pool, libpool_task_function *function, libpool_cause cause)
{
    char text[64];
    libpool_future *future = submit(pool, function, NULL, 0);
    const libpool_result *result = result_of(future);
    bool none = result->cause == cause && !result->trace &&
                libpool_trace_text(result, text, sizeof text) == -ENOENT;
    libpool_future_free(future);
    return none;
}

TEST(traces, nobody_else_has_one)
{
    libpool *untraced = open_pool(0);
    CU_ASSERT_TRUE(has_none(untraced, write_nowhere, LIBPOOL_CRASH));
    libpool_close(untraced);
    libpool *pool = open_pool(LIBPOOL_TRACE);
    CU_ASSERT_TRUE(has_none(pool, noop, LIBPOOL_COMPLETED));
    CU_ASSERT_TRUE(has_none(pool, fail, LIBPOOL_ERROR));
    CU_ASSERT_TRUE(has_none(pool, survive, LIBPOOL_COMPLETED));
    CU_ASSERT_TRUE(has_none(pool, crash_untraced, LIBPOOL_CRASH));
    CU_ASSERT_TRUE(has_none(pool, crash_after_child, LIBPOOL_CRASH));
    CU_ASSERT_TRUE(has_none(pool, lie, LIBPOOL_KILLED)); /* of another signal */
    libpool_close(pool);
}

/* Each third crashes, each at an address of its own; the one behind leaves nothing, should it die. */
TEST(traces, those_that_were_sent_ahead_have_not_the_one_before)
{
    enum {
        TASKS = 60
    };
    static libpool_task tasks[TASKS];
    static libpool_future *futures[TASKS];
    static void *addresses[TASKS];
    libpool *pool = open_pool(LIBPOOL_TRACE);
    CU_ASSERT_TRUE(has_none(pool, noop, LIBPOOL_COMPLETED)); /* a worker is there */
    libpool_task_function *const kinds[3] = {noop, write_there, crash_untraced};
    for (int i = 0; i < TASKS; i++) {
        addresses[i] = (void *)(uintptr_t)(i + 1);
        tasks[i] = (libpool_task){.size = sizeof tasks[i],
                                  .function = kinds[i % 3],
                                  .input = &addresses[i],
                                  .input_size = sizeof addresses[i]};
    }
    CU_ASSERT_EQUAL(libpool_submit_many(pool, tasks, TASKS, -1, futures), TASKS);
    int wrong = 0;
    for (int i = 0; i < TASKS; i++) {
        const libpool_result *result = result_of(futures[i]);
        bool own = result->trace && result->trace->fault_address == (uint64_t)i + 1;
        wrong += result->cause != (i % 3 ? LIBPOOL_CRASH : LIBPOOL_COMPLETED);
        wrong += i % 3 == 1 ? !own : result->trace != NULL;
        libpool_future_free(futures[i]);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    libpool_close(pool);
}

TEST(traces, a_run_has_not_that_of_the_run_before)
{
    runs = mmap(NULL, sizeof *runs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(runs != MAP_FAILED);
    libpool *pool = open_pool(LIBPOOL_TRACE);
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task,
                         .function = crash_again,
                         .retries = RUNS - 1,
                         .retry_causes = 1u << LIBPOOL_CRASH,
                         .retry_min_ms = 1,
                         .retry_max_ms = 1};
    CU_ASSERT_EQUAL_FATAL(libpool_submit(pool, &task, -1, &future), 0);
    const libpool_result *result = result_of(future);
    CU_ASSERT_EQUAL(result->attempts, RUNS);
    CU_ASSERT_EQUAL(result->cause, LIBPOOL_CRASH);
    CU_ASSERT_PTR_NULL(result->trace);
    libpool_future_free(future);
    libpool_close(pool);
    (void)munmap(runs, sizeof *runs);
}

/* ---- nothing else changes -------------------------------------------------------------------- */

struct fate {
    libpool_cause cause;
    int code, signal, core_dumped;
};

static struct fate fate_of(libpool *pool, libpool_task_function *function, int number)
{
    libpool_future *future = submit(pool, function, &number, sizeof number);
    const libpool_result *result = result_of(future);
    struct fate fate = {result->cause, result->code, result->signal, result->core_dumped};
    libpool_future_free(future);
    return fate;
}

TEST(traces, cause_signal_and_core_are_as_without)
{
    static const struct {
        libpool_task_function *function;
        int number;
    } ways[] = {{write_nowhere, 0},     {call_nothing, 0},     {overflow, 0},
                {call_garbage, 0},      {smash_and_return, 0}, {give_up, 0},
                {smash_and_abort, 0},   {guard_and_abort, 0},  {start_thread, 0},
                {send_itself, SIGSEGV}, {send_itself, SIGBUS}, {send_itself, SIGILL},
                {send_itself, SIGFPE},  {send_itself, SIGABRT}};
    libpool *plain = open_pool(0), *pool = open_pool(LIBPOOL_TRACE);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (TEST_THREAD_SANITIZER && ways[i].function == start_thread)
            continue; /* in a fork it takes new threads for old ones, and gives up */
        struct fate without = fate_of(plain, ways[i].function, ways[i].number);
        struct fate with = fate_of(pool, ways[i].function, ways[i].number);
        CU_ASSERT_EQUAL(without.cause, LIBPOOL_CRASH);
        CU_ASSERT_EQUAL(with.cause, LIBPOOL_CRASH);
        CU_ASSERT_EQUAL(with.code, without.code);
        CU_ASSERT_EQUAL(with.signal, without.signal);
        CU_ASSERT_EQUAL(with.core_dumped, without.core_dumped);
    }
    libpool_close(plain);
    libpool_close(pool);
}

/* ---- a worker that lies ----------------------------------------------------------------------- */

TEST(traces, what_a_worker_makes_up_stays_in_bounds)
{
    libpool *pool = open_pool(LIBPOOL_TRACE);
    for (int fill = 1; fill < 256; fill += 127) {
        unsigned char byte = (unsigned char)fill;
        char text[LP_TRACE_FRAMES * (LP_TRACE_NAMES + 256)];
        libpool_future *future = submit(pool, lie, &byte, 1);
        const libpool_result *result = result_of(future);
        CU_ASSERT_EQUAL(result->cause, LIBPOOL_CRASH);
        CU_ASSERT_PTR_NOT_NULL_FATAL(result->trace);
        CU_ASSERT_EQUAL(result->trace->count, LP_TRACE_FRAMES);
        for (uint32_t i = 0; i < result->trace->count; i++) {
            const char *object = result->trace->frames[i].object;
            CU_ASSERT(!object || strlen(object) < LP_TRACE_NAMES);
        }
        int64_t length = libpool_trace_text(result, text, sizeof text);
        CU_ASSERT(length > 0 && length < (int64_t)sizeof text);
        for (int64_t i = 0; i < length; i++)
            CU_ASSERT((unsigned char)text[i] >= ' ' || text[i] == '\n');
        libpool_future_free(future);
    }
    libpool_close(pool);
}
