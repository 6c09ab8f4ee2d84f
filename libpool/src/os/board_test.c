/* SPDX-License-Identifier: MIT */
#include "os/board.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "harness/test.h"

static struct lp_board board;

static void write_report(uint64_t number)
{
    struct lp_progress report = {.task_id = number, .done = number, .total = ~number};
    memset(report.text, 'a' + (int)(number % 26), sizeof report.text);
    lp_board_write(&board, &report);
}

static bool is_whole(const struct lp_progress *report)
{
    size_t last = sizeof report->text - 1;
    for (size_t i = 0; i < last; i++)
        if (report->text[i] != 'a' + (int)(report->task_id % 26))
            return false;
    return report->done == report->task_id && report->total == ~report->task_id &&
           report->text[last] == '\0';
}

TEST(board, the_last_report_is_read_and_its_text_ends)
{
    struct lp_progress report;
    lp_board_wipe(&board);
    CU_ASSERT_EQUAL(lp_board_read(&board, &report), -ENOENT);
    for (uint64_t number = 1; number <= 10; number++) {
        write_report(number);
        CU_ASSERT_EQUAL(lp_board_read(&board, &report), 0);
        CU_ASSERT_EQUAL(report.task_id, number);
        CU_ASSERT_TRUE(is_whole(&report));
    }
    lp_board_wipe(&board);
    CU_ASSERT_EQUAL(lp_board_read(&board, &report), -ENOENT);
}

/* Stopped in the middle of a report: the one before it is there. */
TEST(board, who_is_stopped_while_writing_has_said_what_it_said_before)
{
    struct lp_progress report;
    lp_board_wipe(&board);
    write_report(1);
    memset((void *)&board.words[1], 0xa5, sizeof board.words[1] / 2);
    CU_ASSERT_EQUAL(lp_board_read(&board, &report), 0);
    CU_ASSERT_EQUAL(report.task_id, 1);
    CU_ASSERT_TRUE(is_whole(&report));
}

TEST(board, garbage_is_at_worst_garbage)
{
    struct lp_progress report;
    for (int byte = 1; byte < 256; byte++) {
        memset((void *)&board, byte, sizeof board);
        CU_ASSERT_EQUAL(lp_board_read(&board, &report), 0);
        CU_ASSERT_EQUAL(strnlen(report.text, sizeof report.text), sizeof report.text - 1);
    }
}

#define REPORTS 300000

static void *write_many(void *unused)
{
    (void)unused;
    for (uint64_t number = 1; number <= REPORTS; number++)
        write_report(number);
    return NULL;
}

TEST(board, a_report_is_never_torn)
{
    struct lp_progress report = {.task_id = 0};
    pthread_t writer;
    unsigned torn = 0, read = 0, back = 0;
    lp_board_wipe(&board);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, write_many, NULL), 0);
    while (report.task_id < REPORTS) {
        uint64_t before = report.task_id;
        if (lp_board_read(&board, &report))
            continue;
        read++;
        torn += !is_whole(&report);
        back += report.task_id < before;
    }
    pthread_join(writer, NULL);
    CU_ASSERT(read > 0);
    CU_ASSERT_EQUAL(torn, 0);
    CU_ASSERT_EQUAL(back, 0);
}
