/* SPDX-License-Identifier: MIT */
/*
 * sys: every kernel call of libpool is a named row of one table.
 *
 * A row returns what the call returns, or -errno, and leaves the caller's errno alone. The table
 * is the porting list and the fault menu at once: in a release it is const; with -DLP_TEST a test
 * replaces rows, and falls through to lp_sys_kernel, which always holds the real ones.
 */
#ifndef LP_SYS_SYS_H
#define LP_SYS_SYS_H

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/wait.h>

struct lp_sys {
    /* descriptors */
    int (*close)(int fd);
    int (*close_range)(unsigned first, unsigned last);
    int (*dup_from)(int fd, int lowest);          /* F_DUPFD_CLOEXEC */
    int (*dup_to)(int fd, int target, int flags); /* dup3, but target == fd is fine */
    int (*set_cloexec)(int fd, int on);
    int (*fcntl)(int fd, int command, long argument);
    int (*pipe)(int fds[2], int flags);
    int (*is_open)(int fd); /* -EBADF when not */
    int (*fstat)(int fd, struct stat *status);
    int (*memfd_create)(const char *name); /* CLOEXEC, may be sealed */
    int (*ftruncate)(int fd, off_t size);
    int (*punch_hole)(int fd, off_t from, off_t size); /* gives the memory back, reads as zeros */

    /* files */
    int (*openat)(int directory_fd, const char *path, int flags);
    ssize_t (*read)(int fd, void *data, size_t size);
    ssize_t (*pread)(int fd, void *data, size_t size, off_t offset);
    ssize_t (*write)(int fd, const void *data, size_t size);
    ssize_t (*readlinkat)(int directory_fd, const char *path, char *text, size_t size);
    int (*mkdirat)(int directory_fd, const char *path, mode_t mode);
    int (*unlinkat)(int directory_fd, const char *path, int flags);
    ssize_t (*getdents)(int directory_fd, void *data, size_t size);

    /* between processes */
    int (*socketpair)(int type, int fds[2]);
    ssize_t (*sendmsg)(int fd, const struct msghdr *message, int flags);
    ssize_t (*recvmsg)(int fd, struct msghdr *message, int flags);
    int (*eventfd)(unsigned count, int flags);
    int (*futex_wait)(const _Atomic uint32_t *word, uint32_t value, int timeout_ms); /* shared */
    int (*futex_wake)(const _Atomic uint32_t *word); /* shared, one */
    int (*futex_wait_until)(const _Atomic uint32_t *word, uint32_t value,
                            uint64_t deadline_ns); /* private; CLOCK_MONOTONIC, UINT64_MAX: never */
    int (*futex_wake_all)(const _Atomic uint32_t *word); /* private */
    int (*get_robust_list)(void **head);                 /* of the calling thread */

    /* waiting */
    int (*poll)(struct pollfd *fds, nfds_t count, int timeout_ms);
    int (*epoll_create)(int flags);
    int (*epoll_ctl)(int epoll_fd, int operation, int fd, struct epoll_event *event);
    int (*epoll_wait)(int epoll_fd, struct epoll_event *events, int max, int timeout_ms);
    int (*timerfd_create)(clockid_t clock, int flags);
    int (*timerfd_settime)(int fd, int flags, const struct itimerspec *time);
    int (*signalfd)(const sigset_t *set, int flags);
    int (*clock_gettime)(clockid_t clock, struct timespec *time);
    int (*sched_yield)(void);
    int (*io_uring_setup)(uint32_t entries, void *parameters); /* a descriptor */
    int (*io_uring_enter)(int ring_fd, uint32_t submit);       /* waits for nothing */

    /* processes */
    pid_t (*fork)(void); /* glibc's: takes malloc's and stdio's locks */
    int (*has_threads)(
        void); /* has ever had, for all that the libc knows: then fork() costs more */
    pid_t (*clone)(int (*body)(void *), void *stack_top, int flags, void *arg);
    int (*execve)(const char *path, char *const *argv, char *const *envp);
    void (*exit_group)(int code); /* raw: no handler, no buffer */
    pid_t (*setsid)(void);
    int (*kill)(pid_t pid, int signal);
    int (*pidfd_open)(pid_t pid);
    int (*pidfd_send_signal)(int pidfd, int signal);
    int (*pidfd_info)(int pidfd, void *info); /* PIDFD_GET_INFO */
    int (*pidfd_getfd)(int pidfd, int fd);
    int (*waitid)(idtype_t type, id_t id, siginfo_t *info, int options);
    pid_t (*wait4)(pid_t pid, int *status, int options, struct rusage *usage);
    int (*prctl)(int option, unsigned long argument);
    int (*register_rseq)(void); /* again, as glibc did at the thread's start */
    int (*sigaction)(int signal, const struct sigaction *action, struct sigaction *old);
    int (*signal_mask)(int how, const sigset_t *set, sigset_t *old);
    int (*signal_take)(const sigset_t *set);    /* one that is pending; -EAGAIN: none is */
    int (*signal_again)(const siginfo_t *info); /* to this thread, as it came */
    int (*signal_stack)(void *memory, size_t size);
    int (*getrusage)(int who, struct rusage *usage);
    int (*setrlimit)(int resource, const struct rlimit *limit);
    int (*nice)(int more); /* the new value may be negative: 0 when it was set, else -errno */
    int (*sched_setaffinity)(size_t size, const void *mask);
    int (*sched_getaffinity)(size_t size, void *mask); /* bytes that were filled */
    int (*chdir)(const char *path);
    mode_t (*umask)(mode_t mask);

    /* memory */
    void *(*map)(size_t size);     /* private, anonymous; NULL when there is none */
    void *(*map_own)(size_t size); /* the same, and not there in children */
    int (*unmap)(void *memory, size_t size);
    void *(*remap)(void *memory, size_t size, size_t new_size); /* NULL: as it was */
    void *(*map_shared)(size_t size); /* anonymous; NULL when there is none */
    int (*map_file)(int fd, size_t size, int writable, void **memory); /* its beginning, shared */
    /* A part of it, shared, and not there in children. */
    int (*map_part)(int fd, size_t size, int64_t offset, void **memory);
    int (*wipe_on_fork)(void *memory, size_t size);
    int (*set_inherited)(void *memory, size_t size, int on); /* by children of fork() */
    int (*use_huge_pages)(void *memory, size_t size);        /* where the kernel has them */
    void *(*map_stack)(size_t size); /* a page that must not be touched, and the rest; unmap both */
    size_t (*stack_left)(void); /* of the calling thread's; 0: it runs on one of its own making */
};

extern const struct lp_sys lp_sys_kernel;

#ifdef LP_TEST
extern struct lp_sys lp_sys;
#else
extern const struct lp_sys lp_sys;
#endif

#endif
