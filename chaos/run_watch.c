/* SPDX-License-Identifier: MIT */
/* run_watch: the judge reads the history, and talks to the target. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "chaos/run_inner.h"
#include "harness/clock.h"

#define LOOK_NS (250 * HN_MS) /* only the guardian's own death has no bell */

/* ---- What a record means to the run ------------------------------------------------------------ */

static void note_id(struct ch_run *run, uint64_t task_id, uint32_t task, bool sure)
{
    if (task_id >= CH_IDS_MAX || task >= HN_TASKS_MAX)
        return;
    if (sure || run->task_of_id[task_id] == 0)
        run->task_of_id[task_id] = task + 1;
}

uint32_t ch_watch_task_of(const struct ch_run *run, uint64_t task_id)
{
    if (task_id >= CH_IDS_MAX || run->task_of_id[task_id] == 0)
        return HN_NONE;
    return run->task_of_id[task_id] - 1;
}

static void note_reply(struct ch_run *run, const struct hn_record *record)
{
    for (size_t i = 0; i < run->scenario->steps_count; i++) {
        struct ch_step_state *state = &run->steps[i];
        if (state->command == 0 || state->command != record->a)
            continue;
        state->reply = record->code;
        state->replied = true;
    }
}

static void note_parked(struct ch_run *run, const struct hn_record *record)
{
    const struct hn_record *event = hn_history_at(&run->world->history, record->b);
    for (size_t i = 0; i < run->scenario->steps_count; i++) {
        struct ch_step_state *state = &run->steps[i];
        if (state->gate < 0 || (uint64_t)state->gate != record->a || !event)
            continue;
        state->parked = true;
        state->event = *event;
    }
}

/* What a worker was told to do to itself is done: as if it had been a command. */
static void note_errand(struct ch_run *run, const struct hn_record *record)
{
    for (size_t i = 0; i < run->scenario->steps_count; i++) {
        struct ch_step_state *state = &run->steps[i];
        if (state->phase != CH_STEP_ACTING || state->command || state->event.pid != record->pid)
            continue;
        state->reply = record->code;
        state->replied = true;
    }
}

static void note_gone(struct ch_run *run, const struct hn_record *record)
{
    run->target_gone = true;
    run->target_end = *record;
}

static void note(struct ch_run *run, const struct hn_record *record)
{
    hn_roster_note(&run->roster, record);
    if (record->kind == HN_LOAD_BEGUN)
        run->load_ns = record->time_ns;
    else if (record->kind == HN_LOAD_ENDED)
        run->load_ended_ns = record->time_ns;
    else if (record->kind == HN_SUBMITTED)
        note_id(run, record->a, record->task, false);
    else if (record->kind == HN_TASK_START || record->kind == HN_COLLECTED)
        note_id(run, record->a, record->task, true);
    else if (record->kind == HN_REPLY)
        note_reply(run, record);
    else if (record->kind == HN_ERRAND)
        note_errand(run, record);
    else if (record->kind == HN_GATE_PARKED)
        note_parked(run, record);
    else if (record->kind == HN_TARGET_GONE)
        note_gone(run, record);
}

void ch_watch_drain(struct ch_run *run)
{
    const struct hn_record *record;
    while ((record = hn_cursor_next(&run->cursor, &run->world->history)))
        note(run, record);
}

bool ch_watch_wait(struct ch_run *run, uint64_t deadline_ns)
{
    uint64_t look_ns = hn_clock_ns() + LOOK_NS;
    uint64_t until_ns = deadline_ns < look_ns ? deadline_ns : look_ns;
    if (hn_cursor_wait(&run->cursor, &run->world->history, until_ns) == 0)
        return true;
    return hn_guardian_lives(&run->guardian);
}

/* ---- Commands ---------------------------------------------------------------------------------- */

uint32_t ch_watch_command(struct ch_run *run, struct hn_command *command)
{
    command->number = ++run->commands;
    if (run->target_gone)
        return 0;
    if (send(run->guardian.command_fd, command, sizeof *command, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return command->number;
    if (errno != EPIPE && errno != ECONNRESET)
        hn_findings_add(&run->world->findings, HN_HARNESS, "the commands to the target",
                        "room for one more", "%s", strerror(errno));
    return 0;
}

/* The reply to that command, if it is in the records from there on. */
static const struct hn_record *find_reply(const struct ch_run *run, uint32_t number,
                                          uint64_t *scanned)
{
    const struct hn_history *history = &run->world->history;
    while (*scanned < run->cursor.passed) {
        const struct hn_record *record = hn_history_at(history, ++*scanned);
        if (record && record->kind == HN_REPLY && record->a == number)
            return record;
    }
    return NULL;
}

int ch_watch_ask(struct ch_run *run, struct hn_command *command, uint64_t deadline_ns,
                 int32_t *reply)
{
    uint64_t scanned = run->cursor.passed;
    uint32_t number = ch_watch_command(run, command);
    if (number == 0)
        return -EPIPE;
    for (;;) {
        ch_watch_drain(run);
        const struct hn_record *record = find_reply(run, number, &scanned);
        if (record) {
            *reply = record->code;
            return 0;
        }
        if (run->target_gone)
            return -EPIPE;
        if (hn_clock_ns() >= deadline_ns)
            return -ETIMEDOUT;
        if (!ch_watch_wait(run, deadline_ns))
            return -EPIPE;
    }
}
