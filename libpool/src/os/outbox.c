/* SPDX-License-Identifier: MIT */
#include "os/outbox.h"

#include "base/fd.h"
#include "os/fds.h"
#include "sys/sys.h"

#include <errno.h>
#include <stdalign.h>

#define DEATH_REPORTS 2 /* EXITED and EMPTY are still to come from a living worker */
#define SPARE_REPORTS 64

int lp_outbox_init(struct lp_outbox *outbox, uint32_t slots)
{
    size_t max = (size_t)slots * (2 * DEATH_REPORTS) + SPARE_REPORTS;
    *outbox = (struct lp_outbox){.max = max};
    outbox->items = lp_sys.map_own(max * sizeof(outbox->items[0]));
    return outbox->items != NULL ? 0 : -ENOMEM;
}

void lp_outbox_put(struct lp_outbox *outbox, const struct lp_report *report, int pidfd)
{
    if (outbox->n == outbox->max) { /* can't be, see lp_outbox_has_room */
        lp_fd_close(&pidfd);
        return;
    }
    size_t at = (outbox->first + outbox->n++) % outbox->max;
    outbox->items[at] = (struct lp_outbox_item){*report, pidfd};
}

bool lp_outbox_has_room(const struct lp_outbox *outbox, uint32_t slots)
{
    return outbox->max - outbox->n > (size_t)slots * DEATH_REPORTS + DEATH_REPORTS;
}

static int send_item(int socket_fd, struct lp_outbox_item *item)
{
    alignas(struct cmsghdr) char control[LP_FDS_CONTROL_BYTES] = {0};
    struct iovec part = {&item->report, sizeof(item->report)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (item->pidfd >= 0)
        lp_fds_attach(&message, control, item->pidfd);
    ssize_t sent;
    do
        sent = lp_sys.sendmsg(socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent == -EINTR);
    return sent < 0 ? (int)sent : 0;
}

/* Too many descriptors in flight (ETOOMANYREFS) is no reason to hold the news back. */
static int send_or_strip(int socket_fd, struct lp_outbox_item *item)
{
    int error = send_item(socket_fd, item);
    if (error != -ETOOMANYREFS || item->pidfd < 0)
        return error;
    lp_fd_close(&item->pidfd);
    return send_item(socket_fd, item);
}

int lp_outbox_flush(struct lp_outbox *outbox, int socket_fd)
{
    while (outbox->n > 0) {
        struct lp_outbox_item *item = &outbox->items[outbox->first];
        int error = send_or_strip(socket_fd, item);
        if (error < 0)
            return error == -EPIPE || error == -ECONNRESET ? -EPIPE : -EAGAIN;
        lp_fd_close(&item->pidfd);
        outbox->first = outbox->n == 1 ? 0 : (outbox->first + 1) % outbox->max;
        outbox->n--;
    }
    return 0;
}
