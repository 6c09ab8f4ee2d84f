/* SPDX-License-Identifier: MIT */
/*
 * tasks: one small function a kind, and the wrapper around them. The faults are real ones: a bad
 * access is a bad access, not raise(SIGSEGV).
 */
#include "harness/tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/descend.h"
#include "harness/world.h"

/* Bound before the pool is opened; a worker sees its inherited copy. */
static struct {
    struct hn_world *world;
    enum hn_callback initializer, finalizer;
    uint32_t initializer_fails;
    libpool *const *pool;
    enum hn_sabotage sabotage;
    const struct hn_outfit *wanted;
    const struct hn_outfit_given *given;                /* NULL: nothing in particular */
    int (*confine)(libpool_worker *worker, void *name); /* NULL: to nothing */
    const char *sandbox;
} bound;

struct run {
    libpool_worker *worker;
    const struct hn_order *order;
    const uint8_t *payload;
};

void hn_tasks_bind(struct hn_world *world, enum hn_callback initializer, uint32_t initializer_fails,
                   enum hn_callback finalizer, libpool *const *pool, enum hn_sabotage sabotage)
{
    bound.sabotage = sabotage;
    bound.world = world;
    bound.initializer = initializer;
    bound.initializer_fails = initializer_fails;
    bound.finalizer = finalizer;
    bound.pool = pool;
    world->role = (struct hn_role){(int)initializer, (int)finalizer, (int)sabotage,
                                   initializer_fails};
}

void hn_tasks_bind_outfit(const struct hn_outfit *wanted, const struct hn_outfit_given *given)
{
    bound.wanted = wanted;
    bound.given = given;
}

void hn_tasks_bind_sandbox(int (*confine)(libpool_worker *worker, void *name), const char *name)
{
    bound.confine = confine;
    bound.sandbox = name;
}

/* ---- Payloads and descriptors ------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static uint32_t payload_seed(uint32_t task)
{
    return (task * 2654435761u + 1013904223u) | 1u;
}

void hn_payload_fill(uint8_t *bytes, size_t size, uint32_t task)
{
    uint32_t state = payload_seed(task);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(next_random(&state) >> 11);
}

bool hn_payload_matches(const uint8_t *bytes, size_t size, uint32_t task)
{
    uint32_t state = payload_seed(task);
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (uint8_t)(next_random(&state) >> 11))
            return false;
    return true;
}

int hn_fill_fds(int *fds, int max)
{
    int count = 0, fd;
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        if (count < max)
            fds[count] = fd;
        count++;
    }
    return count;
}

/* ---- Waiting and computing ------------------------------------------------------------------ */

static void sleep_us(uint64_t work_us)
{
    struct timespec until = hn_clock_timespec(hn_clock_ns() + work_us * HN_US);
    int rc;
    do
        rc = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL); /* sleeps: the work */
    while (rc == EINTR);
}

static _Noreturn void hang(void)
{
    for (;;)
        pause();
}

static int do_noop(const struct run *run)
{
    (void)run;
    return 0;
}

static int do_sleep(const struct run *run)
{
    sleep_us(run->order->what.work_us);
    return 0;
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * HN_S + (uint64_t)now.tv_nsec;
}

static int do_spin(const struct run *run)
{
    uint64_t until_ns = cpu_ns() + run->order->what.work_us * HN_US;
    while (cpu_ns() < until_ns)
        ;
    return 0;
}

static int do_fail(const struct run *run)
{
    return run->order->what.code;
}

static int do_hang(const struct run *run)
{
    (void)run;
    hang();
}

static _Noreturn void spin(void)
{
    volatile uint64_t turns = 0;
    for (;;)
        turns = turns + 1;
}

static int do_spin_forever(const struct run *run)
{
    (void)run;
    spin();
}

static int do_stop_self(const struct run *run)
{
    (void)run;
    kill(getpid(), SIGSTOP);
    hang(); /* continued: by nobody we know */
}

static int do_block_signals(const struct run *run)
{
    sigset_t all;
    (void)run;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    hang();
}

/* ---- Memory, bytes, descriptors -------------------------------------------------------------- */

/* Memory that is there; MAP_FAILED. */
static uint8_t *touch(size_t size)
{
    uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (size_t i = 0; memory != MAP_FAILED && i < size; i += 4096)
        memory[i] = (uint8_t)(i >> 12 | 1);
    return memory;
}

