/* SPDX-License-Identifier: MIT */
/*
 * base: what server and client both need of libc, and nothing of libpool: clocks, deadlines, rings, and
 * structs that begin with their size.
 */
#ifndef LPR_BASE_H
#define LPR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LPR_NEVER UINT64_MAX
#define LPR_MS UINT64_C(1000000)

uint64_t lpr_now_ns(void);
uint64_t lpr_deadline(int timeout_ms); /* absolute; negative: LPR_NEVER */
/* What is left until then, rounded up, for poll(2): -1 is for ever. */
int lpr_left_ms(uint64_t deadline_ns, uint64_t now_ns);

/* A small message does not wait for the answer to the one before it (TCP; else there is no such delay). */
void lpr_send_at_once(int fd);
/* A peer that is gone without a word is noticed after a while, even if there is nothing to send (TCP). */
void lpr_keep_alive(int fd);

/*
 * Copies a caller's struct into ours, which is zero where the caller's is shorter. -EINVAL: it has no size;
 * -E2BIG: it has set what we don't know.
 */
int lpr_copy(void *ours, size_t our_size, const void *theirs);

/* A place in a ring of such; one that stands alone leads to itself. */
struct lpr_link {
    struct lpr_link *next, *before;
};

static inline void lpr_link_init(struct lpr_link *link)
{
    link->next = link->before = link;
}

static inline bool lpr_link_is_alone(const struct lpr_link *link)
{
    return link->next == link;
}

static inline void lpr_link_remove(struct lpr_link *link)
{
    link->before->next = link->next;
    link->next->before = link->before;
    lpr_link_init(link);
}

/* To the end of the ring that begins at head; from where it was. */
static inline void lpr_link_append(struct lpr_link *head, struct lpr_link *link)
{
    lpr_link_remove(link);
    link->before = head->before;
    link->next = head;
    head->before->next = link;
    head->before = link;
}

#define LPR_OF(link_, type_, member_) ((type_ *)(void *)((char *)(link_)-offsetof(type_, member_)))

/* Appends words to a text of `size` bytes, cut to fit; it always ends with a zero byte. */
void lpr_say(char *text, size_t size, const char *words);
void lpr_say_number(char *text, size_t size, int64_t number);

#endif
