/* SPDX-License-Identifier: MIT */
/*
 * libpool_sandbox: workers that can do less. In an archive of its own, which needs libseccomp; libpool
 * itself does not: link with -lpool_sandbox -lpool -lseccomp.
 *
 *     options.initializer = libpool_sandbox_profile;
 *     options.initializer_arg = "no-network";
 *
 * An initializer of the application's calls it as its last step instead; several calls add up, of
 * which "compute" is the last: it forbids to enter another.
 */
#ifndef LIBPOOL_SANDBOX_H
#define LIBPOOL_SANDBOX_H

#include <libpool.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Puts the worker that calls it (in its initializer), all its threads and all that they start later into
 * a profile, for good. `name` is one of
 *
 *     "no-network"  no socket but of AF_UNIX, and no way around it by io_uring, ptrace or another
 *                   process's descriptors. What is open stays open; a local daemon can still be asked
 *     "no-exec"     no program is executed; fork is allowed
 *     "compute"     what a worker of libpool, malloc, stdio on open descriptors and abort() need. Opening a
 *                   file fails with EACCES; all else is forbidden, fork and threads, too. The
 *                   initializer must have left no child. A task function in a shared object that has
 *                   been unloaded is a crash then, not -EFAULT
 *
 * A forbidden call kills the process that makes it by SIGSYS: a worker's task ends as LIBPOOL_CRASH with
 * that signal; a child that a task has started dies alone. No program that is executed from then on
 * gains privileges (no_new_privs).
 * 0, -EINVAL (no worker, or an unknown name), -EBUSY ("compute": there is a child), -ENOMEM, or what the
 * kernel says; a worker whose initializer returns that has failed to start.
 */
int libpool_sandbox_profile(libpool_worker *worker, void *name);

#ifdef __cplusplus
}
#endif
#endif
