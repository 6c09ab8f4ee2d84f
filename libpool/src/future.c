/* SPDX-License-Identifier: MIT */
#include "future.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "describe.h"
#include "sys/sys.h"

libpool_future *lp_future_new(const libpool_allocator *allocator, libpool *pool,
                              const libpool_task *task)
{
    libpool_future *future = lp_alloc(allocator, sizeof *future);
    if (!future)
        return NULL;
    memset(future, 0, sizeof *future);
    future->allocator = *allocator;
    future->pool = pool;
    future->function = task->function;
    atomic_store_explicit(&future->holders, 1, memory_order_relaxed);
    if (task->input_size == 0)
        return future;
    future->input = lp_alloc(allocator, task->input_size);
    if (!future->input) {
        lp_future_drop(future);
        return NULL;
    }
    memcpy(future->input, task->input, task->input_size);
    future->input_size = task->input_size;
    return future;
}

void lp_future_hold(libpool_future *future)
{
    atomic_fetch_add_explicit(&future->holders, 1, memory_order_relaxed);
}

static void free_input(libpool_future *future)
{
    lp_release(&future->allocator, future->input, future->input_size);
    future->input = NULL;
}

void lp_future_drop(libpool_future *future)
{
    if (atomic_fetch_sub_explicit(&future->holders, 1, memory_order_acq_rel) != 1)
        return;
    libpool_allocator allocator = future->allocator;
    free_input(future);
    lp_release(&allocator, future->data, future->data_capacity);
    lp_release(&allocator, future, sizeof *future);
}

bool lp_future_reserve(libpool_future *future, size_t size)
{
    if (size <= future->data_capacity)
        return true;
    size_t capacity = future->data_capacity ? future->data_capacity : size;
    while (capacity < size)
        capacity = capacity > SIZE_MAX / 2 ? size : capacity * 2;
    unsigned char *data = lp_alloc(&future->allocator, capacity);
    if (!data)
        return false;
    if (future->data_size)
        memcpy(data, future->data, future->data_size);
    lp_release(&future->allocator, future->data, future->data_capacity);
    future->data = data;
    future->data_capacity = capacity;
    return true;
}

uint32_t lp_future_complete(libpool_future *future, uint64_t task_id,
                            const struct lp_outcome *outcome)
{
    bool ran = outcome->certainty == LIBPOOL_HAS_RUN;
    future->result = (libpool_result){
        .cause = outcome->cause,
        .certainty = outcome->certainty,
        .code = outcome->code,
        .signal = outcome->signal,
        .core_dumped = outcome->core_dumped,
        .slot = outcome->slot,
        .pid = outcome->pid,
        .task_id = task_id,
        .pending_ns = outcome->pending_ns,
        .running_ns = outcome->running_ns,
        .data = ran && future->data_size ? future->data : NULL,
        .data_size = ran ? future->data_size : 0,
    };
    lp_describe(&future->result, future->result.text, sizeof future->result.text);
    free_input(future);
    uint32_t before = atomic_fetch_or_explicit(&future->state, LP_FUTURE_ENDED,
                                               memory_order_acq_rel);
    if (before & LP_FUTURE_AWAITED)
        (void)lp_sys.futex_wake_all(&future->state);
    return before / LP_FUTURE_VISITOR;
}

bool lp_future_has_ended(const libpool_future *future)
{
    return atomic_load_explicit(&future->state, memory_order_acquire) & LP_FUTURE_ENDED;
}

bool lp_future_visit(libpool_future *future)
{
    uint32_t before = atomic_fetch_add_explicit(&future->state, LP_FUTURE_VISITOR,
                                                memory_order_acq_rel);
    if (!(before & LP_FUTURE_ENDED))
        return true;
    atomic_fetch_sub_explicit(&future->state, LP_FUTURE_VISITOR, memory_order_acq_rel);
    return false;
}

bool lp_future_leave(libpool_future *future)
{
    uint32_t before = atomic_fetch_sub_explicit(&future->state, LP_FUTURE_VISITOR,
                                                memory_order_acq_rel);
    return before & LP_FUTURE_ENDED;
}

int lp_future_wait_until(libpool_future *future, uint64_t deadline_ns)
{
    uint32_t state = atomic_fetch_or(&future->state, LP_FUTURE_AWAITED) | LP_FUTURE_AWAITED;
    for (; !(state & LP_FUTURE_ENDED); state = atomic_load(&future->state)) {
        int error = lp_sys.futex_wait_until(&future->state, state, deadline_ns);
        if (error == -ETIMEDOUT && !lp_future_has_ended(future))
            return -ETIMEDOUT;
    }
    return 0;
}