static int do_leak(const struct run *run)
{
    if (touch(run->order->what.bytes) == MAP_FAILED)
        return -errno;
    sleep_us(run->order->what.work_us);
    return 0;
}

static int do_hog(const struct run *run)
{
    size_t size = run->order->what.bytes;
    uint8_t *memory = touch(size);
    if (memory == MAP_FAILED)
        return -errno;
    sleep_us(run->order->what.work_us);
    munmap(memory, size);
    return 0;
}

/* An error when a child did not end as it should: then the task has outlived it. */
static int do_hog_tree(const struct run *run)
{
    int status, code = 0;
    for (uint32_t i = 0; i < run->order->what.children; i++) {
        pid_t child = fork();
        if (child < 0)
            return -errno;
        if (child == 0)
            _exit(do_hog(run) != 0);
    }
    for (pid_t child; (child = waitpid(-1, &status, 0)) > 0 || errno == EINTR;)
        if (child > 0 && status != 0)
            code = status;
    return code;
}

/* The same again when it is run again. */
static int turn_over(const struct run *run)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)run->payload;
    hn_payload_fill(bytes, run->order->payload_size, run->order->task);
    for (size_t i = 0; i < run->order->payload_size; i++)
        bytes[i] = (uint8_t)~bytes[i];
    return 0;
}

static int do_echo(const struct run *run)
{
    if (run->order->what.input == HN_INPUT_FILE_SHARED)
        return turn_over(run);
    return libpool_reply(run->worker, run->payload, run->order->payload_size);
}

static int do_leak_fds(const struct run *run)
{
    (void)run;
    hn_fill_fds(NULL, 0);
    return 0;
}

/* A lie that nobody looks at shows nothing: rings whatever doorbell the worker has. */
static void ring_bells(void)
{
    uint64_t one = 1;
    for (int fd = STDERR_FILENO + 1; fd < 64; fd++)
        if (write(fd, &one, sizeof one) < 0)
            continue;
    sleep_us(100000);
}

/* Garbage over every shared mapping that is not the harness's own. */
static int do_scribble(const struct run *run)
{
    struct {
        uint8_t *low, *high;
    } victims[64];
    int count = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        return -errno;
    while (count < 64 && fgets(line, sizeof line, maps)) {
        unsigned long long low, high;
        char mode[5];
        if (sscanf(line, "%llx-%llx %4s", &low, &high, mode) != 3 || mode[1] != 'w' ||
            mode[3] != 's' || strstr(line, HN_MEMFD_NAME))
            continue;
        victims[count].low = (uint8_t *)(uintptr_t)low;
        victims[count++].high = (uint8_t *)(uintptr_t)high;
    }
    fclose(maps);
    uint32_t state = payload_seed(run->order->task);
    for (int i = 0; i < count; i++)
        for (uint8_t *at = victims[i].low; at < victims[i].high; at++)
            *at = (uint8_t)(next_random(&state) | 1);
    ring_bells();
    return count ? 0 : -ENOENT;
}

/* ---- Ways to die ----------------------------------------------------------------------------- */

static int do_exit(const struct run *run)
{
    exit(run->order->what.code);
}

static int do_exit_now(const struct run *run)
{
    _exit(run->order->what.code);
}

static void bad_access(void)
{
    volatile int *volatile nowhere = NULL;
    *nowhere = 1;
}

static int do_segv(const struct run *run)
{
    (void)run;
    bad_access();
    return 0;
}

static int do_abort(const struct run *run)
{
    (void)run;
    abort();
}

/* A page of a file that has none. */
static int do_bus(const struct run *run)
{
    (void)run;
    int fd = memfd_create("short", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 4096))
        return -errno;
    volatile uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return -errno;
    page[4096] = 1;
    return 0;
}

/* In assembly: what a division by zero comes to is not the compiler's to decide. */
static int do_fpe(const struct run *run)
{
    (void)run;
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("xorl %%ecx, %%ecx\n\tmovl $1, %%eax\n\tcltd\n\tidivl %%ecx" ::
                         : "eax", "ecx", "edx", "cc");
#else
    raise(SIGFPE); /* the division doesn't trap there */
#endif
    return 0;
}

