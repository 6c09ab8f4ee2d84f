/* SPDX-License-Identifier: MIT */
/* wire: messages to bytes and back; see the header. Byte by byte, so that no machine's order matters. */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ------------------------------------------------------------------------------ */

static void put(unsigned char **at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        *(*at)++ = (unsigned char)(value >> (8 * i));
}

static void put32(unsigned char **at, uint32_t value)
{
    put(at, value, 4);
}

static void put64(unsigned char **at, uint64_t value)
{
    put(at, value, 8);
}

static uint64_t get(const unsigned char **at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t) * (*at)++ << (8 * i);
    return value;
}

static uint32_t get32(const unsigned char **at)
{
    return (uint32_t)get(at, 4);
}

static uint64_t get64(const unsigned char **at)
{
    return get(at, 8);
}

/* ---- encoding ----------------------------------------------------------------------------- */

void lpr_put_head(unsigned char *to, enum lpr_type type, uint64_t id, size_t body_size)
{
    put32(&to, (uint32_t)body_size);
    put32(&to, type);
    put64(&to, id);
}

void lpr_put_hello(unsigned char *to, const struct lpr_hello *hello)
{
    lpr_put_head(to, LPR_HELLO, 0, LPR_HELLO_SIZE + hello->credential_size);
    to += LPR_HEAD_SIZE;
    put64(&to, LPR_MAGIC);
    put32(&to, hello->lowest);
    put32(&to, hello->highest);
    put32(&to, hello->policy);
    put32(&to, 0);
}

void lpr_put_welcome(unsigned char *to, const struct lpr_welcome *welcome)
{
    lpr_put_head(to, LPR_WELCOME, 0, LPR_WELCOME_SIZE);
    to += LPR_HEAD_SIZE;
    put32(&to, welcome->version);
    put32(&to, welcome->tasks);
    put64(&to, welcome->bytes);
    put64(&to, welcome->payload);
}

void lpr_put_submit(unsigned char *to, uint64_t id, const struct lpr_submit *submit)
{
    lpr_put_head(to, LPR_SUBMIT, id, LPR_SUBMIT_SIZE + submit->name_size + submit->input_size);
    to += LPR_HEAD_SIZE;
    put32(&to, submit->priority);
    put32(&to, submit->run_timeout_ms);
    put32(&to, submit->queue_timeout_ms);
    put32(&to, (uint32_t)submit->name_size);
    put64(&to, submit->group);
    put64(&to, 0);
}

/* 8 numbers of 32 bits, 7 of 64, 3 of 32; the rest is 0. */
void lpr_put_result(unsigned char *to, uint64_t id, const libpool_result *result)
{
    size_t text_size = strnlen(result->text, LPR_TEXT_MAX);
    unsigned char *end = to + LPR_HEAD_SIZE + LPR_RESULT_SIZE;
    lpr_put_head(to, LPR_RESULT, id,
                 LPR_RESULT_SIZE + result->data_size + result->tail_size + text_size);
    to += LPR_HEAD_SIZE;
    put32(&to, result->cause);
    put32(&to, result->certainty);
    put32(&to, (uint32_t)result->code);
    put32(&to, (uint32_t)result->signal);
    put32(&to, (uint32_t)result->core_dumped);
    put32(&to, result->slot);
    put32(&to, (uint32_t)result->pid);
    put32(&to, result->attempts);
    put64(&to, result->task_id);
    put64(&to, result->pending_ns);
    put64(&to, result->running_ns);
    put64(&to, result->memory_bytes);
    put64(&to, result->user_ns);
    put64(&to, result->system_ns);
    put64(&to, result->max_rss_bytes);
    put32(&to, result->retried_cause);
    put32(&to, (uint32_t)text_size);
    put32(&to, (uint32_t)result->tail_size);
    memset(to, 0, (size_t)(end - to));
}

void lpr_put_bye(unsigned char *to, int error, size_t text_size)
{
    lpr_put_head(to, LPR_BYE, 0, LPR_BYE_SIZE + text_size);
    to += LPR_HEAD_SIZE;
    put32(&to, (uint32_t)error);
}

