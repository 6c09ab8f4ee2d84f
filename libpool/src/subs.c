/* SPDX-License-Identifier: MIT */
#include "subs.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "os/load.h"
#include "parts.h"
#include "submit.h"
#include "supervisor.h"
#include "visit.h"

#define TURN_PIECES 16u /* of results, told in one go: others wait, too */

struct lp_subs {
    struct lp_subs *next_due;
    libpool *pool;
    uint32_t slot, generation; /* of the worker whose task waits */
    uint64_t task_id, number;  /* that task, and its call */
    uint32_t priority;         /* its own */
    uint32_t count;            /* announced... */
    uint64_t bytes_left;       /* ...and of all names and inputs, what is still to come */
    uint32_t received;         /* of them */
    uint32_t open;             /* taken, not ended */
    int code;                  /* what the call returns */
    bool due;
    bool taken;    /* by the core, or refused */
    bool over;     /* nobody waits any more: what is left is cancelled */
    bool telling;  /* the worker is told results */
    bool orphaned; /* it has no line: the worker knows all, or its task has ended */
    bool header_sent;
    uint32_t told;
    size_t sent; /* bytes of the result that is being told */
    struct lp_sub subs[];
};

static size_t size_of(uint32_t count)
{
    return sizeof(struct lp_subs) + count * sizeof(struct lp_sub);
}

static void make_due(struct lp_subs *subs)
{
    if (subs->due)
        return;
    subs->due = true;
    subs->next_due = subs->pool->subs_due;
    subs->pool->subs_due = subs;
}

static void free_subs(struct lp_subs *subs)
{
    for (uint32_t i = 0; i < subs->count; i++) {
        lp_part_free(subs->subs[i].part);
        if (subs->subs[i].future)
            lp_future_drop(subs->subs[i].future);
    }
    lp_release(&subs->pool->allocator, subs, size_of(subs->count));
}

void lp_subs_end(struct lp_subs *subs, int code)
{
    subs->over = true;
    if (!subs->code)
        subs->code = code;
    make_due(subs);
}

void lp_subs_orphan(struct lp_line *line)
{
    line->subs->orphaned = line->subs->over = true;
    make_due(line->subs);
    line->subs = NULL;
}

void lp_subs_ended(libpool_future *future)
{
    struct lp_sub *sub = future->sub;
    lp_part_free(sub->part);
    sub->part = NULL;
    sub->ended = true;
    if (--sub->subs->open == 0)
        make_due(sub->subs);
}

/* ---- a word of the worker -------------------------------------------------------------------- */

static struct lp_subs *new_subs(libpool *pool, uint32_t slot, const struct lp_message *message)
{
    const struct lp_task *task = &pool->core.tasks.table[pool->core.workers[slot].task];
    struct lp_subs *subs = lp_alloc_zeroed(&pool->allocator, size_of(message->count));
    if (!subs)
        return NULL;
    *subs = (struct lp_subs){.pool = pool,
                             .slot = slot,
                             .generation = pool->lines[slot].generation,
                             .task_id = message->task_id,
                             .number = message->call,
                             .priority = task->spec.priority,
                             .count = message->count,
                             .bytes_left = message->bytes};
    return subs;
}

static void answer(libpool *pool, uint32_t slot, const struct lp_message *call, int code)
{
    struct lp_line *line = &pool->lines[slot];
    struct lp_message go = {
        .kind = LP_MESSAGE_GO, .task_id = call->task_id, .call = call->call, .code = code};
    if (lp_channel_send(&line->channel, &go) != 1)
        line->broken = true; /* all that it was sent before leaves room for this */
    lp_channel_ring(&line->channel);
    lp_supervisor_attend(pool, slot);
}

static int admit(libpool *pool, uint32_t slot, const struct lp_message *message)
{
    int error = lp_waiting_may(&pool->core, slot);
    if (!error)
        error = lp_pool_has_room(&pool->core, message->count, message->bytes);
    if (error == -EAGAIN || error == -ESHUTDOWN)
        lp_pool_reject(&pool->core, message->count);
    if (!error && !(pool->lines[slot].subs = new_subs(pool, slot, message)))
        error = -ENOMEM;
    return error;
}

