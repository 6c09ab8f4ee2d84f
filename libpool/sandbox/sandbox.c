/* SPDX-License-Identifier: MIT */
/*
 * sandbox: the profiles as tables of calls. Two forbid what they name; "compute" allows what it names,
 * which is what worker_main and what it is built of do after the initializer.
 */
#include <libpool_sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define N(array_) (sizeof(array_) / sizeof((array_)[0]))

static int add_calls(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
    int error = 0;
    for (size_t i = 0; i < n && !error; i++)
        error = seccomp_rule_add(filter, action, calls[i], 0);
    return error;
}

/* All 64 bits count: what has more set than it should is not what is allowed. */
static int add_if(scmp_filter_ctx filter, uint32_t action, int call, unsigned argument,
                  enum scmp_compare compare, uint64_t first, uint64_t second)
{
    const struct scmp_arg_cmp is = {
        .arg = argument, .op = compare, .datum_a = first, .datum_b = second};
    return seccomp_rule_add_array(filter, action, call, 1, &is);
}

static int forbid_network(scmp_filter_ctx filter)
{
    static const int calls[] = {SCMP_SYS(io_uring_setup), SCMP_SYS(pidfd_getfd), SCMP_SYS(ptrace),
                                SCMP_SYS(process_vm_writev)};
    int error = add_if(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), 0, SCMP_CMP_NE, AF_UNIX, 0);
    return error ? error : add_calls(filter, SCMP_ACT_KILL_PROCESS, calls, N(calls));
}

static int forbid_exec(scmp_filter_ctx filter)
{
    static const int calls[] = {SCMP_SYS(execve), SCMP_SYS(execveat)};
    return add_calls(filter, SCMP_ACT_KILL_PROCESS, calls, N(calls));
}

static int allow_if(scmp_filter_ctx filter, int call, uint64_t first_argument)
{
    return add_if(filter, SCMP_ACT_ALLOW, call, 0, SCMP_CMP_EQ, first_argument, 0);
}

static int allow_without_code(scmp_filter_ctx filter, int call)
{
    return add_if(filter, SCMP_ACT_ALLOW, call, 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
}

/* Memory, but no code; signals, but to itself alone; prctl, as far as worker_main needs it. */
static int allow_some(scmp_filter_ctx filter)
{
    int error = allow_without_code(filter, SCMP_SYS(mmap));
    if (!error)
        error = allow_without_code(filter, SCMP_SYS(mprotect));
    if (!error)
        error = allow_if(filter, SCMP_SYS(tgkill), (uint64_t)getpid());
    if (!error) /* what LIBPOOL_TRACE ends with */
        error = allow_if(filter, SCMP_SYS(rt_tgsigqueueinfo), (uint64_t)getpid());
    if (!error)
        error = allow_if(filter, SCMP_SYS(prctl), PR_SET_PDEATHSIG);
    return error ? error : allow_if(filter, SCMP_SYS(prctl), PR_SET_CHILD_SUBREAPER);
}

/* What stdio asks of a descriptor: how it was opened, and of a device whether it is a terminal. */
static int allow_questions(scmp_filter_ctx filter)
{
    int error = add_if(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_CMP_EQ, F_GETFL, 0);
    return error ? error
                 : add_if(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_CMP_EQ, TCGETS, 0);
}

static int allow_computing(scmp_filter_ctx filter)
{
    static const int calls[] = {SCMP_SYS(futex),         SCMP_SYS(read),
                                SCMP_SYS(write),         SCMP_SYS(writev),
                                SCMP_SYS(lseek),         SCMP_SYS(close),
                                SCMP_SYS(fstat),         SCMP_SYS(newfstatat),
                                SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
                                SCMP_SYS(nanosleep),     SCMP_SYS(gettimeofday),
                                SCMP_SYS(sched_yield),   SCMP_SYS(getcpu),
                                SCMP_SYS(waitid),        SCMP_SYS(brk),
                                SCMP_SYS(munmap),        SCMP_SYS(mremap),
                                SCMP_SYS(madvise),       SCMP_SYS(getrandom),
                                SCMP_SYS(rt_sigreturn),  SCMP_SYS(rt_sigprocmask),
                                SCMP_SYS(rt_sigaction),  SCMP_SYS(restart_syscall),
                                SCMP_SYS(getpid),        SCMP_SYS(gettid),
                                SCMP_SYS(exit),          SCMP_SYS(exit_group),
                                SCMP_SYS(getrusage)};
    /* A worker looks into /proc for functions of shared objects, and takes a refusal for an answer. */
    static const int files[] = {SCMP_SYS(openat)};
    int error = add_calls(filter, SCMP_ACT_ALLOW, calls, N(calls));
    if (!error)
        error = add_calls(filter, SCMP_ACT_ERRNO(EACCES), files, N(files));
    if (!error)
        error = allow_questions(filter);
    return error ? error : allow_some(filter);
}

static const struct {
    const char *name;
    uint32_t otherwise;
    int (*fill)(scmp_filter_ctx filter);
} profiles[] = {
    {"no-network", SCMP_ACT_ALLOW, forbid_network},
    {"no-exec", SCMP_ACT_ALLOW, forbid_exec},
    {"compute", SCMP_ACT_KILL_PROCESS, allow_computing},
};

static int enter(size_t profile)
{
    scmp_filter_ctx filter = seccomp_init(profiles[profile].otherwise);
    if (!filter)
        return -ENOMEM;
    int error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!error)
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!error)
        error = profiles[profile].fill(filter);
    if (!error)
        error = seccomp_load(filter);
    seccomp_release(filter);
    return error;
}

/* After each task a worker clears up behind it by way of /proc, if it has any child. */
static bool has_child(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

int libpool_sandbox_profile(libpool_worker *worker, void *name)
{
    int saved_errno = errno, error = -EINVAL;
    for (size_t i = 0; worker && name && i < N(profiles); i++)
        if (strcmp(name, profiles[i].name) == 0)
            error = profiles[i].otherwise != SCMP_ACT_ALLOW && has_child() ? -EBUSY : enter(i);
    errno = saved_errno;
    return error;
}
