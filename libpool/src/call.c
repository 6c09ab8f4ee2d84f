/* SPDX-License-Identifier: MIT */
/*
 * call: one function, once, in a process of its own.
 *
 * It is a pool of one worker that lives as long as the call: the same zygote, containment, deadlines and
 * diagnosis, so that nothing has to be told twice. The calling thread drives it; no thread is made.
 */
#include <libpool.h>

#include <errno.h>

#include "door.h"

int libpool_call(const libpool_task *task, const libpool_options *given, libpool_future **out)
{
    libpool_options options;
    libpool_task own;
    libpool *pool;
    libpool_future *future = NULL;
    if (!out)
        return -EINVAL;
    *out = NULL;
    int error = task ? lp_door_copy(&own, sizeof own, task, task->size) : -EINVAL;
    if (!error)
        error = lp_door_options_of_one(&options, given);
    if (!error && options.start == LIBPOOL_THREADS)
        error = -EINVAL; /* a process of its own is what was asked for */
    if (!error)
        error = libpool_open(&pool, &options);
    if (error)
        return error;
    own.size = sizeof own;
    own.flags |= LIBPOOL_DROP_PARTS; /* nobody has the future while they come */
    error = libpool_submit(pool, &own, 0, &future);
    if (!error)
        error = libpool_future_wait(future, -1);
    libpool_close(pool);
    *out = future;
    return error;
}
