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
#include "parts.h"

static int read_options(libpool_options *options, const libpool_options *given)
{
    *options = (libpool_options){.size = sizeof *options};
    int error = given ? lp_door_copy(options, sizeof *options, given, given->size) : 0;
    options->size = sizeof *options;
    options->flags = (options->flags & ~(uint32_t)LIBPOOL_CALLBACKS) | LIBPOOL_NO_THREAD;
    if (!error && options->start == LIBPOOL_THREADS)
        error = -EINVAL; /* a process of its own is what was asked for */
    options->min_workers = options->max_workers = options->workers_limit = 1;
    options->spare_workers = 0;
    options->backlog_tasks = 1;
    return error;
}

int libpool_call(const libpool_task *task, const libpool_options *given, libpool_future **out)
{
    libpool_options options;
    libpool *pool;
    libpool_future *future = NULL;
    if (!out)
        return -EINVAL;
    *out = NULL;
    int error = task ? read_options(&options, given) : -EINVAL;
    if (!error)
        error = libpool_open(&pool, &options);
    if (error)
        return error;
    error = libpool_submit(pool, task, 0, &future);
    if (!error) {
        lp_parts_refuse(future); /* nobody has the future while they come */
        error = libpool_future_wait(future, -1);
    }
    libpool_close(pool);
    *out = future;
    return error;
}
