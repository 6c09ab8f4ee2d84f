/* SPDX-License-Identifier: MIT */
/*
 * The rows are one line each. Where this libc has no wrapper, or one that does more than the call
 * (fcntl's varargs, prctl's), the row is spelled out.
 */
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <sys/rseq.h>
#include <sys/single_threaded.h>
#endif

/* _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info) of the first published size, 64 bytes. */
#define PIDFD_GET_INFO_64 _IOC(_IOC_READ | _IOC_WRITE, 0xFF, 11, 64)

/* What the C libraries don't agree on. */
#ifdef __GLIBC__
typedef __rlimit_resource_t limit_resource;
typedef __rusage_who_t usage_of;
typedef unsigned long ioctl_request;
#else
typedef int limit_resource;
typedef int usage_of;
typedef int ioctl_request;
#endif

#define PAGE_BYTES 4096u
#define RSEQ_BYTES 32u /* of the first published struct rseq; a smaller size is refused */

static long outcome(int saved_errno, long result)
{
    long value = result == -1 ? -errno : result;
    errno = saved_errno;
    return value;
}

#define ROW(type, name, parameters, call)                \
    static type sys_##name parameters                    \
    {                                                    \
        int saved_errno = errno;                         \
        return (type)outcome(saved_errno, (long)(call)); \
    }

/*
 * Descriptors are closed and replaced by number: a newborn zygote has a table of its own, while the race
 * detector goes by the memory, which is still the host's, and takes what is done here for the host's.
 */
ROW(int, close, (int fd), syscall(SYS_close, fd))
ROW(int, close_range, (unsigned first, unsigned last), syscall(SYS_close_range, first, last, 0))
ROW(int, dup_from, (int fd, int lowest), fcntl(fd, F_DUPFD_CLOEXEC, lowest))
ROW(int, set_cloexec, (int fd, int on), fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0))
ROW(int, fcntl, (int fd, int command, long argument), fcntl(fd, command, argument))
ROW(int, pipe, (int fds[2], int flags), pipe2(fds, flags))
ROW(int, is_open, (int fd), fcntl(fd, F_GETFD))
ROW(int, dup_to, (int fd, int target, int flags),
    fd == target ? fcntl(fd, F_SETFD, (flags & O_CLOEXEC) != 0 ? FD_CLOEXEC : 0)
                 : syscall(SYS_dup3, fd, target, flags))

ROW(int, openat, (int directory_fd, const char *path, int flags),
    openat(directory_fd, path, flags | O_CLOEXEC))
ROW(ssize_t, read, (int fd, void *data, size_t size), read(fd, data, size))
ROW(ssize_t, pread, (int fd, void *data, size_t size, off_t offset), pread(fd, data, size, offset))
ROW(ssize_t, readlinkat, (int directory_fd, const char *path, char *text, size_t size),
    readlinkat(directory_fd, path, text, size))
ROW(int, fstat, (int fd, struct stat *status), fstat(fd, status))
ROW(int, memfd_create, (const char *name), memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING))
ROW(int, ftruncate, (int fd, off_t size), ftruncate(fd, size))
ROW(int, punch_hole, (int fd, off_t from, off_t size),
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, size))
ROW(ssize_t, write, (int fd, const void *data, size_t size), write(fd, data, size))
ROW(int, mkdirat, (int directory_fd, const char *path, mode_t mode),
    mkdirat(directory_fd, path, mode))
ROW(int, unlinkat, (int directory_fd, const char *path, int flags),
    unlinkat(directory_fd, path, flags))
ROW(ssize_t, getdents, (int directory_fd, void *data, size_t size),
    syscall(SYS_getdents64, directory_fd, data, size))

ROW(int, socketpair, (int type, int fds[2]), socketpair(AF_UNIX, type, 0, fds))
ROW(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
    sendmsg(fd, message, flags))
ROW(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), recvmsg(fd, message, flags))
ROW(int, eventfd, (unsigned count, int flags), eventfd(count, flags))
ROW(int, futex_wake, (const _Atomic uint32_t *word),
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0))
ROW(int, futex_wake_all, (const _Atomic uint32_t *word),
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0))
ROW(int, io_uring_setup, (uint32_t entries, void *parameters),
    syscall(SYS_io_uring_setup, entries, parameters))
ROW(int, io_uring_enter, (int ring_fd, uint32_t submit),
    syscall(SYS_io_uring_enter, ring_fd, submit, 0, 0, NULL, 0))
