/* SPDX-License-Identifier: MIT */
/*
 * run_evidence: what is left for people when a run did not pass: the event history, and for one
 * that hung, where every process stood.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/run_inner.h"
#include "harness/clock.h"

#define SHOWN_MAX 64

static FILE *open_evidence(struct ch_run *run, const char *mode)
{
    struct ch_result *result = run->result;
    if (!run->options->evidence_dir)
        return NULL;
    const char *slash = strrchr(run->scenario->path, '/');
    int length = snprintf(result->evidence, sizeof result->evidence, "%s/%.80s-%u-%u.history",
                          run->options->evidence_dir, slash ? slash + 1 : run->scenario->path,
                          result->index, result->repeat);
    bool fits = length >= 0 && (size_t)length < sizeof result->evidence;
    FILE *file = fits ? fopen(result->evidence, mode) : NULL;
    if (!file) {
        fprintf(stderr, "chaos: %s: %s\n", result->evidence, strerror(fits ? errno : ENAMETOOLONG));
        result->evidence[0] = 0;
    }
    return file;
}

/* ---- Where everybody stands --------------------------------------------------------------------- */

static void print_steps(const struct ch_run *run, FILE *file)
{
    static const char *const phases[] = {[CH_STEP_WAITING] = "waiting",
                                         [CH_STEP_ACTING] = "acting",
                                         [CH_STEP_DONE] = "done",
                                         [CH_STEP_MISSED] = "missed"};
    for (size_t i = 0; i < run->scenario->steps_count; i++)
        fprintf(file, "step in line %u: %s, fired %u %s\n",
                run->scenario->steps[i].action.place.line, phases[run->steps[i].phase],
                run->steps[i].fired, run->steps[i].trouble);
}

static void print_stack(FILE *file, int pid)
{
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/stack", pid);
    if (hn_procfs_read(path, text, sizeof text) > 0)
        fprintf(file, "%s", text);
}

static void print_processes(const struct ch_run *run, FILE *file)
{
    struct hn_process *list = calloc(SHOWN_MAX, sizeof *list);
    if (!list)
        return;
    int count = hn_process_descendants(run->guardian.pid, list, SHOWN_MAX);
    for (int i = 0; i < count && i < SHOWN_MAX; i++) {
        char text[320];
        hn_process_describe(list[i].pid, text, sizeof text);
        fprintf(file, "%s\n", text);
        print_stack(file, list[i].pid);
    }
    free(list);
}

/* One line for the report: the steps that are not done. */
static void sum_up(struct ch_run *run)
{
    for (size_t i = 0; i < run->scenario->steps_count; i++) {
        const struct ch_step_state *state = &run->steps[i];
        if (state->phase == CH_STEP_DONE || run->scenario->steps[i].action.optional)
            continue;
        ch_result_objectf(run->result, CH_FAIL, run->scenario->steps[i].trigger.place, "limit",
                          "this step done", "the timeline", "%s; %u of %u events came.%s%s",
                          state->phase == CH_STEP_ACTING ? "its command has not returned"
                                                         : "its trigger was not met",
                          ch_trigger_matches(run, (uint32_t)i), run->scenario->steps[i].trigger.nth,
                          state->trouble[0] ? " " : "", state->trouble);
    }
}

void ch_evidence_hang(struct ch_run *run)
{
    FILE *file = open_evidence(run, "w");
    sum_up(run);
    if (!file && run->options->verbose)
        file = stderr;
    if (!file)
        return;
    print_steps(run, file);
    print_processes(run, file);
    if (file != stderr)
        fclose(file);
}

/* ---- The history --------------------------------------------------------------------------------- */

static void print_number(FILE *file, const char *name, uint64_t value, bool shown)
{
    if (shown)
        fprintf(file, " %s=%" PRIu64, name, value);
}

static void print_record(const struct ch_run *run, FILE *file, const struct hn_record *record)
{
    double ms = ((double)record->time_ns - (double)run->begun_ns) / 1e6;
    fprintf(file, "%10.3f %-15s pid=%d", ms, hn_kind_name(record->kind), record->pid);
    print_number(file, "slot", record->slot, record->slot != HN_NONE);
    print_number(file, "group", record->group, record->group != HN_NONE);
    print_number(file, "task", record->task, record->task != HN_NONE);
    if (record->cause > 0)
        fprintf(file, " cause=%s", libpool_cause_name((libpool_cause)record->cause));
    if (record->kind == HN_CALL)
        fprintf(file, " %s", hn_call_name((enum hn_call)record->a));
    if (record->code)
        fprintf(file, " code=%d", record->code);
    if (record->signal)
        fprintf(file, " signal=%d", record->signal);
    print_number(file, "a", record->a, record->a != 0);
    print_number(file, "b", record->b, record->b != 0);
    fputc('\n', file);
}

static void print_clause(const struct ch_run *run, enum hn_clause clause, FILE *file)
{
    for (uint32_t i = 0; i < HN_FINDINGS_MAX; i++) {
        const struct hn_finding *finding = hn_findings_at(&run->world->findings, clause, i);
        if (finding)
            fprintf(file, "# %s: %s: expected %s, got %s\n", hn_clause_name(clause), finding->read,
                    finding->expected, finding->actual);
    }
}

void ch_evidence_keep(struct ch_run *run)
{
    FILE *file = open_evidence(run, "a");
    if (!file)
        return;
    for (int clause = 0; clause < HN_CLAUSES; clause++)
        print_clause(run, (enum hn_clause)clause, file);
    for (uint64_t number = 1; number <= hn_history_count(&run->world->history); number++) {
        const struct hn_record *record = hn_history_at(&run->world->history, number);
        if (record)
            print_record(run, file, record);
        else
            fprintf(file, "# record %" PRIu64 " was never finished: its writer died\n", number);
    }
    fclose(file);
}