static int do_ill(const struct run *run)
{
    (void)run;
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("ud2");
#else
    raise(SIGILL);
#endif
    return 0;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winfinite-recursion"
static __attribute__((noinline)) int recurse(volatile uint8_t *above)
{
    volatile uint8_t frame[4096];
    frame[0] = above ? above[0] : 1;
    int below = recurse(frame);
    return below + frame[0];
}
#pragma GCC diagnostic pop

static int do_stack_overflow(const struct run *run)
{
    (void)run;
    return recurse(NULL);
}

static int do_die(const struct run *run)
{
    raise(run->order->what.signal);
    return 0;
}

static int do_kill_self(const struct run *run)
{
    (void)run;
    kill(getpid(), SIGKILL);
    hang();
}

static int end_as(const struct hn_group *what, int rc)
{
    sleep_us(what->work_us);
    switch (what->end) {
    case HN_END_RETURN: return rc;
    case HN_END_HANG: hang();
    case HN_END_SEGV: bad_access(); break;
    case HN_ENDS: break;
    }
    return -EINVAL;
}

static int do_grandchild(const struct run *run)
{
    return end_as(&run->order->what, hn_descend(&bound.world->history, run->order));
}

static int do_emit(const struct run *run)
{
    const struct hn_order *order = run->order;
    struct hn_parts *parts = &bound.world->rows[order->task].parts;
    return end_as(&order->what, hn_parts_send(run->worker, parts, order->task, order->what.parts,
                                              order->what.bytes));
}

#define LOOK_US 1000

/* Between two looks it sleeps: it does not wait for anything but to be asked. */
static int do_heed(const struct run *run)
{
    while (!libpool_worker_stopping(run->worker))
        sleep_us(LOOK_US);
    sleep_us(run->order->what.work_us);
    return 0;
}

/* The last time when its work is over, not before: however long a sleep took. */
static int do_beat(const struct run *run)
{
    uint64_t begun_ns = hn_clock_ns(), work_ns = run->order->what.work_us * HN_US, ns;
    do {
        ns = hn_clock_ns() - begun_ns;
        if (libpool_worker_progress(run->worker, ns, work_ns, "it beats"))
            return -EPROTO;
        if (ns < work_ns)
            sleep_us(LOOK_US);
    } while (ns < work_ns);
    hang();
}

static int do_held(const struct run *run)
{
    _Atomic uint32_t *released = &bound.world->released[run->order->group % HN_GROUPS_MAX];
    while (!atomic_load(released))
        hn_futex_wait(released, 0, HN_NEVER);
    return 0;
}

static int do_trespass(const struct run *run)
{
    pid_t child;
    int fd;
    switch (run->order->what.trespass) {
    case HN_TRESPASS_SOCKET:
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd >= 0)
            close(fd);
        break;
    case HN_TRESPASS_EXEC: execl("/nowhere", "nowhere", NULL); break;
    case HN_TRESPASS_FORK:
        child = fork();
        if (child == 0)
            _exit(0);
        if (child > 0)
            waitpid(child, NULL, 0);
        break;
    case HN_TRESPASSES: return -EINVAL;
    }
    return 0;
}

/* What a task of a CALL is told: to work, or to call so many that are less deep. */
struct sub {
    uint64_t work_us;
    uint32_t subs, depth;
    uint32_t number; /* among those of its caller: it answers with that */
};

static int work_or_call(libpool_worker *worker, const struct sub *what);

static int run_sub(libpool_worker *worker, const void *input, size_t size)
{
    if (size != sizeof(struct sub))
        return -EBADMSG;
    const struct sub *what = input;
    atomic_fetch_add(&bound.world->calls.begun, 1);
    int error = work_or_call(worker, what);
    return error ? error : libpool_reply(worker, &what->number, sizeof what->number);
}

/* Of each its own, and an answer of those that have completed. */
static bool are_told(const libpool_result *const *results, uint32_t count)
{
    bool told = true;
    for (uint32_t i = 0; i < count; i++) {
        bool completed = results[i] && results[i]->cause == LIBPOOL_COMPLETED;
        bool own = !completed || (results[i]->data_size == sizeof i &&
                                  memcmp(results[i]->data, &i, sizeof i) == 0);
        told = told && results[i] && own;
    }
    return told;
}

