/* SPDX-License-Identifier: MIT */
#include "line.h"

#include <assert.h>
#include <errno.h>

#include "core/limits.h"
#include "parts.h"
#include "subs.h"

#define PIECE_BYTES (64u * 1024)
#define RESERVE_BYTES ((size_t)64 << 20) /* a larger result has to arrive before it gets its room */
#define SCRATCH_BYTES 4096u
#define TURN_PIECES (LP_LINE_TURN_BYTES / SCRATCH_BYTES) /* however small they come */

/* Twice, because what was recalled lies there until the worker has dropped it. */
static_assert(2 * (LP_PREFETCH_MAX + 1) * (LP_PREFETCH_BYTES + sizeof(struct lp_message)) <=
                  LP_CHANNEL_RING_BYTES,
              "what is sent ahead has room");
static_assert(LP_PREFETCH_BYTES % sizeof(struct lp_message) == 0, "padding included");

static void drop_part(struct lp_line *line)
{
    lp_part_free(line->part);
    line->part = NULL;
}

void lp_line_reset(struct lp_line *line, uint32_t generation)
{
    drop_part(line);
    lp_channel_init_host(&line->channel, line->window, line->doorbell_fd);
    lp_channel_hush(&line->channel);
    line->pid = 0;
    line->generation = generation;
    line->owed = 0;
    line->watched = line->orphaned = line->again = line->broken = line->asked = false;
    line->future = NULL;
    line->sending = line->receiving = line->no_memory = false;
    line->results = 0;
    line->has_usage = false;
}

void lp_line_post(struct lp_line *line, enum lp_message_kind kind)
{
    struct lp_message message = {.kind = kind, .task_id = line->generation};
    if (lp_channel_send(&line->channel, &message) != 1)
        line->broken = true; /* an idle worker's ring is never full */
    lp_channel_ring(&line->channel);
}

/* The name of its function, if it has one, and the input. */
static size_t payload_size(const libpool_future *future)
{
    return future->name_size + future->input_size;
}

/* As much as fits of what follows the first `sent` bytes of the payload: its name, or its input. */
static int64_t write_payload(struct lp_line *line, const libpool_future *future, size_t sent)
{
    if (sent < future->name_size)
        return lp_channel_write(&line->channel, future->name + sent, future->name_size - sent,
                                future->input_size == 0);
    sent -= future->name_size;
    return lp_channel_write(&line->channel, future->input + sent, future->input_size - sent, true);
}

static bool send_header(struct lp_line *line, const libpool_future *future, uint64_t task_id)
{
    struct lp_message *message = lp_channel_place(&line->channel);
    if (!message) {
        line->broken = true;
        return false;
    }
    uint64_t function = future->name_size ? 0 : (uint64_t)(uintptr_t)future->function;
    *message = (struct lp_message){.kind = LP_MESSAGE_TASK,
                                   .task_id = task_id,
                                   .size = payload_size(future),
                                   .function = function,
                                   .name_size = future->name_size,
                                   .mapped_size = future->mapped_size,
                                   .mapped_fd = future->mapped_fd,
                                   .writable = future->writable,
                                   .epoch = line->channel.epoch,
                                   .soft_signal = future->soft_signal};
    lp_channel_send_placed(&line->channel);
    return true;
}

void lp_line_expect(struct lp_line *line, libpool_future *future)
{
    line->future = future;
    line->asked = false;
    future->data_size = 0; /* of an earlier attempt */
    line->no_memory = false;
    if (future->parts)
        lp_parts_forget(future);
}

void lp_line_assign(struct lp_line *line, libpool_future *future, uint64_t task_id)
{
    lp_line_expect(line, future);
    line->sent = 0;
    line->sending = send_header(line, future, task_id) && payload_size(future) > 0;
    if (line->sending)
        lp_line_push(line);
    lp_channel_ring(&line->channel);
}

void lp_line_prefetch(struct lp_line *line, const libpool_future *future, uint64_t task_id)
{
    if (!send_header(line, future, task_id))
        return;
    size_t size = payload_size(future);
    for (size_t sent = 0; sent < size && !line->broken;) {
        int64_t n = write_payload(line, future, sent);
        line->broken = n <= 0; /* there is room, unless the worker lies about it */
        sent += n > 0 ? (size_t)n : 0;
    }
}

void lp_line_push(struct lp_line *line)
{
    if (line->subs) {
        lp_subs_push(line);
        return;
    }
    size_t begun = line->sent;
    for (uint32_t i = 0;
         i < TURN_PIECES && line->sending && line->sent - begun < LP_LINE_TURN_BYTES; i++) {
        const libpool_future *future = line->future;
        int64_t n = write_payload(line, future, line->sent);
        if (n <= 0) {
            line->broken = line->broken || n < 0;
            line->sending = n == 0;
            return;
        }
        line->sent += (size_t)n;
        line->sending = line->sent < payload_size(future);
        lp_channel_ring(&line->channel);
    }
}

void lp_line_abandon(struct lp_line *line)
{
    line->future = NULL;
    line->sending = false;
    drop_part(line);
    if (line->subs)
        lp_subs_orphan(line);
}

