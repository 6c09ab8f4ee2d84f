/* SPDX-License-Identifier: MIT */
/*
 * deny: a kernel that does not have a system call, or a sandbox that forbids it.
 *
 * A static libseccomp rule answers the call with an errno, in the calling process and all it starts
 * from then on. It can't be undone, which is why each scenario has a fresh target.
 */
#ifndef HARNESS_DENY_H
#define HARNESS_DENY_H

#include <stddef.h>

#define HN_DENIALS_MAX 8

struct hn_denial {
    char call[32]; /* name, as libseccomp knows it */
    int error;     /* positive errno */
};

/* 0; -ENOENT: no such call; another -errno when the filter can't be loaded. */
int hn_deny(const struct hn_denial *denials, size_t count);

#endif
