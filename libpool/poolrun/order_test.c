/* SPDX-License-Identifier: MIT */
#include "order.h"

#include <string.h>
#include <unistd.h>

#include "harness/test.h"

struct job {
    struct pr_piece pieces[2];
    struct pr_text log;
};

static struct job begin_job(const char *out, const char *err, const char *log)
{
    struct job job = {.log = {.data = NULL}};
    const char *const texts[2] = {out, err};
    for (int stream = 0; stream < 2; stream++) {
        int fd = pr_output_temporary();
        ssize_t n = write(fd, texts[stream], strlen(texts[stream]));
        job.pieces[stream] = (struct pr_piece){fd, 0, n};
    }
    pr_text_add(&job.log, log, strlen(log));
    return job;
}

static void end_job(struct job *job, bool files_too)
{
    for (int stream = 0; stream < 2 && files_too; stream++)
        (void)close(job->pieces[stream].fd);
    pr_text_free(&job->log);
}

static bool is_piece(const struct pr_piece *piece, const char *expected)
{
    char text[64] = "";
    size_t n = strlen(expected);
    return piece->end - piece->at == (off_t)n && n < sizeof text &&
           pread(piece->fd, text, n, piece->at) == (ssize_t)n && memcmp(text, expected, n) == 0;
}

static int hold(struct pr_order *order, uint64_t seq, const char *out, const char *err)
{
    struct job job = begin_job(out, err, "log");
    int error = pr_order_hold(order, seq, job.pieces, &job.log);
    end_job(&job, true);
    return error;
}

TEST(poolrun_order, gives_what_waits_when_its_turn_comes)
{
    struct pr_order order;
    struct pr_piece pieces[2];
    struct pr_text log = {.data = NULL};
    pr_order_open(&order);
    CU_ASSERT_EQUAL(hold(&order, 3, "three", ""), 0);
    CU_ASSERT_EQUAL(hold(&order, 2, "", "wrong"), 0);
    CU_ASSERT_EQUAL(pr_order_take(&order, pieces, &log), 0);
    pr_order_advance(&order);
    CU_ASSERT_EQUAL(pr_order_take(&order, pieces, &log), 1);
    CU_ASSERT(is_piece(&pieces[0], "") && is_piece(&pieces[1], "wrong"));
    pr_order_advance(&order);
    CU_ASSERT_EQUAL(pr_order_take(&order, pieces, &log), 1);
    CU_ASSERT(is_piece(&pieces[0], "three") && is_piece(&pieces[1], ""));
    CU_ASSERT_STRING_EQUAL(log.data, "log");
    CU_ASSERT(order.end > 0);
    pr_order_advance(&order);
    CU_ASSERT(order.end == 0 && order.n_held == 0 && order.next == 4);
    pr_order_close(&order);
    pr_text_free(&log);
}

TEST(poolrun_order, passes_over_what_has_nothing)
{
    struct pr_order order;
    struct pr_piece pieces[2];
    struct pr_text log = {.data = NULL};
    pr_order_open(&order);
    CU_ASSERT_EQUAL(pr_order_hold(&order, 1, NULL, NULL), 0);
    CU_ASSERT_EQUAL(pr_order_take(&order, pieces, &log), 1);
    CU_ASSERT(pieces[0].at == pieces[0].end && pieces[1].at == pieces[1].end && log.n == 0);
    pr_order_advance(&order);
    CU_ASSERT_EQUAL(pr_order_take(&order, pieces, &log), 0);
    CU_ASSERT(pr_order_has_room(&order, 2 + PR_ORDER_MAX - 1));
    CU_ASSERT(!pr_order_has_room(&order, 2 + PR_ORDER_MAX));
    pr_order_close(&order);
    pr_text_free(&log);
}

TEST(poolrun_order, keeps_large_files_as_they_are)
{
    struct pr_order order;
    struct pr_piece pieces[2];
    struct pr_text log = {.data = NULL};
    struct job job = begin_job("large", "", "log");
    pr_order_open(&order);
    CU_ASSERT(!pr_order_keeps(&order, job.pieces));
    job.pieces[0].end = 2 << 20;
    CU_ASSERT_FATAL(pr_order_keeps(&order, job.pieces));
    CU_ASSERT_EQUAL(ftruncate(job.pieces[0].fd, 2 << 20), 0);
    CU_ASSERT_EQUAL(pr_order_hold(&order, 1, job.pieces, &job.log), 0);
    CU_ASSERT_EQUAL(order.end, 3);
    CU_ASSERT_EQUAL(pr_order_take(&order, pieces, &log), 1);
    CU_ASSERT(pieces[0].fd == job.pieces[0].fd && pieces[0].end == 2 << 20);
    CU_ASSERT_STRING_EQUAL(log.data, "log");
    pr_order_advance(&order);
    CU_ASSERT_EQUAL(order.n_kept, 0);
    CU_ASSERT_EQUAL(close(job.pieces[0].fd), -1);
    end_job(&job, false);
    pr_order_close(&order);
    pr_text_free(&log);
}