/* It has claimed what it says it runs: that is not sent to it once more. */
static bool has_begun(const struct lp_line *line)
{
    return lp_channel_claimed(&line->channel) - line->results == 1;
}

/* What it had been sent ahead must not wait behind it. */
static bool begin(libpool *pool, uint32_t slot, const struct lp_message *message)
{
    struct lp_line *line = &pool->lines[slot];
    const struct lp_worker *worker = &pool->core.workers[slot];
    if (line->subs || line->sending || !has_begun(line) || !message->count ||
        message->count > LIBPOOL_CALL_TASKS)
        return false;
    lp_supervisor_recall(pool, slot);
    if (worker->state != LP_WORKER_BUSY)
        return true; /* it was found to have written nonsense */
    if (line->sending)
        return false; /* it has taken the claim back since, and is being sent it again */
    int error = admit(pool, slot, message);
    struct lp_event event = {.kind = error ? LP_EVENT_TICK : LP_EVENT_WAITS,
                             .slot = slot,
                             .generation = line->generation,
                             .task_id = message->task_id};
    lp_channel_read_started(&line->channel, &event.started_id, &event.started_ns);
    answer(pool, slot, message, error);
    lp_supervisor_step(pool, &event);
    return true;
}

static bool is_name(const char *name, size_t size)
{
    if (size == 0)
        return true;
    const char *end = memchr(name, '\0', size), *last = name + size - 1;
    return size <= LP_LOAD_NAME_BYTES && end && end < last &&
           memchr(end + 1, '\0', (size_t)(last - end)) == last;
}

/* One of them, as it came. False: it is none. */
static bool keep(struct lp_subs *subs, const struct lp_message *message, struct lp_part *part)
{
    uint64_t fixed = sizeof(libpool_task) + (uint64_t)message->name_size;
    if (message->size < fixed) {
        lp_part_free(part);
        return false;
    }
    struct lp_sub *sub = &subs->subs[subs->received++];
    *sub = (struct lp_sub){.subs = subs, .part = part, .name_size = message->name_size};
    subs->bytes_left -= message->size - sizeof(libpool_task);
    if (subs->received == subs->count)
        make_due(subs);
    return !part || is_name((const char *)part->data + sizeof(libpool_task), sub->name_size);
}

/* One that hangs up when the last has just ended is late: it has been told. */
bool lp_subs_hear(libpool *pool, uint32_t slot, const struct lp_message *message)
{
    struct lp_line *line = &pool->lines[slot];
    struct lp_subs *subs = line->subs;
    bool is_its = subs && subs->number == message->call;
    if (message->kind == LP_MESSAGE_CALL)
        return begin(pool, slot, message);
    if (message->kind == LP_MESSAGE_SUBTASK) {
        if (!is_its || subs->received == subs->count ||
            !keep(subs, message, lp_line_take_part(line)))
            return false;
    } else if (is_its) {
        lp_subs_end(subs, -ETIMEDOUT);
    }
    if (pool->subs_due)
        lp_supervisor_perform(pool);
    return true;
}

uint64_t lp_subs_most(const struct lp_subs *subs)
{
    return subs && subs->received < subs->count ? sizeof(libpool_task) + subs->bytes_left : 0;
}

struct lp_part *lp_subs_room(const struct lp_subs *subs, size_t size)
{
    return subs ? lp_part_alloc(&subs->pool->allocator, size) : NULL;
}

/* ---- into the core ---------------------------------------------------------------------------- */

/* As it was said, but for what may not come from a worker: pointers, files, flags. */
static libpool_task make_task(const struct lp_subs *subs, const struct lp_sub *sub)
{
    libpool_task task;
    memcpy(&task, sub->part->data, sizeof task);
    const char *name = (const char *)sub->part->data + sizeof task;
    task.size = sizeof task;
    task.input = name + sub->name_size;
    task.input_size = sub->part->size - sizeof task - sub->name_size;
    task.flags = LIBPOOL_BORROW | LIBPOOL_DROP_PARTS;
    task.input_fd = 0;
    task.priority = task.priority ? task.priority : subs->priority;
    task.started = task.done = NULL;
    task.callback_arg = NULL;
    task.object = task.symbol = NULL;
    if (sub->name_size) {
        task.function = NULL;
        task.object = name;
        task.symbol = name + strlen(name) + 1;
    }
    return task;
}

