/* SPDX-License-Identifier: MIT */
/* story: one pass over the history; see the header. */
#include "harness/story.h"

#include <signal.h>
#include <stdlib.h>

/* ---- Tasks ------------------------------------------------------------------------------------- */

static void read_task_record(struct hn_stories *stories, const struct hn_record *record)
{
    if (record->task >= stories->count)
        return;
    struct hn_story *story = &stories->list[record->task];
    if (record->kind == HN_TASK_START) {
        story->starts++;
        story->pid = record->pid;
        story->slot = record->slot;
        story->start_ns = record->time_ns;
    } else if (record->kind == HN_TASK_END) {
        story->ends++;
        story->end_code = record->code;
    } else if (record->kind == HN_CALL && record->a == HN_CALL_CANCEL) {
        story->asked |= record->code == LIBPOOL_CANCEL_ASKED;
        story->cancelled |= record->code > LIBPOOL_CANCEL_DONE &&
                            record->code != LIBPOOL_CANCEL_ASKED;
    }
}

/* The pool's events know its own numbers only: row_of[id] is the row of that task, plus 1; 0: it has none. */
struct numbering {
    uint32_t *row_of;
    uint64_t most;
};

static void read_event(struct hn_stories *stories, const struct hn_record *record,
                       const struct numbering *numbering)
{
    bool retried = record->kind == HN_POOL + LIBPOOL_EVENT_TASK_RETRIED;
    bool ended = record->kind == HN_POOL + LIBPOOL_EVENT_TASK_ENDED;
    if ((!ended && !retried) || record->a > numbering->most || !numbering->row_of[record->a])
        return;
    struct hn_story *story = &stories->list[numbering->row_of[record->a] - 1];
    story->retried += retried;
    if (!ended)
        return;
    story->told++;
    story->told_cause = record->cause;
    story->told_ns = record->time_ns;
}

static void number_rows(const struct hn_world *world, uint32_t count,
                        const struct numbering *numbering)
{
    for (uint32_t task = 0; task < count; task++) {
        const struct hn_row *row = &world->rows[task];
        if (atomic_load(&row->state) == HN_TASK_COLLECTED && row->task_id &&
            row->task_id <= numbering->most)
            numbering->row_of[row->task_id] = task + 1;
    }
}

/* ---- Deeds ------------------------------------------------------------------------------------- */

static void come_back(struct hn_stories *stories, uint64_t time_ns)
{
    for (uint32_t i = 0; i < stories->absences_count; i++)
        if (stories->absences[i].to_ns == UINT64_MAX)
            stories->absences[i].to_ns = time_ns;
}

/* A fault's record is written when it has had its effect; b: when it was begun. */
static void go_missing(struct hn_stories *stories, const struct hn_record *record)
{
    if (stories->absences_count == HN_ABSENCES_MAX)
        return;
    stories->absences[stories->absences_count++] = (struct hn_absence){
        record->b ? record->b : record->time_ns, UINT64_MAX};
}

static void read_deed(struct hn_stories *stories, const struct hn_record *record)
{
    bool fault = record->kind == HN_FAULT, undone = record->kind == HN_FAULT_UNDONE;
    if (fault && record->pid > 0 && stories->deeds_count < HN_DEEDS_MAX)
        stories->deeds[stories->deeds_count++] = (struct hn_deed){record->pid, record->slot,
                                                                  record->signal};
    stories->held |= record->kind == HN_POOL + LIBPOOL_EVENT_KIND_QUARANTINED;
    if (record->kind == HN_POOL + LIBPOOL_EVENT_ZYGOTE_STARTED) {
        stories->zygote = record->pid;
        come_back(stories, record->time_ns);
    }
    if ((!fault && !undone) || record->pid != stories->zygote || stories->zygote == 0)
        return;
    if (record->signal == SIGCONT)
        come_back(stories, record->time_ns);
    else if (fault)
        go_missing(stories, record);
}

static void read_call(struct hn_stories *stories, const struct hn_record *record)
{
    bool ends = record->a == HN_CALL_SHUTDOWN || record->a == HN_CALL_CLOSE;
    if (record->kind == HN_CALL && ends && record->time_ns - record->b < stories->shut_ns)
        stories->shut_ns = record->time_ns - record->b; /* it is written when it returns */
    if (record->kind == HN_CALL && record->a == HN_CALL_UNSERVE)
        stories->unserved_ns = record->time_ns - record->b;
}

/* ---- All --------------------------------------------------------------------------------------- */

static void read_all(struct hn_stories *stories, const struct hn_world *world,
                     const struct numbering *numbering)
{
    const struct hn_history *history = &world->history;
    for (uint64_t number = 1; number <= hn_history_count(history); number++) {
        const struct hn_record *record = hn_history_at(history, number);
        if (!record)
            continue;
        read_task_record(stories, record);
        read_event(stories, record, numbering);
        read_deed(stories, record);
        read_call(stories, record);
    }
}

struct hn_stories *hn_stories_read(const struct hn_world *world)
{
    uint32_t count = atomic_load(&world->tasks_count);
    struct hn_stories *stories = calloc(1, sizeof *stories);
    struct numbering numbering = {.most = count + atomic_load(&world->calls.called)};
    numbering.row_of = calloc(numbering.most + 1, sizeof *numbering.row_of);
    if (stories)
        stories->list = calloc(count + 1, sizeof *stories->list);
    if (!stories || !numbering.row_of || !stories->list) {
        hn_stories_free(stories);
        free(numbering.row_of);
        return NULL;
    }
    stories->count = count;
    stories->shut_ns = UINT64_MAX;
    stories->unserved_ns = UINT64_MAX;
    number_rows(world, count, &numbering);
    read_all(stories, world, &numbering);
    free(numbering.row_of);
    return stories;
}

void hn_stories_free(struct hn_stories *stories)
{
    if (stories)
        free(stories->list);
    free(stories);
}

/* ---- Questions --------------------------------------------------------------------------------- */

bool hn_story_was_hit(const struct hn_stories *stories, int32_t pid, int number)
{
    for (uint32_t i = 0; pid > 0 && i < stories->deeds_count; i++)
        if (stories->deeds[i].pid == pid && stories->deeds[i].signal == number)
            return true;
    return false;
}

bool hn_story_one_was_limited(const struct hn_stories *stories)
{
    for (uint32_t i = 0; i < stories->deeds_count; i++)
        if (stories->deeds[i].slot != HN_NONE && stories->deeds[i].signal == 0)
            return true;
    return false;
}

uint64_t hn_story_ended_ns(const struct hn_story *story, const struct hn_row *row)
{
    return story->told ? story->told_ns : row->collected_ns;
}

bool hn_story_was_orphaned(const struct hn_stories *stories, const struct hn_story *story,
                           const struct hn_row *row)
{
    uint64_t begun_ns = story->starts ? story->start_ns : row->offered_ns + row->pending_ns;
    uint64_t ended_ns = hn_story_ended_ns(story, row);
    for (uint32_t i = 0; i < stories->absences_count; i++)
        if (begun_ns <= stories->absences[i].to_ns && ended_ns >= stories->absences[i].from_ns)
            return true;
    return false;
}
