/* SPDX-License-Identifier: MIT */
/* outbox: messages on their way out, in their order, as far as the socket takes them without waiting. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "wire.h"

#define AT_ONCE 64 /* pieces */

void lpr_outbox_init(struct lpr_outbox *outbox, void *arg)
{
    *outbox = (struct lpr_outbox){.arg = arg};
    outbox->last = &outbox->first;
}

void lpr_outbox_add(struct lpr_outbox *outbox, struct lpr_parcel *parcel)
{
    parcel->size = 0;
    for (unsigned i = 0; i < LPR_PIECES; i++)
        parcel->size += parcel->pieces[i].size;
    parcel->sent = 0;
    parcel->next = NULL;
    *outbox->last = parcel;
    outbox->last = &parcel->next;
    outbox->bytes += parcel->size;
}

bool lpr_outbox_remove(struct lpr_outbox *outbox, struct lpr_parcel *parcel)
{
    struct lpr_parcel **link = &outbox->first;
    while (*link && *link != parcel)
        link = &(*link)->next;
    if (!*link || parcel->sent)
        return false;
    *link = parcel->next;
    if (!*link)
        outbox->last = link;
    outbox->bytes -= parcel->size;
    return true;
}

/* What of it has not been sent, behind what is in the vector already. */
static size_t add_pieces(const struct lpr_parcel *parcel, struct iovec *vector, size_t n)
{
    size_t skip = parcel->sent;
    for (unsigned i = 0; i < LPR_PIECES && n < AT_ONCE; i++) {
        size_t size = parcel->pieces[i].size;
        if (skip >= size) {
            skip -= size;
            continue;
        }
        vector[n].iov_base = (char *)(uintptr_t)parcel->pieces[i].data + skip;
        vector[n++].iov_len = size - skip;
        skip = 0;
    }
    return n;
}

static struct lpr_parcel *take_first(struct lpr_outbox *outbox)
{
    struct lpr_parcel *parcel = outbox->first;
    outbox->first = parcel->next;
    if (!outbox->first)
        outbox->last = &outbox->first;
    return parcel;
}

static void count_sent(struct lpr_outbox *outbox, size_t sent)
{
    outbox->bytes -= sent;
    while (outbox->first) {
        struct lpr_parcel *parcel = outbox->first;
        size_t part = parcel->size - parcel->sent < sent ? parcel->size - parcel->sent : sent;
        parcel->sent += part;
        sent -= part;
        if (parcel->sent < parcel->size)
            return;
        take_first(outbox);
        parcel->gone(parcel, outbox->arg);
    }
}

int64_t lpr_outbox_send(struct lpr_outbox *outbox, int fd)
{
    int64_t total = 0;
    while (outbox->first) {
        struct iovec vector[AT_ONCE];
        struct msghdr message = {.msg_iov = vector};
        size_t n = 0;
        for (struct lpr_parcel *at = outbox->first; at && n < AT_ONCE; at = at->next)
            n = add_pieces(at, vector, n);
        message.msg_iovlen = (uint8_t)n; /* a size_t or an int, as the libc likes */
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? total : -errno;
        count_sent(outbox, (size_t)sent);
        total += sent;
    }
    return total;
}

void lpr_outbox_clear(struct lpr_outbox *outbox)
{
    while (outbox->first) {
        struct lpr_parcel *parcel = take_first(outbox);
        outbox->bytes -= parcel->size - parcel->sent;
        parcel->gone(parcel, outbox->arg);
    }
}

/* ---- small ones --------------------------------------------------------------------------- */

struct note {
    struct lpr_parcel parcel; /* first: a parcel is its note */
    struct lpr_outbox *outbox;
    unsigned char bytes[];
};

/* With what an allocator needs for itself. */
static size_t cost_of(size_t size)
{
    return sizeof(struct note) + size + 16;
}

static void free_note(struct lpr_parcel *parcel, void *arg)
{
    struct note *note = (struct note *)(void *)parcel;
    (void)arg;
    note->outbox->notes -= cost_of(parcel->size);
    free(note);
}

static struct note *new_note(struct lpr_outbox *outbox, size_t size)
{
    struct note *note = calloc(1, sizeof *note + size);
    if (!note)
        return NULL;
    outbox->notes += cost_of(size);
    note->outbox = outbox;
    note->parcel.pieces[0].data = note->bytes;
    note->parcel.pieces[0].size = size;
    note->parcel.gone = free_note;
    return note;
}

bool lpr_outbox_note(struct lpr_outbox *outbox, enum lpr_type type, uint64_t id)
{
    struct note *note = new_note(outbox, LPR_HEAD_SIZE);
    if (!note)
        return false;
    lpr_put_head(note->bytes, type, id, 0);
    lpr_outbox_add(outbox, &note->parcel);
    return true;
}

bool lpr_outbox_hello(struct lpr_outbox *outbox, const struct lpr_hello *hello)
{
    struct note *note = new_note(outbox, LPR_HEAD_SIZE + LPR_HELLO_SIZE + hello->credential_size);
    if (!note)
        return false;
    lpr_put_hello(note->bytes, hello);
    if (hello->credential_size)
        memcpy(note->bytes + LPR_HEAD_SIZE + LPR_HELLO_SIZE, hello->credential,
               hello->credential_size);
    lpr_outbox_add(outbox, &note->parcel);
    return true;
}

bool lpr_outbox_welcome(struct lpr_outbox *outbox, const struct lpr_welcome *welcome)
{
    struct note *note = new_note(outbox, LPR_HEAD_SIZE + LPR_WELCOME_SIZE);
    if (!note)
        return false;
    lpr_put_welcome(note->bytes, welcome);
    lpr_outbox_add(outbox, &note->parcel);
    return true;
}

bool lpr_outbox_bye(struct lpr_outbox *outbox, int error, const char *text)
{
    size_t text_size = strnlen(text, LPR_TEXT_MAX - 1);
    struct note *note = new_note(outbox, LPR_HEAD_SIZE + LPR_BYE_SIZE + text_size);
    if (!note)
        return false;
    lpr_put_bye(note->bytes, error, text_size);
    memcpy(note->bytes + LPR_HEAD_SIZE + LPR_BYE_SIZE, text, text_size);
    lpr_outbox_add(outbox, &note->parcel);
    return true;
}