/* All can be taken, or none is. There may have been no memory for one that came. */
static int check(libpool *pool, const struct lp_subs *subs)
{
    uint64_t bytes = 0, now_ns = lp_supervisor_now();
    int error = 0;
    for (uint32_t i = 0; i < subs->count && !error; i++) {
        if (!subs->subs[i].part)
            return -ENOMEM;
        libpool_task task = make_task(subs, &subs->subs[i]);
        error = lp_submit_check(pool, &task);
        if (!error && task.kind && lp_quarantine_holds(&pool->core.quarantine, task.kind, now_ns))
            error = -EKEYREJECTED;
        bytes += task.input_size + subs->subs[i].name_size;
    }
    return error ? error : lp_pool_has_room(&pool->core, subs->count, bytes);
}

/* What may fail, before the first is taken. */
static int make_futures(libpool *pool, struct lp_subs *subs)
{
    for (uint32_t i = 0; i < subs->count; i++) {
        libpool_task task = make_task(subs, &subs->subs[i]);
        subs->subs[i].future = lp_future_new(pool, &task, NULL);
        if (!subs->subs[i].future)
            return -ENOMEM;
    }
    return 0;
}

static void discard_futures(struct lp_subs *subs, uint32_t from)
{
    for (uint32_t i = from; i < subs->count && subs->subs[i].future; i++) {
        lp_future_discard(subs->subs[i].future);
        subs->subs[i].future = NULL;
    }
}

static int add(libpool *pool, struct lp_sub *sub)
{
    libpool_task task = make_task(sub->subs, sub);
    int error = lp_submit_inside(pool, &task, lp_supervisor_now(), sub->future);
    if (error)
        return error;
    sub->future->sub = sub;
    sub->future->is_sub = true;
    sub->subs->open++;
    return 0;
}

static void take(libpool *pool, struct lp_subs *subs)
{
    uint32_t added = 0;
    int error = check(pool, subs);
    if (!error)
        error = make_futures(pool, subs);
    while (added < subs->count && !error) {
        error = add(pool, &subs->subs[added]);
        added += !error;
        if (added % LP_ADDS_PER_BATCH == 0)
            lp_supervisor_perform(pool); /* what was noted of them */
    }
    discard_futures(subs, added);
    lp_pool_settle(&pool->core, lp_supervisor_now());
    lp_supervisor_perform(pool);
    if (error == -EAGAIN || error == -ESHUTDOWN || error == -EKEYREJECTED)
        lp_pool_reject(&pool->core, subs->count - added);
    if (error) {
        subs->code = error; /* whatever it was to be told: there are no results */
        lp_subs_end(subs, error);
    }
}

/* Who has a grace is only asked, and goes on without anybody who waits. */
static void cancel_open(libpool *pool, struct lp_subs *subs)
{
    for (uint32_t i = 0; i < subs->count && subs->open; i++)
        if (subs->subs[i].future && !subs->subs[i].ended)
            (void)lp_visit_cancel_inside(pool, subs->subs[i].future);
}

/* ---- results ---------------------------------------------------------------------------------- */

/* The addresses are the application's, and no worker's business. */
static int64_t write_result(struct lp_line *line, const libpool_result *result, size_t sent)
{
    size_t fixed = sizeof *result;
    if (sent < fixed) {
        libpool_result told = *result;
        told.data = told.tail = NULL;
        told.tail_size = 0;
        told.trace = NULL;
        return lp_channel_write(&line->channel, (const char *)&told + sent, fixed - sent,
                                result->data_size == 0);
    }
    sent -= fixed;
    return lp_channel_write(&line->channel, (const char *)result->data + sent,
                            result->data_size - sent, true);
}

