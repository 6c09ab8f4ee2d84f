/* SPDX-License-Identifier: MIT */
#include "joblog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/test.h"

#define HEADER "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"
#define LINE(seq_) seq_ "\t:\t1700000000.123\t     0.002\t0\t5\t0\t0\techo a\n"

struct file {
    char path[64];
    char text[2000];
    size_t n;
};

static void begin(struct file *file, const char *text)
{
    (void)snprintf(file->path, sizeof file->path, "/tmp/poolrun-test-XXXXXX");
    int fd = mkstemp(file->path);
    if (fd >= 0 && write(fd, text, strlen(text)) >= 0)
        (void)close(fd);
}

static void end(struct file *file)
{
    FILE *stream = fopen(file->path, "re");
    file->n = stream ? fread(file->text, 1, sizeof file->text - 1, stream) : 0;
    file->text[file->n] = '\0';
    if (stream)
        (void)fclose(stream);
    (void)unlink(file->path);
}

TEST(poolrun_joblog, has_the_columns_of_gnu_parallel)
{
    struct pr_text text = {.data = NULL};
    struct pr_joblog_entry entry = {7, 1700000000.1234, 1.5, 42, 3, 9, "echo\na\tb"};
    pr_joblog_format(&text, &entry);
    static const char expected[] = "7\t:\t1700000000.123\t     1.500\t0\t42\t3\t9\techo\0a\tb\n";
    CU_ASSERT_EQUAL(text.n, sizeof expected - 1);
    CU_ASSERT_EQUAL(memcmp(text.data, expected, sizeof expected - 1), 0);
    CU_ASSERT_EQUAL(pr_joblog_parse(text.data), 7);
    pr_text_free(&text);
}

TEST(poolrun_joblog, knows_a_line_by_its_columns)
{
    CU_ASSERT_EQUAL(pr_joblog_parse(LINE("12")), 12);
    CU_ASSERT_EQUAL(pr_joblog_parse("1\t:\t1\t1\t0\t0\t0\t0\t"), 1);
    CU_ASSERT_EQUAL(pr_joblog_parse("1\t:\t1\t1\t0\t0\t0\t0"), 0);
    CU_ASSERT_EQUAL(pr_joblog_parse("x\t:\t1\t1\t0\t0\t0\t0\techo"), 0);
    CU_ASSERT_EQUAL(pr_joblog_parse("1x\t:\t1\t1\t0\t0\t0\t0\techo"), 0);
    CU_ASSERT_EQUAL(pr_joblog_parse("99999999999999999999999\t:\t1\t1\t0\t0\t0\t0\techo"), 0);
    CU_ASSERT_EQUAL(pr_joblog_parse(""), 0);
}

TEST(poolrun_joblog, resumes_after_a_torn_line)
{
    struct file file;
    struct pr_joblog log;
    begin(&file, HEADER LINE("1") LINE("3") "2\t:\t17000");
    CU_ASSERT_EQUAL(pr_joblog_open(&log, file.path, true), 0);
    CU_ASSERT(pr_joblog_has(&log, 1) && pr_joblog_has(&log, 3));
    CU_ASSERT(!pr_joblog_has(&log, 2) && !pr_joblog_has(&log, 4));
    CU_ASSERT_EQUAL(pr_joblog_append(&log, LINE("2"), strlen(LINE("2"))), 0);
    pr_joblog_close(&log);
    end(&file);
    CU_ASSERT_STRING_EQUAL(file.text, HEADER LINE("1") LINE("3") LINE("2"));
}

TEST(poolrun_joblog, begins_anew_after_a_torn_header)
{
    struct file file;
    struct pr_joblog log;
    begin(&file, "Seq\tHos");
    CU_ASSERT_EQUAL(pr_joblog_open(&log, file.path, true), 0);
    pr_joblog_close(&log);
    end(&file);
    CU_ASSERT_STRING_EQUAL(file.text, HEADER);
}

TEST(poolrun_joblog, is_emptied_unless_it_is_resumed)
{
    struct file file;
    struct pr_joblog log;
    begin(&file, HEADER LINE("1"));
    CU_ASSERT_EQUAL(pr_joblog_open(&log, file.path, false), 0);
    CU_ASSERT(!pr_joblog_has(&log, 1));
    pr_joblog_close(&log);
    end(&file);
    CU_ASSERT_STRING_EQUAL(file.text, HEADER);
}

TEST(poolrun_joblog, leaves_another_file_as_it_is)
{
    struct file file;
    struct pr_joblog log;
    begin(&file, "dear diary\nSeq");
    CU_ASSERT_EQUAL(pr_joblog_open(&log, file.path, true), 1);
    end(&file);
    CU_ASSERT_STRING_EQUAL(file.text, "dear diary\nSeq");
    begin(&file, HEADER LINE("1") "what\n" LINE("2"));
    CU_ASSERT_EQUAL(pr_joblog_open(&log, file.path, true), 3);
    end(&file);
    CU_ASSERT_STRING_EQUAL(file.text, HEADER LINE("1") "what\n" LINE("2"));
    begin(&file, "dear diary");
    CU_ASSERT_EQUAL(pr_joblog_open(&log, file.path, true), 1);
    end(&file);
    CU_ASSERT_STRING_EQUAL(file.text, "dear diary");
    CU_ASSERT_EQUAL(pr_joblog_open(&log, "/nowhere/at/all", true), -ENOENT);
}

TEST(poolrun_joblog, keeps_ranges_however_the_numbers_come)
{
    struct pr_joblog log = {.fd = -1};
    static const uint64_t seqs[] = {5, 1, 3, 2, 5, UINT64_MAX, 4, 9, 7, 8};
    for (size_t i = 0; i < sizeof seqs / sizeof *seqs; i++)
        pr_joblog_note(&log, seqs[i]);
    CU_ASSERT_EQUAL(log.n, 3);
    for (uint64_t seq = 0; seq < 12; seq++) {
        CU_ASSERT_EQUAL(pr_joblog_has(&log, seq), (seq >= 1 && seq <= 5) || (seq >= 7 && seq <= 9));
    }
    CU_ASSERT(pr_joblog_has(&log, UINT64_MAX) && !pr_joblog_has(&log, UINT64_MAX - 1));
    pr_joblog_close(&log);
}
