/* SPDX-License-Identifier: MIT */
#include "os/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <execinfo.h>
#endif

#include "sys/sys.h"

#define PAGE_BYTES 4096u
#define STACK_BYTES (96u * 1024)    /* the largest signal frames have 12 KiB, an unwinder takes 4 */
#define FOUND (LP_TRACE_FRAMES + 8) /* those of the handler, too */
#define TEXT_BYTES 4096u
#define SIGNALS (sizeof signals / sizeof signals[0])

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

/* At the top of the handler's stack. */
struct tracer {
    struct lp_trace *trace;
    const volatile uint64_t *task_id;
    pid_t pid;                 /* a child that the task has forked is not the worker */
    _Atomic uint32_t is_taken; /* a futex: the first thread that crashes writes */
    pthread_t thread;
    sigjmp_buf way_out; /* for a fault in the handler */
    uintptr_t pc, sp, fp;
    void *found[FOUND];
    bool is_guess; /* the last frame is one, so far */
    struct {
        uintptr_t base;
        char path[512];
    } object; /* of the line of /proc/self/maps before */
    uint32_t names_used;
    char text[TEXT_BYTES];
};

/* A handler is told nothing but its signal: the one word of libpool that is not somebody's. */
static struct tracer *the_tracer;

/* ---- unwinding ------------------------------------------------------------------------------ */

