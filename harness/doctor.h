/* SPDX-License-Identifier: MIT */
/*
 * doctor: what this machine lets us do, proven by doing it once.
 *
 * No capability is concluded from a version, a file's existence or a uid: a child is really killed
 * by the OOM killer, a fork really refused, a cgroup really killed. What can't be done comes with
 * the step that failed. Everything made for a proof is removed again.
 */
#ifndef HARNESS_DOCTOR_H
#define HARNESS_DOCTOR_H

#include <stddef.h>

enum hn_capability {
    HN_CAN_MEMCG = 0,   /* a limit on a cgroup of our own ends in an OOM kill that it counts */
    HN_CAN_PIDS_CGROUP, /* a limit on a cgroup of our own refuses a fork */
    HN_CAN_CGROUP_KILL, /* cgroup.kill kills what is in it */
    HN_CAN_FREEZER,     /* a frozen process does not run, a thawed one does */
    HN_CAN_STRESS_NG,   /* the command starts and loads a CPU */
    HN_CAN_SECCOMP,     /* a static rule answers a system call */
    HN_CAN_PTRACE,      /* a child can be stopped at its exit */
    HN_CAPABILITIES
};

/* 0: done; else -errno and one sentence that says which step failed. */
int hn_doctor_probe(enum hn_capability capability, char *why, size_t why_size);

#endif