ROW(int, wipe_on_fork, (void *memory, size_t size), madvise(memory, size, MADV_WIPEONFORK))
ROW(int, set_inherited, (void *memory, size_t size, int on),
    madvise(memory, size, on ? MADV_DOFORK : MADV_DONTFORK))
ROW(int, use_huge_pages, (void *memory, size_t size), madvise(memory, size, MADV_HUGEPAGE))

ROW(int, poll, (struct pollfd * fds, nfds_t count, int timeout_ms), poll(fds, count, timeout_ms))
ROW(int, epoll_create, (int flags), epoll_create1(flags))
ROW(int, epoll_ctl, (int epoll_fd, int operation, int fd, struct epoll_event *event),
    epoll_ctl(epoll_fd, operation, fd, event))
ROW(int, epoll_wait, (int epoll_fd, struct epoll_event *events, int max, int timeout_ms),
    epoll_wait(epoll_fd, events, max, timeout_ms))
ROW(int, timerfd_create, (clockid_t clock, int flags), timerfd_create(clock, flags))
ROW(int, timerfd_settime, (int fd, int flags, const struct itimerspec *time),
    timerfd_settime(fd, flags, time, NULL))
ROW(int, signalfd, (const sigset_t *set, int flags), signalfd(-1, set, flags))
ROW(int, clock_gettime, (clockid_t clock, struct timespec *time), clock_gettime(clock, time))
ROW(int, sched_yield, (void), sched_yield())

ROW(pid_t, fork, (void), fork())

/*
 * clone() by its other name: ThreadSanitizer intercepts the usual one, takes the child for a fork
 * with a memory of its own, and spoils the state that a CLONE_VM child shares with us.
 */
#ifdef __GLIBC__
int __clone(int (*body)(void *), void *stack, int flags, void *arg, ...); /* NOLINT: glibc's */
#else
#define __clone clone
#endif
ROW(pid_t, clone, (int (*body)(void *), void *stack_top, int flags, void *arg),
    __clone(body, stack_top, flags, arg))
ROW(int, execve, (const char *path, char *const *argv, char *const *envp), execve(path, argv, envp))
ROW(pid_t, setsid, (void), setsid())
ROW(int, kill, (pid_t pid, int signal), kill(pid, signal))
ROW(int, pidfd_open, (pid_t pid), syscall(SYS_pidfd_open, pid, 0))
ROW(int, pidfd_send_signal, (int pidfd, int signal),
    syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0))
ROW(int, pidfd_info, (int pidfd, void *info), ioctl(pidfd, (ioctl_request)PIDFD_GET_INFO_64, info))
ROW(int, pidfd_getfd, (int pidfd, int fd), syscall(SYS_pidfd_getfd, pidfd, fd, 0))
ROW(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options),
    waitid(type, id, info, options))
ROW(pid_t, wait4, (pid_t pid, int *status, int options, struct rusage *usage),
    wait4(pid, status, options, usage))
ROW(int, prctl, (int option, unsigned long argument), prctl(option, argument, 0UL, 0UL, 0UL))
ROW(int, sigaction, (int signal, const struct sigaction *action, struct sigaction *old),
    sigaction(signal, action, old))
ROW(int, signal_mask, (int how, const sigset_t *set, sigset_t *old), sigprocmask(how, set, old))
ROW(int, signal_take, (const sigset_t *set), sigtimedwait(set, NULL, &(struct timespec){0}))
ROW(int, signal_stack, (void *memory, size_t size),
    sigaltstack(&(stack_t){.ss_sp = memory, .ss_size = size}, NULL))
ROW(int, getrusage, (int who, struct rusage *usage), getrusage((usage_of)who, usage))
ROW(int, setrlimit, (int resource, const struct rlimit *limit),
    setrlimit((limit_resource)resource, limit))
ROW(int, sched_setaffinity, (size_t size, const void *mask),
    syscall(SYS_sched_setaffinity, 0, size, mask))
ROW(int, sched_getaffinity, (size_t size, void *mask),
    syscall(SYS_sched_getaffinity, 0, size, mask))
ROW(int, chdir, (const char *path), chdir(path))
ROW(mode_t, umask, (mode_t mask), umask(mask))
ROW(int, unmap, (void *memory, size_t size), munmap(memory, size))

