/* SPDX-License-Identifier: MIT */
/* progress: what a task that runs says of itself, read by whoever holds its future. */
#include <libpool.h>

#include <errno.h>
#include <string.h>

#include "door.h"
#include "visit.h"

/* With the lock held. A board is its worker's: what another task has left there is not this one's. */
static int read_report(libpool *pool, const libpool_future *future, libpool_progress *progress)
{
    struct lp_progress report;
    if (lp_future_has_ended(future))
        return -ENOENT;
    const struct lp_task *task = &pool->core.tasks.table[future->task];
    if (task->state != LP_TASK_RUNNING && task->state != LP_TASK_PREFETCHED)
        return -ENOENT;
    const struct lp_board *board = lp_window_board(pool->lines[task->slot].window);
    int error = lp_board_read(board, &report);
    if (!error && report.task_id != task->id)
        error = -ENOENT;
    if (error)
        return error;
    progress->done = report.done;
    progress->total = report.total;
    progress->beat_ns = lp_board_last_beat(board);
    memcpy(progress->text, report.text, sizeof progress->text);
    return 0;
}

static int read_in_pool(libpool *pool, const libpool_future *future, libpool_progress *progress)
{
    int error = lp_door_check(pool);
    if (error)
        return error;
    pthread_mutex_lock(&pool->lock);
    error = read_report(pool, future, progress);
    pthread_mutex_unlock(&pool->lock);
    return error;
}

int libpool_future_progress(libpool_future *future, libpool_progress *progress)
{
    int error = future && progress ? lp_door_check_size(progress->size) : -EINVAL;
    if (error)
        return error;
    libpool_progress ours = {.size = progress->size};
    libpool *pool = lp_visit(future);
    if (!pool)
        return -ENOENT;
    error = read_in_pool(pool, future, &ours);
    lp_visit_leave(future, pool);
    if (!error)
        lp_door_give(progress, ours.size, &ours, sizeof ours);
    return error;
}
