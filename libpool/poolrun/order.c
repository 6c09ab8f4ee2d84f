/* SPDX-License-Identifier: MIT */
/* order: 50 bytes of memory for a job that waits; the file is cut to nothing whenever nobody does. */
#include "order.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define COPIED_BYTES (1u << 20) /* at most, as long as files can be kept */

static struct pr_held *find(const struct pr_order *order, uint64_t seq)
{
    return &order->held[seq % PR_ORDER_MAX];
}

void pr_order_open(struct pr_order *order)
{
    *order = (struct pr_order){.fd = -1, .next = 1};
    order->held = pr_text_zeros(PR_ORDER_MAX, sizeof *order->held);
}

static void close_kept(struct pr_order *order, struct pr_held *held)
{
    if (!held->is_there || held->kept[0] < 0)
        return;
    (void)close(held->kept[0]);
    (void)close(held->kept[1]);
    order->n_kept--;
}

void pr_order_close(struct pr_order *order)
{
    for (uint32_t i = 0; i < PR_ORDER_MAX && order->n_kept; i++)
        close_kept(order, &order->held[i]);
    if (order->fd >= 0)
        (void)close(order->fd);
    free(order->held);
    order->held = NULL;
}

bool pr_order_has_room(const struct pr_order *order, uint64_t seq)
{
    return seq - order->next < PR_ORDER_MAX;
}

static int write_log(struct pr_order *order, const struct pr_text *log)
{
    for (size_t done = 0; done < log->n;) {
        ssize_t n = pwrite(order->fd, log->data + done, log->n - done, order->end);
        if (n < 0)
            return -errno;
        done += (size_t)n;
        order->end += n;
    }
    return 0;
}

bool pr_order_keeps(const struct pr_order *order, const struct pr_piece pieces[2])
{
    return pieces[0].end + pieces[1].end > COPIED_BYTES && order->n_kept < PR_ORDER_KEEPS_MAX;
}

static int hold_output(struct pr_order *order, struct pr_held *held,
                       const struct pr_piece pieces[2])
{
    held->out = pieces[0].end;
    held->err = pieces[1].end;
    if (pr_order_keeps(order, pieces)) {
        held->kept[0] = pieces[0].fd;
        held->kept[1] = pieces[1].fd;
        order->n_kept++;
        return 0;
    }
    int error = pr_output_copy(&pieces[0], order->fd, &order->end);
    return error ? error : pr_output_copy(&pieces[1], order->fd, &order->end);
}

int pr_order_hold(struct pr_order *order, uint64_t seq, const struct pr_piece pieces[2],
                  const struct pr_text *log)
{
    struct pr_held *held = find(order, seq);
    if (pieces && order->fd < 0)
        order->fd = pr_output_temporary();
    if (pieces && order->fd < 0)
        return order->fd;
    *held = (struct pr_held){.is_there = true, .at = order->end, .kept = {-1, -1}};
    order->n_held++;
    if (!pieces)
        return 0;
    held->log = (off_t)log->n;
    int error = hold_output(order, held, pieces);
    return error ? error : write_log(order, log);
}

int pr_order_take(struct pr_order *order, struct pr_piece pieces[2], struct pr_text *log)
{
    const struct pr_held *held = find(order, order->next);
    off_t at = held->at;
    if (!held->is_there)
        return 0;
    if (held->kept[0] >= 0) {
        pieces[0] = (struct pr_piece){held->kept[0], 0, held->out};
        pieces[1] = (struct pr_piece){held->kept[1], 0, held->err};
    } else {
        pieces[0] = (struct pr_piece){order->fd, at, at + held->out};
        at += held->out;
        pieces[1] = (struct pr_piece){order->fd, at, at + held->err};
        at += held->err;
    }
    pr_text_clear(log);
    for (off_t end = at + held->log; at < end;) {
        char buffer[4096];
        size_t left = (size_t)(end - at);
        ssize_t n = pread(order->fd, buffer, left < sizeof buffer ? left : sizeof buffer, at);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        pr_text_add(log, buffer, (size_t)n);
        at += n;
    }
    return 1;
}

void pr_order_advance(struct pr_order *order)
{
    struct pr_held *held = find(order, order->next++);
    close_kept(order, held);
    order->n_held -= held->is_there;
    held->is_there = false;
    if (order->n_held == 0 && order->end && ftruncate(order->fd, 0) == 0)
        order->end = 0;
}
