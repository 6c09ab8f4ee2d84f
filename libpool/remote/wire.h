/* SPDX-License-Identifier: MIT */
/*
 * wire: what server and client say to each other. A message is a head of 16 bytes and a body; all numbers are
 * little endian. Nothing that is read here is believed before it was checked.
 *
 *     head            size of the body u32, type u32, id u64
 *
 *     from a client   id        body
 *     HELLO           0         magic u64, lowest and highest version u32, policy u32, 0 u32; credential
 *     SUBMIT          task      priority, run_timeout_ms, queue_timeout_ms, name_size u32, group u64,
 *                               0 u64; name, input
 *     CANCEL          task      -
 *     CANCEL_GROUP    group     -
 *     PING            any       -
 *
 *     from a server
 *     WELCOME         0         version, tasks u32, bytes, payload u64: what the client may have here
 *     RESULT          task      libpool_result's numbers, data, tail and text, see wire.c
 *     PONG            as PING   -
 *     BYE             0         errno i32 (negated); text: why. The last one
 *
 * HELLO comes first and once, WELCOME or BYE answers it. A task's id is the client's choice: below, a number
 * less than WELCOME's tasks that none of its unanswered tasks has; above, a count of the uses of that number.
 * So neither side has to search, and a client that sends more than it may is found out.
 */
#ifndef LPR_WIRE_H
#define LPR_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpool_remote.h>

#define LPR_MAGIC UINT64_C(0x65746f6d65726c70) /* "plremote" */
#define LPR_VERSION 1

#define LPR_HEAD_SIZE 16
#define LPR_HELLO_SIZE 24
#define LPR_WELCOME_SIZE 24
#define LPR_SUBMIT_SIZE 32
#define LPR_RESULT_SIZE 112 /* a multiple of 16: what follows is aligned */
#define LPR_BYE_SIZE 4

#define LPR_NAME_MAX 255
#define LPR_CREDENTIAL_MAX 4096
#define LPR_TEXT_MAX 160
#define LPR_TAIL_MAX (1u << 20)
#define LPR_PAYLOAD_MAX ((UINT64_C(1) << 31) - (64u << 10))

enum lpr_type {
    LPR_HELLO = 1,
    LPR_SUBMIT,
    LPR_CANCEL,
    LPR_CANCEL_GROUP,
    LPR_PING,
    LPR_WELCOME,
    LPR_RESULT,
    LPR_PONG,
    LPR_BYE,
    LPR_TYPES
};

struct lpr_head {
    uint32_t size, type;
    uint64_t id;
};

struct lpr_hello {
    uint32_t lowest, highest, policy;
    const void *credential;
    size_t credential_size;
};

struct lpr_welcome {
    uint32_t version, tasks;
    uint64_t bytes, payload;
};

struct lpr_submit {
    uint32_t priority, run_timeout_ms, queue_timeout_ms;
    uint64_t group;
    const char *name; /* not terminated */
    size_t name_size;
    const void *input;
    size_t input_size;
};

struct lpr_bye {
    int error;
    char text[LPR_TEXT_MAX];
};

/*
 * Encoding: into a buffer of the head's and that message's SIZE; what is of variable length is sent behind it
 * by the caller, and is part of the size that the head tells.
 */
void lpr_put_head(unsigned char *to, enum lpr_type type, uint64_t id, size_t body_size);
void lpr_put_hello(unsigned char *to, const struct lpr_hello *hello);
void lpr_put_welcome(unsigned char *to, const struct lpr_welcome *welcome);
void lpr_put_submit(unsigned char *to, uint64_t id, const struct lpr_submit *submit);
/* Its data, tail and text (without the final zero) follow, in this order. */
void lpr_put_result(unsigned char *to, uint64_t id, const libpool_result *result);
void lpr_put_bye(unsigned char *to, int error, size_t text_size);

/* Decoding a body; pointers lead into it. 0 or -EPROTO. */
int lpr_get_hello(const unsigned char *body, size_t size, struct lpr_hello *hello);
int lpr_get_welcome(const unsigned char *body, size_t size, struct lpr_welcome *welcome);
int lpr_get_submit(const unsigned char *body, size_t size, struct lpr_submit *submit);
int lpr_get_result(const unsigned char *body, size_t size, libpool_result *result);
int lpr_get_bye(const unsigned char *body, size_t size, struct lpr_bye *bye);

/* ---- bytes that come -------------------------------------------------------------------- */

/* Puts messages together from bytes as they come. All zero but `largest` to begin with. */
struct lpr_reader {
    uint64_t largest[LPR_TYPES]; /* bodies; less than the type's SIZE: it must not come at all */
    unsigned char bytes[LPR_HEAD_SIZE];
    size_t have; /* of the head; when that is complete, of the body */
    struct lpr_head head;
    bool in_body;
    unsigned char *body; /* grows as it comes: what was only announced takes no memory */
    size_t room;
};

/*
 * Takes up to n bytes, to the end of a message at most; *used is how many. 1: reader->head and body are a
 * message, until the next call; 0: it took all and wants more; -EPROTO, -EMSGSIZE, -ENOMEM.
 */
int lpr_reader_feed(struct lpr_reader *reader, const unsigned char *bytes, size_t n, size_t *used);
/* The complete message's body becomes the caller's, who frees it; may be NULL when it is empty. */
unsigned char *lpr_reader_take(struct lpr_reader *reader);
void lpr_reader_clear(struct lpr_reader *reader);

/* ---- bytes that go ---------------------------------------------------------------------- */

#define LPR_PIECES 4

/* A message that is being sent. Its memory is its owner's. */
struct lpr_parcel {
    struct lpr_parcel *next;
    struct {
        const void *data;
        size_t size;
    } pieces[LPR_PIECES];
    size_t size, sent;
    /* Called when it has been sent entirely, or (sent < size) never will be. */
    void (*gone)(struct lpr_parcel *parcel, void *arg);
};

struct lpr_outbox {
    struct lpr_parcel *first, **last;
    size_t bytes; /* that wait */
    size_t notes; /* what the small ones of them take of memory: they are made for the asking */
    void *arg;    /* for gone() */
};

void lpr_outbox_init(struct lpr_outbox *outbox, void *arg);
/* Its pieces are set, `sent` is 0; size is computed. */
void lpr_outbox_add(struct lpr_outbox *outbox, struct lpr_parcel *parcel);
/* Takes it out again, if nothing of it was sent. */
bool lpr_outbox_remove(struct lpr_outbox *outbox, struct lpr_parcel *parcel);
/* Sends what can be sent without waiting. Bytes sent, or a negative error of the connection. */
int64_t lpr_outbox_send(struct lpr_outbox *outbox, int fd);
/* All that is left is gone. */
void lpr_outbox_clear(struct lpr_outbox *outbox);

/* A small message that nobody waits for; false: no memory. */
bool lpr_outbox_note(struct lpr_outbox *outbox, enum lpr_type type, uint64_t id);
bool lpr_outbox_hello(struct lpr_outbox *outbox, const struct lpr_hello *hello);
bool lpr_outbox_welcome(struct lpr_outbox *outbox, const struct lpr_welcome *welcome);
bool lpr_outbox_bye(struct lpr_outbox *outbox, int error, const char *text);

#endif