/* Where a filter refuses that, from itself. */
static int sys_signal_again(const siginfo_t *info)
{
    int saved_errno = errno;
    long error = syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), info->si_signo,
                         info);
    if (error == -1)
        error = syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), info->si_signo);
    return (int)outcome(saved_errno, error);
}

/* The libc's answer is the new value, of which -1 is one. */
static int sys_nice(int more)
{
    int saved_errno = errno;
    errno = 0;
    int error = nice(more) == -1 ? -errno : 0;
    errno = saved_errno;
    return error;
}

static int sys_get_robust_list(void **head)
{
    int saved_errno = errno;
    size_t size;
    return (int)outcome(saved_errno, syscall(SYS_get_robust_list, 0, head, &size));
}

static int sys_futex_wait(const _Atomic uint32_t *word, uint32_t value, int timeout_ms)
{
    struct timespec timeout = {.tv_sec = timeout_ms / 1000,
                               .tv_nsec = timeout_ms % 1000 * 1000000L};
    long done = syscall(SYS_futex, word, FUTEX_WAIT, value, timeout_ms < 0 ? NULL : &timeout, NULL,
                        0);
    return done < 0 ? -errno : 0;
}

static int sys_futex_wait_until(const _Atomic uint32_t *word, uint32_t value, uint64_t deadline_ns)
{
    int saved_errno = errno;
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                             .tv_nsec = (long)(deadline_ns % 1000000000u)};
    long done = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value,
                        deadline_ns == UINT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    int result = done < 0 ? -errno : 0;
    errno = saved_errno;
    return result;
}

#ifdef __GLIBC__
static void *thread_pointer(void)
{
#if defined(__x86_64__)
    void *pointer;
    __asm__("mov %%fs:0, %0" : "=r"(pointer));
    return pointer;
#else
    return __builtin_thread_pointer();
#endif
}

/* clone() with shared memory drops the registration; sched_getcpu() would tell a CPU of the past. */
static int sys_register_rseq(void)
{
    int saved_errno = errno;
    if (__rseq_size == 0)
        return 0;
    unsigned size = __rseq_size < RSEQ_BYTES ? RSEQ_BYTES : __rseq_size;
    char *area = (char *)thread_pointer() + __rseq_offset;
    return (int)outcome(saved_errno, syscall(SYS_rseq, area, size, 0, RSEQ_SIG));
}
#else /* nobody has registered any */
static int sys_register_rseq(void)
{
    return 0;
}
#endif

/* Another libc (musl) forgets in a child of fork() that there were others. */
static int sys_has_threads(void)
{
#ifdef __GLIBC__
    return !__libc_single_threaded;
#else
    return 1;
#endif
}

static void sys_exit_group(int code)
{
    (void)syscall(SYS_exit_group, code);
}

static void *map_pages(size_t size, int flags)
{
    int saved_errno = errno;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    errno = saved_errno;
    return memory == MAP_FAILED ? NULL : memory;
}

static void *sys_map(size_t size)
{
    return map_pages(size, MAP_PRIVATE);
}

/* Where the kernel does not take the advice they are only copied for nothing. */
static void *sys_map_own(size_t size)
{
    int saved_errno = errno;
    void *memory = map_pages(size, MAP_PRIVATE);
    if (memory)
        (void)madvise(memory, size, MADV_DONTFORK);
    errno = saved_errno;
    return memory;
}

static void *sys_map_shared(size_t size)
{
    return map_pages(size, MAP_SHARED);
}

static void *sys_remap(void *memory, size_t size, size_t new_size)
{
    int saved_errno = errno;
    void *moved = mremap(memory, size, new_size, MREMAP_MAYMOVE);
    errno = saved_errno;
    return moved == MAP_FAILED ? NULL : moved;
}

static int sys_map_file(int fd, size_t size, int writable, void **memory)
{
    int saved_errno = errno, error = 0;
    *memory = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (*memory == MAP_FAILED)
        error = -errno;
    errno = saved_errno;
    return error;
}

static int sys_map_part(int fd, size_t size, int64_t offset, void **memory)
{
    int saved_errno = errno, error = 0;
    *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
    if (*memory == MAP_FAILED)
        error = -errno;
    else
        (void)madvise(*memory, size, MADV_DONTFORK);
    errno = saved_errno;
    return error;
}