/* Where the payload goes that is about to come. */
static void make_room(struct lp_line *line)
{
    libpool_future *future = line->future;
    size_t soon = line->missing < RESERVE_BYTES ? (size_t)line->missing : RESERVE_BYTES;
    if (line->message.kind == LP_MESSAGE_SUBTASK)
        line->part = lp_subs_room(line->subs, (size_t)line->missing);
    else if (line->message.kind == LP_MESSAGE_PART)
        line->part = future ? lp_part_new(future, (size_t)line->missing) : NULL;
    else if (future && !line->no_memory)
        line->no_memory = !lp_future_reserve(future, future->data_size + soon);
}

/* So large the payload of this message may be. What has come of a result counts. */
static uint64_t most_of(const struct lp_line *line, uint64_t result_bytes)
{
    enum lp_message_kind kind = (enum lp_message_kind)line->message.kind;
    if (kind == LP_MESSAGE_SUBTASK)
        return lp_subs_most(line->subs);
    if (kind == LP_MESSAGE_PART)
        return result_bytes;
    if (kind == LP_MESSAGE_REPLY || kind == LP_MESSAGE_RESULT)
        return result_bytes - (line->future ? line->future->data_size : 0);
    return 0;
}

static int begin_message(struct lp_line *line, uint64_t result_bytes)
{
    int got = lp_channel_receive(&line->channel, &line->message);
    if (got != 1)
        return got;
    if (line->message.size > most_of(line, result_bytes))
        return -EPROTO;
    line->missing = line->message.size;
    line->receiving = true;
    make_room(line);
    return 1;
}

/* Where the next piece of a result goes; NULL: nowhere. */
static unsigned char *place_in_future(struct lp_line *line, size_t want)
{
    libpool_future *future = line->future;
    if (future && !line->no_memory && !lp_future_reserve(future, future->data_size + want))
        line->no_memory = true;
    return future && !line->no_memory ? future->data + future->data_size : NULL;
}

static unsigned char *place_in_part(struct lp_line *line, size_t want)
{
    if (line->part)
        line->part = lp_part_reserve(line->part, want);
    return line->part ? line->part->data + line->part->filled : NULL;
}

static int64_t take_piece(struct lp_line *line)
{
    unsigned char scratch[SCRATCH_BYTES];
    uint32_t kind = line->message.kind;
    bool is_part = kind == LP_MESSAGE_PART || kind == LP_MESSAGE_SUBTASK;
    size_t want = line->missing < PIECE_BYTES ? (size_t)line->missing : PIECE_BYTES;
    unsigned char *to = is_part ? place_in_part(line, want) : place_in_future(line, want);
    if (!to && want > sizeof scratch)
        want = sizeof scratch;
    int64_t n = lp_channel_read(&line->channel, to ? to : scratch, want, want == line->missing);
    if (n > 0 && to && is_part)
        line->part->filled += (size_t)n;
    else if (n > 0 && to)
        line->future->data_size += (size_t)n;
    return n;
}

void lp_line_put_back(struct lp_line *line)
{
    line->receiving = true; /* nothing is missing */
}

struct lp_part *lp_line_take_part(struct lp_line *line)
{
    struct lp_part *part = line->part;
    line->part = NULL;
    return part;
}

void lp_line_keep_part(struct lp_line *line)
{
    if (line->asked && lp_line_parts_bytes(line) >= LIBPOOL_PARTS_BYTES)
        drop_part(line); /* it is lost, and that is told */
    if (line->future)
        lp_parts_add(line->future, line->part);
    else
        lp_part_free(line->part);
    line->part = NULL;
}

uint64_t lp_line_parts_bytes(const struct lp_line *line)
{
    return line->future ? lp_parts_bytes(line->future) : 0;
}

bool lp_line_is_stalled(const struct lp_line *line, uint64_t most)
{
    return !line->receiving && !line->asked && lp_line_parts_bytes(line) >= most;
}

int lp_line_receive(struct lp_line *line, uint64_t result_bytes, struct lp_message *message)
{
    if (!line->receiving && !line->no_memory &&
        lp_channel_receive_short(&line->channel, LP_MESSAGE_RESULT, message))
        return 1;
    int got = line->receiving ? 1 : begin_message(line, result_bytes);
    if (got != 1)
        return got;
    size_t taken = 0;
    for (uint32_t i = 0; line->missing; i++) {
        int64_t n = i < TURN_PIECES && taken < LP_LINE_TURN_BYTES ? take_piece(line) : 0;
        if (n <= 0)
            return (int)n;
        line->missing -= (uint64_t)n;
        taken += (size_t)n;
        lp_channel_ring(&line->channel);
    }
    line->receiving = false;
    *message = line->message;
    if (line->no_memory) {
        message->code = -ENOMEM;
        if (line->future)
            line->future->data_size = 0;
    }
    return 1;
}

bool lp_line_arm(struct lp_line *line)
{
    return !lp_line_is_stalled(line, LIBPOOL_PARTS_BYTES) &&
           lp_channel_arm(&line->channel, line->sending);
}
