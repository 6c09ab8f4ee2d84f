/* SPDX-License-Identifier: MIT */
#include "worker_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "door.h"
#include "os/load.h"

struct lp_held_result {
    libpool_result result;
    _Alignas(16) unsigned char data[];
};

/* One call, as long as it lasts. */
struct call {
    libpool_worker *worker;
    struct lp_calling *calling;
    const libpool_task *tasks; /* elements of tasks->size bytes */
    size_t n;
    uint64_t bytes;       /* of all names and inputs */
    uint64_t deadline_ns; /* when it hangs up; LP_FOREVER: it has, or never will */
    bool lost;            /* there was no memory for a result */
};

void lp_calling_forget(struct lp_calling *calling)
{
    for (size_t i = 0; i < calling->n; i++)
        free(calling->held[i]);
    free(calling->held);
    calling->held = NULL;
    calling->n = 0;
}

/* ---- out ------------------------------------------------------------------------------------ */

/* What is not the same for all. The rest is for the host to say. */
static int check_task(const libpool_task *task)
{
    bool named = task->symbol != NULL;
    if ((task->flags & ~(uint32_t)LIBPOOL_BORROW) || task->started || task->done ||
        (task->input_size && !task->input) || named == (task->function != NULL) ||
        named == !task->object)
        return -EINVAL;
    return named && !lp_load_name_size(task->object, task->symbol) ? -ENAMETOOLONG : 0;
}

static int copy_task(const struct call *call, size_t i, libpool_task *task)
{
    const void *element = (const char *)call->tasks + i * call->tasks->size;
    if (((const libpool_task *)element)->size != call->tasks->size)
        return -EINVAL;
    return lp_door_copy(task, sizeof *task, element, call->tasks->size);
}

static uint32_t name_size(const libpool_task *task)
{
    return task->symbol ? (uint32_t)lp_load_name_size(task->object, task->symbol) : 0;
}

static int check(struct call *call)
{
    libpool_task task;
    int error = 0;
    if (!call->n || !call->tasks || call->tasks->size < sizeof(size_t) ||
        call->tasks->size % _Alignof(libpool_task))
        return -EINVAL;
    if (call->n > LIBPOOL_CALL_TASKS)
        return -E2BIG;
    for (size_t i = 0; i < call->n && !error; i++) {
        error = copy_task(call, i, &task);
        if (!error)
            error = check_task(&task);
        if (!error &&
            __builtin_add_overflow(call->bytes, task.input_size + name_size(&task), &call->bytes))
            error = -E2BIG;
    }
    return error;
}

static struct lp_message message_of(const struct call *call, enum lp_message_kind kind)
{
    return (struct lp_message){.kind = kind,
                               .task_id = libpool_worker_task_id(call->worker),
                               .call = call->calling->number};
}

static void send_task(const struct call *call, const libpool_task *task)
{
    char name[LP_LOAD_NAME_BYTES];
    struct lp_message message = message_of(call, LP_MESSAGE_SUBTASK);
    message.name_size = name_size(task);
    message.size = sizeof *task + message.name_size + task->input_size;
    if (message.name_size)
        lp_load_write_name(name, task->object, task->symbol);
    lp_worker_send(call->worker, &message);
    lp_worker_send_bytes(call->worker, task, sizeof *task, message.size == sizeof *task);
    lp_worker_send_bytes(call->worker, name, message.name_size, task->input_size == 0);
    lp_worker_send_bytes(call->worker, task->input, task->input_size, true);
    lp_worker_ring(call->worker);
}

/* The elements were checked; what another thread of the task makes of them since is its own matter. */
static void send_tasks(const struct call *call)
{
    libpool_task task;
    for (size_t i = 0; i < call->n; i++) {
        if (copy_task(call, i, &task))
            lp_worker_give_up(call->worker);
        send_task(call, &task);
    }
}

/* ---- in ------------------------------------------------------------------------------------- */

static void hang_up(struct call *call)
{
    struct lp_message message = message_of(call, LP_MESSAGE_HANG_UP);
    call->deadline_ns = LP_FOREVER;
    lp_worker_send(call->worker, &message);
    lp_worker_ring(call->worker);
}

/* What was sent ahead before the host knew of the call lies in front: it was taken back. */
static void receive(struct call *call, struct lp_message *message)
{
    for (;;) {
        if (!lp_worker_receive(call->worker, message, lp_door_left_ms(call->deadline_ns)))
            hang_up(call);
        else if (message->kind != LP_MESSAGE_TASK)
            return;
        else if (message->size)
            lp_worker_receive_bytes(call->worker, NULL, message->size, true);
    }
}

static void receive_result(struct call *call, const struct lp_message *message)
{
    struct lp_held_result *held;
    if (message->count >= call->n || message->size < sizeof held->result)
        lp_worker_give_up(call->worker);
    size_t size = message->size - sizeof held->result;
    held = malloc(sizeof *held + size);
    lp_worker_receive_bytes(call->worker, held ? &held->result : NULL, sizeof held->result, !size);
    lp_worker_receive_bytes(call->worker, held ? held->data : NULL, size, true);
    call->lost = call->lost || !held;
    if (!held)
        return;
    held->result.data = size ? held->data : NULL;
    held->result.tail = NULL;
    held->result.tail_size = 0;
    held->result.trace = NULL;
    free(call->calling->held[message->count]);
    call->calling->held[message->count] = held;
}

static int receive_results(struct call *call)
{
    for (;;) {
        struct lp_message message;
        receive(call, &message);
        if (message.kind == LP_MESSAGE_CALLED)
            return message.code;
        if (message.kind != LP_MESSAGE_SUBRESULT)
            lp_worker_give_up(call->worker);
        receive_result(call, &message);
    }
}

static int ask(struct call *call)
{
    struct lp_message message = message_of(call, LP_MESSAGE_CALL);
    message.count = (uint32_t)call->n;
    message.bytes = call->bytes;
    lp_worker_send(call->worker, &message);
    lp_worker_ring(call->worker);
    receive(call, &message);
    if (message.kind != LP_MESSAGE_GO)
        lp_worker_give_up(call->worker);
    return message.code;
}

static int make_room(struct call *call)
{
    lp_calling_forget(call->calling);
    call->calling->held = calloc(call->n, sizeof *call->calling->held);
    call->calling->n = call->calling->held ? call->n : 0;
    call->calling->number++;
    return call->calling->held ? 0 : -ENOMEM;
}

int libpool_worker_call(libpool_worker *worker, const libpool_task *tasks, size_t n, int timeout_ms,
                        const libpool_result **results)
{
    int error = lp_worker_may_call(worker);
    if (error)
        return error;
    struct call call = {.worker = worker,
                        .calling = lp_worker_calling(worker),
                        .tasks = tasks,
                        .n = n,
                        .deadline_ns = lp_door_deadline(timeout_ms)};
    error = check(&call);
    for (size_t i = 0; results && i < n; i++)
        results[i] = NULL;
    if (!error)
        error = make_room(&call);
    if (!error)
        error = ask(&call);
    if (error)
        return error;
    send_tasks(&call);
    error = receive_results(&call);
    for (size_t i = 0; results && i < n; i++)
        results[i] = call.calling->held[i] ? &call.calling->held[i]->result : NULL;
    return error || !call.lost ? error : -ENOMEM;
}