static void *sys_map_stack(size_t size)
{
    int saved_errno = errno;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED && mprotect(memory, PAGE_BYTES, PROT_NONE) != 0) {
        (void)munmap(memory, size);
        memory = MAP_FAILED;
    }
    errno = saved_errno;
    return memory == MAP_FAILED ? NULL : memory;
}

/* The libc asks /proc about the first thread's; where it can't, that one is as large as they come. */
static size_t sys_stack_left(void)
{
    pthread_attr_t attributes;
    void *lowest = NULL;
    size_t size = 0;
    int saved_errno = errno;
    int error = pthread_getattr_np(pthread_self(), &attributes);
    errno = saved_errno;
    if (error != 0)
        return SIZE_MAX;
    (void)pthread_attr_getstack(&attributes, &lowest, &size);
    (void)pthread_attr_destroy(&attributes);
    uintptr_t used = (uintptr_t)__builtin_frame_address(0) - (uintptr_t)lowest;
    return used < size ? used : 0;
}

#define ROWS                                                                                      \
    {                                                                                             \
        .fcntl = sys_fcntl, .pipe = sys_pipe, .close = sys_close, .close_range = sys_close_range, \
        .dup_from = sys_dup_from, .dup_to = sys_dup_to, .set_cloexec = sys_set_cloexec,           \
        .is_open = sys_is_open, .openat = sys_openat, .read = sys_read, .pread = sys_pread,       \
        .fstat = sys_fstat, .write = sys_write, .readlinkat = sys_readlinkat,                     \
        .mkdirat = sys_mkdirat, .unlinkat = sys_unlinkat, .getdents = sys_getdents,               \
        .socketpair = sys_socketpair, .sendmsg = sys_sendmsg, .recvmsg = sys_recvmsg,             \
        .eventfd = sys_eventfd, .futex_wait = sys_futex_wait, .futex_wake = sys_futex_wake,       \
        .poll = sys_poll, .epoll_create = sys_epoll_create, .epoll_ctl = sys_epoll_ctl,           \
        .epoll_wait = sys_epoll_wait, .timerfd_create = sys_timerfd_create,                       \
        .timerfd_settime = sys_timerfd_settime, .signalfd = sys_signalfd,                         \
        .clock_gettime = sys_clock_gettime, .sched_yield = sys_sched_yield, .fork = sys_fork,     \
        .clone = sys_clone, .exit_group = sys_exit_group, .setsid = sys_setsid, .kill = sys_kill, \
        .pidfd_open = sys_pidfd_open, .pidfd_send_signal = sys_pidfd_send_signal,                 \
        .pidfd_info = sys_pidfd_info, .waitid = sys_waitid, .wait4 = sys_wait4,                   \
        .prctl = sys_prctl, .register_rseq = sys_register_rseq, .sigaction = sys_sigaction,       \
        .signal_mask = sys_signal_mask, .map = sys_map, .unmap = sys_unmap, .remap = sys_remap,   \
        .map_shared = sys_map_shared, .map_file = sys_map_file,                                   \
        .futex_wait_until = sys_futex_wait_until, .futex_wake_all = sys_futex_wake_all,           \
        .wipe_on_fork = sys_wipe_on_fork, .use_huge_pages = sys_use_huge_pages,                   \
        .map_stack = sys_map_stack, .stack_left = sys_stack_left, .setrlimit = sys_setrlimit,     \
        .nice = sys_nice, .sched_setaffinity = sys_sched_setaffinity, .chdir = sys_chdir,         \
        .umask = sys_umask, .sched_getaffinity = sys_sched_getaffinity,                           \
        .signal_take = sys_signal_take, .memfd_create = sys_memfd_create,                         \
        .ftruncate = sys_ftruncate, .punch_hole = sys_punch_hole, .execve = sys_execve,           \
        .getrusage = sys_getrusage, .map_own = sys_map_own, .signal_again = sys_signal_again,     \
        .signal_stack = sys_signal_stack, .set_inherited = sys_set_inherited,                     \
        .has_threads = sys_has_threads, .get_robust_list = sys_get_robust_list,                   \
        .io_uring_setup = sys_io_uring_setup, .io_uring_enter = sys_io_uring_enter,               \
        .pidfd_getfd = sys_pidfd_getfd, .map_part = sys_map_part,                                 \
    }

const struct lp_sys lp_sys_kernel = ROWS;
#ifdef LP_TEST
struct lp_sys lp_sys = ROWS;
#else
const struct lp_sys lp_sys = ROWS;
#endif
