/* SPDX-License-Identifier: MIT */
/*
 * procfs: what the kernel says about processes.
 *
 * A pid is only a number until its start time is known: hn_process holds both, and two looks are at
 * the same process when both agree.
 */
#ifndef HARNESS_PROCFS_H
#define HARNESS_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct hn_process {
    pid_t pid;
    pid_t parent;
    pid_t group;
    pid_t session;
    char state; /* R S D Z T ... */
    uint32_t threads;
    uint64_t started; /* clock ticks since boot */
    char name[16];
};

/* Reads a small file whole, with a zero at the end. Bytes, or -errno. */
int hn_procfs_read(const char *path, char *text, size_t size);

/* Writes text to an existing file. 0 or -errno. */
int hn_procfs_write(const char *path, const char *text);

/* 0; -ESRCH: there is none. A zombie is there. */
int hn_process_look(pid_t pid, struct hn_process *process);

/* Still there, the same one, and no zombie. */
bool hn_process_lives(const struct hn_process *process);

/*
 * All descendants of root as of one pass over /proc, root itself not among them. How many there are
 * (may exceed max), or -errno. A tree that changes meanwhile needs several passes.
 */
int hn_process_descendants(pid_t root, struct hn_process *list, size_t max);

/* A number of /proc/PID/status ("SigPnd", base 16). 0 or -errno. */
int hn_process_status(pid_t pid, const char *field, int base, uint64_t *value);

/*
 * The cgroup of pid as /proc/PID/cgroup names it: controller "memory", "pids"..., "" for v2. 0 or
 * -ENOENT.
 */
int hn_process_cgroup(pid_t pid, const char *controller, char *path, size_t size);

/* "1234 (pool:0) S parent 12 wchan futex_wait" and so on, for people. */
void hn_process_describe(pid_t pid, char *text, size_t size);

#endif