/* Who may not wait does it all by itself. */
static int call_others(libpool_worker *worker, const struct sub *what)
{
    struct sub less[HN_SUBS_MAX];
    struct hn_calls *calls = &bound.world->calls;
    libpool_task tasks[HN_SUBS_MAX];
    const libpool_result *results[HN_SUBS_MAX];
    int error = 0;
    for (uint32_t i = 0; i < what->subs; i++) {
        less[i] = (struct sub){what->work_us, what->subs, what->depth - 1, i};
        tasks[i] = (libpool_task){.size = sizeof tasks[i],
                                  .function = run_sub,
                                  .input = &less[i],
                                  .input_size = sizeof less[i]};
    }
    atomic_fetch_add(&calls->called, what->subs);
    int code = libpool_worker_call(worker, tasks, what->subs, -1, results);
    if (code == 0 && !are_told(results, what->subs))
        return -EBADMSG;
    for (uint32_t i = 0; i < what->subs && code == 0; i++)
        atomic_fetch_add(&calls->told[results[i]->cause], 1);
    if (code)
        atomic_fetch_sub(&calls->called, what->subs);
    for (uint32_t i = 0; i < what->subs && code == -EDEADLK && !error; i++)
        error = work_or_call(worker, &less[i]);
    return code == -EDEADLK ? error : code;
}

static int work_or_call(libpool_worker *worker, const struct sub *what)
{
    if (what->depth)
        return call_others(worker, what);
    sleep_us(what->work_us);
    return 0;
}

static int do_call(const struct run *run)
{
    const struct hn_group *what = &run->order->what;
    const struct sub sub = {what->work_us, what->subs, what->depth, 0};
    return what->subs <= HN_SUBS_MAX ? work_or_call(run->worker, &sub) : -E2BIG;
}

/* ---- The wrapper ----------------------------------------------------------------------------- */

static int perform(const struct run *run)
{
    static int (*const verbs[HN_TASK_KINDS])(const struct run *run) = {
        [HN_TASK_NOOP] = do_noop,
        [HN_TASK_SLEEP] = do_sleep,
        [HN_TASK_SPIN] = do_spin,
        [HN_TASK_FAIL] = do_fail,
        [HN_TASK_HOG] = do_hog,
        [HN_TASK_ECHO] = do_echo,
        [HN_TASK_EXIT] = do_exit,
        [HN_TASK_EXIT_NOW] = do_exit_now,
        [HN_TASK_SEGV] = do_segv,
        [HN_TASK_ABORT] = do_abort,
        [HN_TASK_BUS] = do_bus,
        [HN_TASK_FPE] = do_fpe,
        [HN_TASK_ILL] = do_ill,
        [HN_TASK_STACK_OVERFLOW] = do_stack_overflow,
        [HN_TASK_HANG] = do_hang,
        [HN_TASK_SPIN_FOREVER] = do_spin_forever,
        [HN_TASK_STOP_SELF] = do_stop_self,
        [HN_TASK_BLOCK_SIGNALS] = do_block_signals,
        [HN_TASK_GRANDCHILD] = do_grandchild,
        [HN_TASK_LEAK_FDS] = do_leak_fds,
        [HN_TASK_DIE] = do_die,
        [HN_TASK_SCRIBBLE] = do_scribble,
        [HN_TASK_KILL_SELF] = do_kill_self,
        [HN_TASK_HOG_TREE] = do_hog_tree,
        [HN_TASK_LEAK] = do_leak,
        [HN_TASK_HEED] = do_heed,
        [HN_TASK_BEAT] = do_beat,
        [HN_TASK_EMIT] = do_emit,
        [HN_TASK_HELD] = do_held,
        [HN_TASK_TRESPASS] = do_trespass,
        [HN_TASK_CALL] = do_call,
    };
    if ((unsigned)run->order->what.kind >= HN_TASK_KINDS)
        return -EINVAL;
    return verbs[run->order->what.kind](run);
}

static void pass(const struct hn_record *event)
{
    struct hn_world *world = bound.world;
    if (hn_gate_pass(&world->gates, &world->history, event) != HN_ERRAND_FILL_FDS)
        return;
    struct hn_record done = *event;
    done.kind = HN_ERRAND;
    done.time_ns = 0;
    done.code = hn_fill_fds(NULL, 0);
    hn_history_append(&world->history, &done);
}