static void read_registers(struct tracer *tracer, const ucontext_t *context)
{
#if defined __x86_64__
    tracer->pc = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    tracer->sp = (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
    tracer->fp = (uintptr_t)context->uc_mcontext.gregs[REG_RBP];
#elif defined __aarch64__
    tracer->pc = (uintptr_t)context->uc_mcontext.pc;
    tracer->sp = (uintptr_t)context->uc_mcontext.sp;
    tracer->fp = (uintptr_t)context->uc_mcontext.regs[29];
#else
    (void)tracer, (void)context;
#endif
}

#ifdef __GLIBC__
static void unwind(struct tracer *tracer)
{
    (void)backtrace(tracer->found, (int)FOUND);
}
#else
/* Each frame lies above the one before; a chain that leads elsewhere ends. */
static void unwind(struct tracer *tracer)
{
    uintptr_t at = tracer->fp, below = tracer->sp;
    tracer->found[0] = (void *)tracer->pc;
    for (unsigned n = 1; n < FOUND && at % sizeof at == 0 && at >= below; n++) {
        const uintptr_t *frame = (const uintptr_t *)at; /* NOLINT: an address */
        tracer->found[n] = (void *)frame[1];
        below = at + 2 * sizeof at;
        at = frame[0];
    }
}
#endif

void lp_trace_preload(void)
{
#ifdef __GLIBC__
    void *frame;
    (void)backtrace(&frame, 1);
#endif
}

/* ---- the record ----------------------------------------------------------------------------- */

static void add_frame(struct lp_trace *trace, uintptr_t address)
{
    if (trace->count < LP_TRACE_FRAMES)
        trace->frames[trace->count++] = (struct lp_trace_frame){.address = address};
}

/* What is certain, at once: the rest may fail. */
static void record(struct tracer *tracer, const siginfo_t *info)
{
    struct lp_trace *trace = tracer->trace;
    bool is_fault = info->si_code > 0;
    trace->signal = info->si_signo;
    trace->code = info->si_code;
    trace->sender = is_fault ? 0 : info->si_pid;
    trace->fault_address = is_fault ? (uint64_t)(uintptr_t)info->si_addr : 0;
    trace->count = 0;
    trace->names[0] = 0;
    tracer->names_used = 1;
    add_frame(trace, tracer->pc);
    atomic_store_explicit(&trace->task_id, *tracer->task_id, memory_order_release);
}

static void add_callers(struct tracer *tracer)
{
    unsigned at = 0;
    while (at < FOUND && (uintptr_t)tracer->found[at] != tracer->pc)
        at++;
    for (at++; at < FOUND && tracer->found[at]; at++)
        add_frame(tracer->trace, (uintptr_t)tracer->found[at]);
}

/* A call that led nowhere has pushed where it came from. It counts if there is code. */
static void guess_caller(struct tracer *tracer)
{
    uintptr_t caller = 0;
    if (tracer->trace->count != 1 || !tracer->sp)
        return;
    memcpy(&caller, (const void *)tracer->sp, sizeof caller); /* NOLINT: an address */
    add_frame(tracer->trace, caller);
    tracer->is_guess = true;
}

/* ---- objects -------------------------------------------------------------------------------- */

static const char *read_hex(const char *at, uintptr_t *value)
{
    for (*value = 0;; at++) {
        unsigned digit = (unsigned char)*at;
        digit = digit >= 'a' ? digit - 'a' + 10 : digit - '0';
        if (digit > 15)
            return at;
        *value = *value * 16 + digit;
    }
}

/* Where the name begins; the last one again if it is that. 0: no name, or no room. */
static uint32_t keep_name(struct tracer *tracer, const char *path)
{
    struct lp_trace *trace = tracer->trace;
    size_t size = strlen(path) + 1;
    for (uint32_t i = 0; i < trace->count; i++)
        if (trace->frames[i].name && strcmp(trace->names + trace->frames[i].name, path) == 0)
            return trace->frames[i].name;
    if (size == 1 || size > LP_TRACE_NAMES - tracer->names_used)
        return 0;
    uint32_t name = tracer->names_used;
    memcpy(trace->names + name, path, size);
    tracer->names_used += (uint32_t)size;
    return name;
}

static void note_mapping(struct tracer *tracer, uintptr_t first, uintptr_t end, bool is_code)
{
    struct lp_trace *trace = tracer->trace;
    for (uint32_t i = 0; i < trace->count && i < LP_TRACE_FRAMES; i++) {
        struct lp_trace_frame *frame = &trace->frames[i];
        if (frame->address < first || frame->address >= end)
            continue;
        frame->offset = frame->address - tracer->object.base;
        frame->name = keep_name(tracer, tracer->object.path);
        if (is_code && i == trace->count - 1)
            tracer->is_guess = false;
    }
}

/* "first-end rwxp offset device inode   path"; an object's mappings follow one another. */
static void take_line(struct tracer *tracer, const char *line)
{
    uintptr_t first, end;
    const char *at = read_hex(line, &first);
    if (*at != '-')
        return;
    at = read_hex(at + 1, &end);
    bool is_code = strnlen(at, 4) == 4 && at[3] == 'x';
    for (int column = 0; column < 4 && at; column++)
        at = strchr(at + 1, ' ');
    at = at ? at + strspn(at, " 0123456789") : ""; /* the inode, then the path */
    if (strncmp(at, tracer->object.path, sizeof tracer->object.path - 1) != 0 || !*at) {
        tracer->object.base = first;
        strncpy(tracer->object.path, at, sizeof tracer->object.path - 1);
    }
    note_mapping(tracer, first, end, is_code);
}

/* How much of the text was whole lines. */
static size_t take_lines(struct tracer *tracer, size_t size)
{
    char *at = tracer->text, *end;
    while ((end = memchr(at, '\n', size - (size_t)(at - tracer->text)))) {
        *end = 0;
        take_line(tracer, at);
        at = end + 1;
    }
    return (size_t)(at - tracer->text);
}

static void find_objects(struct tracer *tracer)
{
    size_t size = 0;
    ssize_t got;
    int fd = lp_sys.openat(AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && (got = lp_sys.read(fd, tracer->text + size, TEXT_BYTES - size)) > 0) {
        size += (size_t)got;
        size_t used = take_lines(tracer, size);
        size -= used;
        memmove(tracer->text, tracer->text + used, size);
        size = size < TEXT_BYTES ? size : 0; /* a line that is longer is no object of ours */
    }
    tracer->trace->count -= tracer->is_guess;
}

/* ---- the handler ---------------------------------------------------------------------------- */

static void on_crash(int number, siginfo_t *info, void *context);

/* Nothing comes in between, but faults that a step makes. */
static int arm(void)
{
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    int error = 0;
    (void)sigfillset(&action.sa_mask);
    for (size_t i = 0; i < SIGNALS && !error; i++)
        error = lp_sys.sigaction(signals[i], &action, NULL);
    return error;
}

/* A fault ends the step, and no more than that. */
static void attempt(struct tracer *tracer, void (*step)(struct tracer *tracer))
{
    sigset_t faults;
    (void)sigemptyset(&faults);
    for (size_t i = 0; i < SIGNALS; i++)
        (void)sigaddset(&faults, signals[i]);
    if (sigsetjmp(tracer->way_out, 1))
        return; /* with the mask as it was */
    (void)lp_sys.signal_mask(SIG_UNBLOCK, &faults, NULL);
    step(tracer);
    (void)lp_sys.signal_mask(SIG_BLOCK, &faults, NULL);
}

static void write_down(struct tracer *tracer, const siginfo_t *info, const void *context)
{
    static void (*const steps[])(struct tracer *) = {unwind, add_callers, guess_caller,
                                                     find_objects};
    tracer->thread = pthread_self();
    read_registers(tracer, context);
    record(tracer, info);
    (void)arm(); /* the task may have put its own in the place of some */
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        attempt(tracer, steps[i]);
}

/* Sent while it is blocked, it comes when the handler has returned: dies where it was, of what it had. */
static void die(const siginfo_t *info)
{
    const struct sigaction action = {.sa_handler = SIG_DFL};
    (void)lp_sys.sigaction(info->si_signo, &action, NULL);
    (void)lp_sys.signal_again(info);
}

static void on_crash(int number, siginfo_t *info, void *context)
{
    struct tracer *tracer = the_tracer;
    (void)number;
    if (getpid() == tracer->pid) {
        bool is_first = atomic_exchange(&tracer->is_taken, 1) == 0;
        if (!is_first && pthread_equal(tracer->thread, pthread_self()))
            siglongjmp(tracer->way_out, 1);
        while (!is_first) /* the process is about to die of the other's */
            (void)lp_sys.futex_wait(&tracer->is_taken, 1, -1);
        write_down(tracer, info, context);
    }
    die(info);
}

int lp_trace_install(struct lp_trace *trace, const uint64_t *task_id)
{
    char *stack = lp_sys.map_stack(STACK_BYTES);
    if (!stack)
        return -ENOMEM;
    size_t usable = (STACK_BYTES - PAGE_BYTES - sizeof(struct tracer)) & ~(size_t)63;
    the_tracer = (void *)(stack + PAGE_BYTES + usable);
    the_tracer->trace = trace;
    the_tracer->task_id = task_id;
    the_tracer->pid = getpid();
    int error = lp_sys.signal_stack(stack + PAGE_BYTES, usable);
    return error ? error : arm();
}

/* ---- in the host ---------------------------------------------------------------------------- */

void lp_trace_wipe(struct lp_trace *trace)
{
    atomic_store_explicit(&trace->task_id, 0, memory_order_relaxed);
}

bool lp_trace_read(const struct lp_trace *trace, uint64_t task_id, struct lp_trace *copy)
{
    if (atomic_load_explicit(&trace->task_id, memory_order_acquire) != task_id)
        return false;
    memcpy(copy, (const void *)trace, sizeof *copy); /* and it is not looked at again */
    if (copy->count > LP_TRACE_FRAMES)
        copy->count = LP_TRACE_FRAMES;
    for (uint32_t i = 0; i < copy->count; i++)
        if (copy->frames[i].name >= LP_TRACE_NAMES)
            copy->frames[i].name = 0;
    copy->names[0] = copy->names[LP_TRACE_NAMES - 1] = 0;
    return copy->count > 0;
}
