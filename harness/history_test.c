/* SPDX-License-Identifier: MIT */
#include "harness/history.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/test.h"

#define RECORDS 200000
#define WRITERS 4

static struct hn_history *new_history(uint64_t capacity)
{
    void *memory = mmap(NULL, hn_history_bytes(capacity), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(memory != MAP_FAILED);
    hn_history_init(memory, capacity);
    return memory;
}

static void free_history(struct hn_history *history)
{
    munmap(history, hn_history_bytes(history->capacity));
}

static void write_note(struct hn_history *history, uint64_t a)
{
    struct hn_record record = hn_record_of(HN_NOTE);
    record.a = a;
    record.b = ~a;
    hn_history_append(history, &record);
}

TEST(history, records_come_back_in_order)
{
    struct hn_history *history = new_history(8);
    struct hn_cursor cursor = {0};
    for (uint64_t i = 0; i < 3; i++)
        write_note(history, i);
    for (uint64_t i = 0; i < 3; i++) {
        const struct hn_record *record = hn_cursor_next(&cursor, history);
        CU_ASSERT_PTR_NOT_NULL_FATAL(record);
        CU_ASSERT_EQUAL(record->a, i);
        CU_ASSERT_EQUAL(record->number, i + 1);
        CU_ASSERT_EQUAL(record->pid, getpid());
    }
    CU_ASSERT_PTR_NULL(hn_cursor_next(&cursor, history));
    free_history(history);
}

TEST(history, what_finds_no_room_is_counted)
{
    struct hn_history *history = new_history(2);
    for (uint64_t i = 0; i < 5; i++)
        write_note(history, i);
    CU_ASSERT_EQUAL(hn_history_count(history), 2);
    CU_ASSERT_EQUAL(atomic_load(&history->dropped), 3);
    CU_ASSERT_EQUAL(hn_history_holes(history), 0);
    free_history(history);
}

static pid_t start_writer(struct hn_history *history)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    for (uint64_t i = 0;; i++)
        write_note(history, i);
}

/* Each writer's notes that are whole: consistent in themselves, in its own order. */
static uint64_t check_writer(struct hn_history *history, pid_t pid)
{
    uint64_t seen = 0, wrong = 0;
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (!record || record->pid != pid)
            continue;
        if (record->b != ~record->a || record->a < seen)
            wrong++;
        seen = record->a + 1;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    return seen;
}

TEST(history, survives_the_death_of_its_writers)
{
    struct hn_history *history = new_history(RECORDS);
    struct hn_cursor cursor = {0};
    pid_t writers[WRITERS];
    uint64_t read = 0, deadline_ns = hn_clock_ns() + 10 * HN_S;
    for (int i = 0; i < WRITERS; i++)
        writers[i] = start_writer(history);
    while (read < RECORDS / 2 && hn_clock_ns() < deadline_ns)
        if (hn_cursor_next(&cursor, history))
            read++;
        else
            hn_cursor_wait(&cursor, history, deadline_ns);
    for (int i = 0; i < WRITERS; i++)
        kill(writers[i], SIGKILL);
    for (int i = 0; i < WRITERS; i++)
        waitpid(writers[i], NULL, 0);
    while (cursor.passed < hn_history_count(history) && hn_clock_ns() < deadline_ns)
        if (!hn_cursor_next(&cursor, history))
            hn_cursor_wait(&cursor, history, deadline_ns);
    CU_ASSERT_EQUAL(cursor.passed, hn_history_count(history));
    CU_ASSERT(hn_history_holes(history) <= WRITERS);
    for (int i = 0; i < WRITERS; i++)
        CU_ASSERT(check_writer(history, writers[i]) > 0);
    free_history(history);
}

TEST(history, a_hole_is_passed_in_bounded_time)
{
    struct hn_history *history = new_history(8);
    struct hn_cursor cursor = {0};
    atomic_fetch_add(&history->next, 1); /* a writer that died between its two steps */
    write_note(history, 7);
    uint64_t begun_ns = hn_clock_ns();
    const struct hn_record *record = NULL;
    while (!record && hn_clock_ns() < begun_ns + 5 * HN_S) {
        record = hn_cursor_next(&cursor, history);
        if (!record)
            hn_cursor_wait(&cursor, history, begun_ns + 5 * HN_S);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(record);
    CU_ASSERT_EQUAL(record->a, 7);
    CU_ASSERT(hn_clock_ns() - begun_ns >= HN_HOLE_NS);
    CU_ASSERT_EQUAL(hn_history_holes(history), 1);
    free_history(history);
}

TEST(history, a_sleeper_is_woken_by_another_process)
{
    struct hn_history *history = new_history(8);
    struct hn_cursor cursor = {0};
    pid_t pid = fork();
    if (pid == 0) {
        while (atomic_load(&history->sleepers) == 0)
            ;
        write_note(history, 1);
        _exit(0);
    }
    CU_ASSERT_EQUAL(hn_cursor_wait(&cursor, history, hn_clock_ns() + 10 * HN_S), 0);
    waitpid(pid, NULL, 0);
    CU_ASSERT_PTR_NOT_NULL(hn_cursor_next(&cursor, history));
    CU_ASSERT_EQUAL(hn_cursor_wait(&cursor, history, hn_clock_ns() + HN_MS), -ETIMEDOUT);
    free_history(history);
}
