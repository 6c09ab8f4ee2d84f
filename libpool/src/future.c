/* SPDX-License-Identifier: MIT */
#include "future.h"

#include <stddef.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rare.h"
#include "callbacks.h"
#include "describe.h"
#include "gather.h"
#include "os/load.h"
#include "os/pages.h"
#include "parts.h"
#include "supervisor.h"
#include "sys/sys.h"
#include "traces.h"

_Static_assert(offsetof(libpool_future, result) == 128, "two lines of the cache, and a third");
_Static_assert(offsetof(libpool_result, data_size) == 64, "which is all of the third");

/* The object and the symbol; their length was checked. */
static bool copy_name(libpool_future *future, const libpool_task *task)
{
    future->name_size = (uint16_t)lp_load_name_size(task->object, task->symbol);
    future->name = lp_alloc(&future->allocator, future->name_size);
    if (future->name)
        lp_load_write_name(future->name, task->object, task->symbol);
    return future->name != NULL;
}

static void give_back(libpool_future *future)
{
    if (future->item.slab) {
        lp_slab_give(&future->item);
        return;
    }
    libpool_allocator allocator = future->allocator;
    lp_release(&allocator, future, sizeof *future);
}

static void free_callback(libpool_future *future)
{
    if (future->callback)
        lp_release(&future->allocator, future->callback, sizeof *future->callback);
}

/* What is told of a task beside its end, if anything is. */
static LP_RARE void wipe_told(libpool_future *future)
{
    libpool_result *result = &future->result;
    result->user_ns = result->system_ns = result->max_rss_bytes = 0;
    result->memory_bytes = 0;
    result->tail = NULL;
    result->tail_size = 0;
    result->trace = NULL;
}

/* One of the slab's is the same pool's for ever. */
static LP_RARE void make(libpool_future *future, libpool *pool)
{
    future->allocator = pool->allocator;
    future->pool = pool;
    future->made = true;
}

libpool_future *lp_future_new(libpool *pool, const libpool_task *task, unsigned char *input)
{
    libpool_future *future = (libpool_future *)(void *)lp_slab_take(pool->futures);
    if (!future)
        return NULL;
    if (!future->made)
        make(future, pool);
    if (!future->canned)
        wipe_told(future);
    future->told = false;
    future->function = task->function;
    future->name_size = 0;
    future->callback = NULL;
    future->is_sub = false;
    if (task->started || task->done)
        future->callback = lp_callbacks_new(future, task);
    bool untold = (task->started || task->done) && !future->callback;
    if (untold || (task->symbol && !copy_name(future, task))) {
        free_callback(future);
        give_back(future);
        return NULL;
    }
    bool maps = task->flags & LIBPOOL_FILE;
    future->mapped_size = maps ? task->input_size : 0;
    future->mapped_fd = task->input_fd;
    future->writable = task->flags & LIBPOOL_FILE_SHARED;
    future->borrows = task->flags & LIBPOOL_BORROW;
    future->soft_signal = task->soft_signal;
    future->input = future->borrows ? task->input : input ? input : future->small;
    future->input_size = maps ? 0 : task->input_size;
    if (!input && !future->borrows && future->input_size)
        memcpy(future->small, task->input, future->input_size);
    future->data = NULL;
    future->parts = NULL;
    future->data_size = future->data_capacity = 0;
    atomic_store_explicit(&future->holders, future->callback ? 2 : 1, memory_order_relaxed);
    atomic_store_explicit(&future->state, task->flags & LIBPOOL_DROP_PARTS ? LP_FUTURE_DEAF : 0,
                          memory_order_relaxed);
    return future;
}

static LP_RARE void free_large_input(libpool_future *future)
{
    if (future->input != future->small && !future->borrows)
        lp_release(&future->allocator, (void *)(uintptr_t)future->input, future->input_size);
    future->input = future->small;
    if (future->name_size)
        lp_release(&future->allocator, future->name, future->name_size);
    future->name_size = 0;
}

static inline void free_input(libpool_future *future)
{
    if (future->input != future->small || future->name_size)
        free_large_input(future);
}

static LP_RARE void free_told(libpool_future *future)
{
    const libpool_result *result = &future->result;
    if (result->tail)
        lp_release(&future->allocator, (void *)(uintptr_t)result->tail, future->tail_capacity);
    if (result->trace)
        lp_traces_release(result->trace, &future->allocator);
}

void lp_future_discard(libpool_future *future)
{
    free_input(future);
    free_callback(future);
    lp_parts_free(future);
    if (future->told)
        free_told(future);
    if (future->data)
        lp_release(&future->allocator, future->data, future->data_capacity);
    give_back(future);
}

/* The last holder needs no swap: nobody else can change the count. The pool does not count itself. */
void lp_future_drop(libpool_future *future)
{
    if (atomic_load_explicit(&future->holders, memory_order_acquire) != 1 &&
        atomic_fetch_sub_explicit(&future->holders, 1, memory_order_acq_rel) != 1)
        return;
    bool ended = lp_future_has_ended(future);
    if (!ended)
        ended = atomic_fetch_or_explicit(&future->state, LP_FUTURE_UNOWNED, memory_order_acq_rel) &
                LP_FUTURE_ENDED;
    if (ended)
        lp_future_discard(future);
}