/* ---- decoding ----------------------------------------------------------------------------- */

int lpr_get_hello(const unsigned char *body, size_t size, struct lpr_hello *hello)
{
    if (size < LPR_HELLO_SIZE || get64(&body) != LPR_MAGIC)
        return -EPROTO;
    hello->lowest = get32(&body);
    hello->highest = get32(&body);
    hello->policy = get32(&body);
    if (get32(&body) != 0 || hello->policy > LIBPOOL_REMOTE_CONTINUE)
        return -EPROTO;
    hello->credential = body;
    hello->credential_size = size - LPR_HELLO_SIZE;
    return 0;
}

int lpr_get_welcome(const unsigned char *body, size_t size, struct lpr_welcome *welcome)
{
    if (size < LPR_WELCOME_SIZE)
        return -EPROTO;
    welcome->version = get32(&body);
    welcome->tasks = get32(&body);
    welcome->bytes = get64(&body);
    welcome->payload = get64(&body);
    bool sane = welcome->version == LPR_VERSION && welcome->tasks > 0 && welcome->tasks <= 65536 &&
                welcome->payload <= LPR_PAYLOAD_MAX && welcome->bytes >= welcome->payload;
    return sane ? 0 : -EPROTO;
}

int lpr_get_submit(const unsigned char *body, size_t size, struct lpr_submit *submit)
{
    if (size < LPR_SUBMIT_SIZE)
        return -EPROTO;
    const unsigned char *at = body;
    submit->priority = get32(&at);
    submit->run_timeout_ms = get32(&at);
    submit->queue_timeout_ms = get32(&at);
    submit->name_size = get32(&at);
    submit->group = get64(&at);
    size_t rest = size - LPR_SUBMIT_SIZE;
    bool sane = get64(&at) == 0 && submit->priority < LIBPOOL_PRIORITIES && submit->name_size > 0 &&
                submit->name_size <= LPR_NAME_MAX && submit->name_size <= rest;
    if (!sane)
        return -EPROTO;
    submit->name = (const char *)at;
    submit->input = at + submit->name_size;
    submit->input_size = rest - submit->name_size;
    return 0;
}

static bool is_sane_result(uint32_t cause, uint32_t certainty, uint32_t retried_cause)
{
    return cause > LIBPOOL_PENDING && cause < LIBPOOL_CAUSES_MAX && certainty <= LIBPOOL_HAS_RUN &&
           retried_cause < LIBPOOL_CAUSES_MAX;
}

static void get_numbers(const unsigned char **at, libpool_result *result)
{
    result->code = (int)get32(at);
    result->signal = (int)get32(at);
    result->core_dumped = (int)get32(at);
    result->slot = get32(at);
    result->pid = (int)get32(at);
    result->attempts = get32(at);
    result->task_id = get64(at);
    result->pending_ns = get64(at);
    result->running_ns = get64(at);
    result->memory_bytes = get64(at);
    result->user_ns = get64(at);
    result->system_ns = get64(at);
    result->max_rss_bytes = get64(at);
}

int lpr_get_result(const unsigned char *body, size_t size, libpool_result *result)
{
    memset(result, 0, sizeof *result);
    if (size < LPR_RESULT_SIZE)
        return -EPROTO;
    const unsigned char *at = body;
    uint32_t cause = get32(&at), certainty = get32(&at);
    get_numbers(&at, result);
    uint32_t retried_cause = get32(&at), text_size = get32(&at), tail_size = get32(&at);
    size_t rest = size - LPR_RESULT_SIZE;
    if (!is_sane_result(cause, certainty, retried_cause) || text_size >= LPR_TEXT_MAX ||
        tail_size > LPR_TAIL_MAX || (size_t)text_size + tail_size > rest)
        return -EPROTO;
    result->cause = (libpool_cause)cause;
    result->certainty = (libpool_certainty)certainty;
    result->retried_cause = (libpool_cause)retried_cause;
    result->data_size = rest - text_size - tail_size;
    result->tail_size = tail_size;
    result->data = result->data_size ? body + LPR_RESULT_SIZE : NULL;
    result->tail = tail_size ? body + LPR_RESULT_SIZE + result->data_size : NULL;
    memcpy(result->text, body + size - text_size, text_size);
    return 0;
}

