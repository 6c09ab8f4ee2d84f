/* SPDX-License-Identifier: MIT */
#include "os/outbox.h"

#include "harness/test.h"
#include "sys/sys.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct lp_zygote_link open_link(struct lp_outbox *outbox, uint32_t slots, int *theirs)
{
    int fds[2] = {-1, -1};
    lp_sys.socketpair(SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, fds);
    lp_outbox_init(outbox, slots);
    *theirs = fds[1];
    return (struct lp_zygote_link){.socket_fd = fds[0], .pid_fd = -1};
}

static void close_link(struct lp_zygote_link *link, struct lp_outbox *outbox, int theirs)
{
    lp_zygote_drop(link);
    close(theirs);
    lp_sys.unmap(outbox->items, outbox->max * sizeof(outbox->items[0]));
}

static void put(struct lp_outbox *outbox, uint32_t slot)
{
    const struct lp_report report = {.kind = LP_REPORT_EMPTY, .slot = slot};
    lp_outbox_put(outbox, &report, -1);
}

TEST(outbox, keeps_the_order_across_a_full_socket)
{
    struct lp_outbox outbox;
    int theirs, pidfd;
    struct lp_zygote_link link = open_link(&outbox, 2000, &theirs);
    uint32_t next_in = 0, next_out = 0;
    bool was_full = false, is_in_order = true;
    struct lp_report report;
    while (next_out < 20000) {
        for (int i = 0; i < 700 && lp_outbox_has_room(&outbox, 2000); i++)
            put(&outbox, next_in++);
        was_full |= lp_outbox_flush(&outbox, theirs) == -EAGAIN;
        for (int i = 0; i < 150 && lp_zygote_receive(&link, &report, &pidfd) == 1; i++)
            is_in_order &= report.slot == next_out++;
    }
    CU_ASSERT(is_in_order);
    CU_ASSERT(was_full);
    close_link(&link, &outbox, theirs);
}

TEST(outbox, has_room_for_all_deaths_when_it_takes_no_more)
{
    struct lp_outbox outbox;
    int theirs;
    struct lp_zygote_link link = open_link(&outbox, 4, &theirs);
    while (lp_outbox_has_room(&outbox, 4))
        put(&outbox, 0);
    CU_ASSERT(outbox.max - outbox.n >= 4 * 2);
    close_link(&link, &outbox, theirs);
}

TEST(outbox, sends_a_descriptor_once_and_closes_it)
{
    struct lp_outbox outbox;
    int theirs, got = -1;
    struct lp_zygote_link link = open_link(&outbox, 1, &theirs);
    int sent = lp_sys.eventfd(5, 0);
    const struct lp_report out = {.kind = LP_REPORT_SPAWNED, .slot = 3};
    lp_outbox_put(&outbox, &out, sent);
    CU_ASSERT_EQUAL(lp_outbox_flush(&outbox, theirs), 0);
    CU_ASSERT_EQUAL(lp_sys.is_open(sent), -EBADF);
    struct lp_report report;
    CU_ASSERT_EQUAL(lp_zygote_receive(&link, &report, &got), 1);
    CU_ASSERT_EQUAL(memcmp(&report, &out, sizeof(out)), 0);
    uint64_t count = 0;
    CU_ASSERT_EQUAL(read(got, &count, sizeof(count)), (ssize_t)sizeof(count));
    CU_ASSERT_EQUAL(count, 5);
    close(got);
    CU_ASSERT_EQUAL(lp_zygote_receive(&link, &report, &got), 0);
    close_link(&link, &outbox, theirs);
}

TEST(outbox, notices_that_nobody_listens)
{
    struct lp_outbox outbox;
    int theirs;
    struct lp_zygote_link link = open_link(&outbox, 1, &theirs);
    lp_zygote_drop(&link);
    put(&outbox, 0);
    CU_ASSERT_EQUAL(lp_outbox_flush(&outbox, theirs), -EPIPE);
    close_link(&link, &outbox, theirs);
}

TEST(outbox, what_is_no_report_is_refused)
{
    struct lp_outbox outbox;
    int theirs, pidfd;
    struct lp_zygote_link link = open_link(&outbox, 1, &theirs);
    struct lp_report report = {.kind = LP_REPORT_N};
    struct iovec parts[] = {{&report, sizeof(report)}, {&report, 5}};
    struct msghdr message = {.msg_iov = &parts[0], .msg_iovlen = 1};
    lp_sys.sendmsg(theirs, &message, 0); /* an unknown kind */
    report.kind = LP_REPORT_EMPTY;
    message.msg_iovlen = 2; /* too long */
    lp_sys.sendmsg(theirs, &message, 0);
    message.msg_iov = &parts[1]; /* too short */
    message.msg_iovlen = 1;
    lp_sys.sendmsg(theirs, &message, 0);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(lp_zygote_receive(&link, &report, &pidfd), -EPROTO);
    CU_ASSERT_EQUAL(lp_zygote_receive(&link, &report, &pidfd), 0);
    close_link(&link, &outbox, theirs);
}
