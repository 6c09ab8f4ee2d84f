/* SPDX-License-Identifier: MIT */
/*
 * outbox: the zygote's reports on their way to a host that may not be reading just now.
 *
 * A slot has a handful of reports under way at most (SPAWNED, EXITED, EMPTY, and a refusal), so the
 * room is allocated with the zygote. When little is left, the zygote stops taking requests; it
 * never stops serving death.
 */
#ifndef LP_OS_OUTBOX_H
#define LP_OS_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/zygote.h"

struct lp_outbox_item {
    struct lp_report report;
    int pidfd; /* travels along and is closed behind; -1: none */
};

struct lp_outbox {
    struct lp_outbox_item *items;
    size_t first, n, max;
};

int lp_outbox_init(struct lp_outbox *outbox, uint32_t slots);

/* Takes the pidfd. There is room, if requests are taken only when lp_outbox_has_room says so. */
void lp_outbox_put(struct lp_outbox *outbox, const struct lp_report *report, int pidfd);

/* True when a request may be taken, whatever it and the living workers lead to. */
bool lp_outbox_has_room(const struct lp_outbox *outbox, uint32_t slots);

/* Sends what the socket takes. 0, -EAGAIN when some is left, -EPIPE when nobody listens. */
int lp_outbox_flush(struct lp_outbox *outbox, int socket_fd);

#endif