int lpr_get_bye(const unsigned char *body, size_t size, struct lpr_bye *bye)
{
    memset(bye, 0, sizeof *bye);
    if (size < LPR_BYE_SIZE || size - LPR_BYE_SIZE >= sizeof bye->text)
        return -EPROTO;
    int error = (int)get32(&body);
    if (error >= 0 || error < -4095)
        return -EPROTO;
    bye->error = error;
    memcpy(bye->text, body, size - LPR_BYE_SIZE);
    return 0;
}

/* ---- bytes that come ---------------------------------------------------------------------- */

#define FIRST_ROOM (64u << 10)

static const uint32_t least[LPR_TYPES] = {[LPR_HELLO] = LPR_HELLO_SIZE,
                                          [LPR_SUBMIT] = LPR_SUBMIT_SIZE,
                                          [LPR_WELCOME] = LPR_WELCOME_SIZE,
                                          [LPR_RESULT] = LPR_RESULT_SIZE,
                                          [LPR_BYE] = LPR_BYE_SIZE};

static int read_head(struct lpr_reader *reader)
{
    const unsigned char *at = reader->bytes;
    reader->head.size = get32(&at);
    reader->head.type = get32(&at);
    reader->head.id = get64(&at);
    if (reader->head.type == 0 || reader->head.type >= LPR_TYPES)
        return -EPROTO;
    uint64_t largest = reader->largest[reader->head.type];
    if (largest < least[reader->head.type] || reader->head.size < least[reader->head.type])
        return -EPROTO;
    return reader->head.size > largest ? -EMSGSIZE : 0;
}

/* Doubled as it fills, so that a client has to send what it wants kept. */
static int make_room(struct lpr_reader *reader)
{
    if (reader->have < reader->room || reader->room == reader->head.size)
        return 0;
    size_t room = reader->room ? reader->room * 2 : FIRST_ROOM;
    if (room > reader->head.size)
        room = reader->head.size;
    unsigned char *body = realloc(reader->body, room);
    if (!body)
        return -ENOMEM;
    reader->body = body;
    reader->room = room;
    return 0;
}

static size_t copy(void *to, size_t have, size_t whole, const void *from, size_t n)
{
    size_t part = n < whole - have ? n : whole - have;
    if (part)
        memcpy((char *)to + have, from, part);
    return part;
}

static void begin(struct lpr_reader *reader)
{
    free(reader->body);
    reader->body = NULL;
    reader->have = reader->room = 0;
    reader->in_body = false;
}

static bool is_complete(const struct lpr_reader *reader)
{
    return reader->in_body && reader->have == reader->head.size;
}

int lpr_reader_feed(struct lpr_reader *reader, const unsigned char *bytes, size_t n, size_t *used)
{
    *used = 0;
    if (is_complete(reader))
        begin(reader);
    while (*used < n && !is_complete(reader)) {
        if (reader->in_body) {
            int error = make_room(reader);
            if (error)
                return error;
        }
        size_t part = reader->in_body
                          ? copy(reader->body, reader->have, reader->room, bytes + *used, n - *used)
                          : copy(reader->bytes, reader->have, LPR_HEAD_SIZE, bytes + *used,
                                 n - *used);
        *used += part;
        reader->have += part;
        if (!reader->in_body && reader->have == LPR_HEAD_SIZE) {
            int error = read_head(reader);
            if (error)
                return error;
            reader->in_body = true;
            reader->have = 0;
        }
    }
    return is_complete(reader);
}

unsigned char *lpr_reader_take(struct lpr_reader *reader)
{
    unsigned char *body = reader->body;
    reader->body = NULL;
    return body;
}

void lpr_reader_clear(struct lpr_reader *reader)
{
    begin(reader);
}