static int tell_header(struct lp_line *line, const struct lp_subs *subs, enum lp_message_kind kind,
                       uint64_t size)
{
    struct lp_message message = {.kind = kind,
                                 .code = subs->code,
                                 .task_id = subs->task_id,
                                 .call = subs->number,
                                 .count = subs->told,
                                 .size = size};
    return lp_channel_send(&line->channel, &message);
}

/* Positive: something was told; 0: there is no room; else it has written nonsense. */
static int64_t tell_piece(struct lp_line *line, struct lp_subs *subs)
{
    while (subs->told < subs->count && !subs->subs[subs->told].ended)
        subs->told++;
    if (subs->told == subs->count) {
        int64_t sent = tell_header(line, subs, LP_MESSAGE_CALLED, 0);
        if (sent == 1) {
            line->sending = false;
            lp_subs_orphan(line);
        }
        return sent;
    }
    const libpool_result *result = &subs->subs[subs->told].future->result;
    size_t size = sizeof *result + result->data_size;
    if (!subs->header_sent) {
        int64_t sent = tell_header(line, subs, LP_MESSAGE_SUBRESULT, size);
        subs->header_sent = sent == 1;
        return sent;
    }
    int64_t n = write_result(line, result, subs->sent);
    subs->sent += n > 0 ? (size_t)n : 0;
    if (subs->sent == size) {
        subs->told++;
        subs->header_sent = false;
        subs->sent = 0;
    }
    return n;
}

void lp_subs_push(struct lp_line *line)
{
    for (uint32_t i = 0; i < TURN_PIECES && line->sending; i++) {
        int64_t n = tell_piece(line, line->subs);
        if (n <= 0) {
            line->broken = line->broken || n < 0;
            line->sending = n == 0;
            return;
        }
        lp_channel_ring(&line->channel);
    }
}

static void begin_telling(libpool *pool, struct lp_subs *subs)
{
    struct lp_line *line = &pool->lines[subs->slot];
    subs->telling = line->sending = true;
    lp_subs_push(line);
    lp_supervisor_attend(pool, subs->slot);
}

/* ---- what is due ------------------------------------------------------------------------------ */

static void settle_orphaned(libpool *pool, struct lp_subs *subs)
{
    struct lp_event event = {
        .kind = LP_EVENT_WAITED, .slot = subs->slot, .generation = subs->generation};
    bool told = subs->telling;
    subs->telling = false;
    if (told)
        lp_supervisor_step(pool, &event); /* if it is still there */
    if (subs->open == 0 && !subs->due)
        free_subs(subs);
}

static void settle(libpool *pool, struct lp_subs *subs)
{
    bool complete = subs->received == subs->count;
    if (complete && !subs->orphaned && !subs->taken) { /* also if it is over: each has its result */
        subs->taken = true;
        take(pool, subs);
    }
    if (subs->over)
        cancel_open(pool, subs);
    if (subs->due)
        return; /* something has happened meanwhile: from the beginning */
    if (subs->orphaned)
        settle_orphaned(pool, subs);
    else if (complete && !subs->telling && (subs->over || subs->open == 0))
        begin_telling(pool, subs);
}

/* What is performed meanwhile may make more due: it is done here, not further down. */
void lp_subs_settle(libpool *pool)
{
    if (pool->settles_subs)
        return;
    pool->settles_subs = true;
    while (pool->subs_due) {
        struct lp_subs *subs = pool->subs_due;
        pool->subs_due = subs->next_due;
        subs->due = false;
        settle(pool, subs);
    }
    pool->settles_subs = false;
}

void lp_subs_forget(libpool *pool)
{
    for (uint32_t slot = 0; pool->lines && slot < pool->core.slots; slot++)
        if (pool->lines[slot].subs)
            lp_subs_orphan(&pool->lines[slot]);
    while (pool->subs_due) {
        struct lp_subs *subs = pool->subs_due;
        pool->subs_due = subs->next_due;
        free_subs(subs);
    }
}