/* A worker may be a thread: then that is what the pool knows it by. */
static struct hn_record worker_event(enum hn_kind kind, const libpool_worker *worker)
{
    struct hn_record record = hn_record_of(kind);
    record.pid = gettid();
    record.slot = libpool_worker_slot(worker);
    return record;
}

static struct hn_record task_event(enum hn_kind kind, const struct run *run)
{
    struct hn_record record = worker_event(kind, run->worker);
    record.group = run->order->group;
    record.task = run->order->task;
    record.a = libpool_worker_task_id(run->worker);
    return record;
}

/* Its runs are counted where all workers see it. */
static bool works_now(const struct hn_order *order)
{
    if (!order->what.works_at)
        return false;
    return atomic_fetch_add(&bound.world->rows[order->task].runs, 1) + 1 >= order->what.works_at;
}

int hn_task_run(libpool_worker *worker, const void *input, size_t input_size)
{
    const struct hn_order *order = input;
    if (input_size < sizeof *order || input_size - sizeof *order != order->payload_size)
        return -EBADMSG;
    struct run run = {worker, order, (const uint8_t *)(order + 1)};
    struct hn_record start = task_event(HN_TASK_START, &run);
    if (bound.given)
        hn_outfit_say(bound.wanted, order->task); /* before it is known to have begun */
    pass(&start);
    if (bound.sabotage == HN_SABOTAGE_START_TWICE)
        hn_history_append(&bound.world->history, &start);
    if (bound.given)
        hn_outfit_check(bound.wanted, bound.given, &bound.world->findings);
    if (order->what.wears)
        hn_outfit_check_change(order->what.wears, &bound.world->findings);
    int code = works_now(order) ? 0 : perform(&run);
    struct hn_record end = task_event(HN_TASK_END, &run);
    end.code = code;
    hn_history_append(&bound.world->history, &end);
    return code;
}

/* ---- Initializer and finalizer ----------------------------------------------------------------- */

static void call_again(enum hn_call call, int code)
{
    struct hn_record record = hn_record_of(HN_REENTERED);
    record.a = (uint64_t)call;
    record.code = code;
    hn_history_append(&bound.world->history, &record);
}

/* Every call of its own pool that would deadlock in a worker. */
static void reenter(void)
{
    libpool *pool = bound.pool ? *bound.pool : NULL;
    libpool_task task = {.size = sizeof task, .function = hn_task_run};
    call_again(HN_CALL_SUBMIT, libpool_submit(pool, &task, -1, NULL));
    call_again(HN_CALL_SHUTDOWN, libpool_shutdown(pool, LIBPOOL_WAIT, -1));
}

static int misbehave(enum hn_callback how)
{
    switch (how) {
    case HN_CALLBACK_NONE:
    case HN_CALLBACK_OK: return 0;
    case HN_CALLBACK_ERROR: return -EIO;
    case HN_CALLBACK_EXIT: _exit(3);
    case HN_CALLBACK_EXIT0: exit(0);
    case HN_CALLBACK_SEGV: bad_access(); return 0;
    case HN_CALLBACK_ABORT: abort();
    case HN_CALLBACK_HANG: hang();
    case HN_CALLBACK_REENTER: reenter(); return 0;
    case HN_CALLBACK_FAIL:
        return atomic_fetch_add(&bound.world->initializer_runs, 1) < bound.initializer_fails ? -EIO
                                                                                             : 0;
    case HN_CALLBACKS: break;
    }
    return -EINVAL;
}

int hn_worker_initialize(libpool_worker *worker, void *arg)
{
    struct hn_record event = worker_event(HN_WORKER_INIT, worker);
    (void)arg;
    pass(&event);
    int rc = misbehave(bound.initializer);
    if (rc == 0 && bound.confine && bound.sabotage != HN_SABOTAGE_NO_SANDBOX)
        rc = bound.confine(worker, (void *)(uintptr_t)bound.sandbox);
    return rc;
}

void hn_worker_finalize(libpool_worker *worker, void *arg)
{
    struct hn_record event = worker_event(HN_WORKER_FINAL, worker);
    (void)arg;
    pass(&event);
    if (bound.sabotage == HN_SABOTAGE_FINAL_TWICE)
        hn_history_append(&bound.world->history, &event);
    misbehave(bound.finalizer);
    event.kind = HN_FINAL_END;
    event.time_ns = 0;
    hn_history_append(&bound.world->history, &event);
}