bool lp_future_is_unowned(const libpool_future *future)
{
    bool callback_only = future->callback &&
                         atomic_load_explicit(&future->holders, memory_order_relaxed) == 1;
    return callback_only ||
           atomic_load_explicit(&future->state, memory_order_relaxed) & LP_FUTURE_UNOWNED;
}

bool lp_future_reserve(libpool_future *future, size_t size)
{
    if (size <= future->data_capacity)
        return true;
    size_t capacity = future->data_capacity ? future->data_capacity : size;
    while (capacity < size)
        capacity = capacity > SIZE_MAX / 2 ? size : capacity * 2;
    unsigned char *data = lp_grow(&future->allocator, future->data, future->data_capacity,
                                  future->data_size, capacity);
    if (!data)
        return false;
    if (!future->allocator.allocate)
        lp_pages_will_fill(data, capacity);
    future->data = data;
    future->data_capacity = capacity;
    return true;
}

/* Its result is not as others are. */
static void tell(libpool_future *future)
{
    future->told = true;
    future->canned = false;
}

void lp_future_set_trace(libpool_future *future, const libpool_trace *trace)
{
    tell(future);
    future->result.trace = trace;
}

void lp_future_set_usage(libpool_future *future, uint64_t user_ns, uint64_t system_ns,
                         uint64_t max_rss_bytes)
{
    if (!future->told && !user_ns && !system_ns && !max_rss_bytes)
        return;
    tell(future);
    future->result.user_ns = user_ns;
    future->result.system_ns = system_ns;
    future->result.max_rss_bytes = max_rss_bytes;
}

void lp_future_set_tail(libpool_future *future, void *data, size_t capacity, size_t size)
{
    tell(future);
    future->result.tail = data;
    future->result.tail_size = size;
    future->tail_capacity = capacity;
}

/*
 * From here on it belongs to those who hold it, and may be gone: its word's address is all that is used.
 * Who gathers it is told in the future itself, which is held for that; that it is gathered is said under
 * the lock only.
 */
static uint32_t set_ended(libpool_future *future)
{
    bool gathered = atomic_load_explicit(&future->state, memory_order_relaxed) & LP_FUTURE_GATHERED;
    if (gathered)
        atomic_fetch_add_explicit(&future->holders, 1, memory_order_relaxed);
    uint32_t before = atomic_fetch_or_explicit(&future->state, LP_FUTURE_ENDED,
                                               memory_order_acq_rel);
    if (before & LP_FUTURE_UNOWNED) {
        lp_future_discard(future);
        return before;
    }
    if (before & LP_AWAITED)
        (void)lp_sys.futex_wake_all(&future->state);
    if (gathered) {
        lp_gather_tell(future);
        lp_future_drop(future);
    }
    return before;
}

/* It ran, once, and completed; there is nothing else to be told. */
static bool is_usual(const libpool_future *future, const struct lp_outcome *outcome)
{
    return outcome->cause == LIBPOOL_COMPLETED && outcome->certainty == LIBPOOL_HAS_RUN &&
           outcome->attempts == 1 && outcome->retried_cause == LIBPOOL_PENDING &&
           !future->data_size && !future->told;
}

/* What is the same for all that only complete. */
static LP_RARE void fill_in_rest(libpool_future *future, const struct lp_outcome *outcome)
{
    libpool_result *result = &future->result;
    bool ran = outcome->certainty == LIBPOOL_HAS_RUN;
    result->data_size = ran ? future->data_size : 0;
    result->attempts = outcome->attempts;
    result->retried_cause = outcome->retried_cause;
    lp_describe(result, outcome->silent_ms, result->text, sizeof result->text);
    if (result->cause == LIBPOOL_MEMORY) {
        uint64_t pools_bytes = future->pool->options.memory_limit_bytes;
        uint64_t own_bytes = outcome->memory_limit_bytes;
        result->memory_bytes = outcome->memory_bytes;
        lp_describe_memory(result, own_bytes ? own_bytes : pools_bytes, result->text,
                           sizeof result->text);
    }
    if (future->name_size && !ran && result->cause == LIBPOOL_ERROR && future->data_size)
        lp_describe_refusal(result, future->data, future->data_size);
}

uint32_t lp_future_complete(libpool_future *future, uint64_t task_id,
                            const struct lp_outcome *outcome)
{
    bool ran = outcome->certainty == LIBPOOL_HAS_RUN;
    libpool_result *result = &future->result; /* each field, not the whole: most of it is text */
    result->cause = outcome->cause;
    result->certainty = outcome->certainty;
    result->code = outcome->code;
    result->signal = outcome->signal;
    result->core_dumped = outcome->core_dumped;
    result->slot = outcome->number;
    result->pid = outcome->pid;
    result->task_id = task_id;
    result->pending_ns = outcome->pending_ns;
    result->running_ns = outcome->running_ns;
    result->data = ran && future->data_size ? future->data : NULL;
    bool usual = is_usual(future, outcome);
    if (!usual || !future->canned)
        fill_in_rest(future, outcome);
    future->canned = usual;
    free_input(future);
    return set_ended(future) / LP_FUTURE_VISITOR;
}

bool lp_future_has_ended(const libpool_future *future)
{
    return atomic_load_explicit(&future->state, memory_order_acquire) & LP_FUTURE_ENDED;
}

bool lp_future_visit(libpool_future *future)
{
    if (lp_future_has_ended(future))
        return false;
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
