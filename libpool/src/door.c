/* SPDX-License-Identifier: MIT */
#include "door.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "supervisor.h"

#define LARGEST_STRUCT_BYTES 4096u /* more is no size, but what lay there */

int lp_door_check(const libpool *pool)
{
    if (!pool)
        return -EINVAL;
    if (*pool->alive == LP_ALIVE)
        return 0;
    return *pool->alive == LP_ALIVE_IN_WORKER ? -EDEADLK : -ECHILD;
}

int lp_door_check_wait(const libpool *pool, int timeout_ms)
{
    int error = lp_door_check(pool);
    return !error && timeout_ms != 0 && lp_supervisor_is_worker(pool) ? -EDEADLK : error;
}

int lp_door_check_size(size_t their_size)
{
    if (their_size < sizeof(size_t))
        return -EINVAL;
    return their_size > LARGEST_STRUCT_BYTES ? -E2BIG : 0;
}

int lp_door_copy(void *ours, size_t our_size, const void *theirs, size_t their_size)
{
    const unsigned char *bytes = theirs;
    int error = lp_door_check_size(their_size);
    if (error)
        return error;
    for (size_t i = our_size; i < their_size; i++)
        if (bytes[i])
            return -E2BIG;
    memset(ours, 0, our_size);
    memcpy(ours, theirs, their_size < our_size ? their_size : our_size);
    return 0;
}

void lp_door_give(void *theirs, size_t their_size, const void *ours, size_t our_size)
{
    if (their_size > our_size)
        memset((char *)theirs + our_size, 0, their_size - our_size);
    memcpy(theirs, ours, their_size < our_size ? their_size : our_size);
}

uint64_t lp_door_deadline(int timeout_ms)
{
    return timeout_ms < 0 ? LP_FOREVER : lp_supervisor_now() + (uint64_t)timeout_ms * LP_MS;
}

int lp_door_left_ms(uint64_t deadline_ns)
{
    if (deadline_ns == LP_FOREVER)
        return -1;
    uint64_t now_ns = lp_supervisor_now();
    uint64_t left_ms = deadline_ns > now_ns ? (deadline_ns - now_ns + LP_MS - 1) / LP_MS : 0;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}
