/* SPDX-License-Identifier: MIT */
/* run_inner: what the files of the runner share; see run.h and run.c. */
#ifndef CHAOS_RUN_INNER_H
#define CHAOS_RUN_INNER_H

#include <stdbool.h>
#include <stdint.h>

#include "chaos/run.h"
#include "harness/check.h"
#include "harness/guardian.h"
#include "harness/history.h"
#include "harness/roster.h"
#include "harness/target.h"

/* What a name stands for once it is bound. */
struct ch_binding {
    bool bound;
    uint64_t since_ns;     /* events before that are not meant */
    uint64_t since_number; /* nor that record itself; 0: no record bound it */
    uint32_t slot, task, group;
    struct hn_process process;
};

enum ch_step_phase {
    CH_STEP_WAITING = 0, /* for its trigger */
    CH_STEP_ACTING,      /* a command is under way in the target */
    CH_STEP_DONE,
    CH_STEP_MISSED /* its time is over */
};

struct ch_step_state {
    enum ch_step_phase phase;
    uint32_t fired;   /* victims hit, or 1 */
    int gate;         /* armed: its index; else -1 */
    bool parked;      /* somebody is held there */
    uint64_t scanned; /* records looked at for the trigger */
    uint32_t matches;
    uint64_t fired_ns;  /* the trigger was met, nothing done yet */
    uint64_t effect_ns; /* the action holds */
    uint64_t next_ns;   /* EVERY: when again */
    uint32_t command;   /* number of the command under way */
    int32_t reply;
    bool replied;
    bool undone;
    char trouble[160];      /* why nothing was hit, so far */
    struct hn_record event; /* what met the trigger; kind 0: time did */
};

#define CH_STEPS_MAX 64
#define CH_BINDINGS_MAX 128
#define CH_IDS_MAX (2u * HN_TASKS_MAX)

struct ch_run {
    const struct ch_scenario *scenario;
    const struct ch_run_options *options;
    struct ch_result *result;

    struct hn_world *world;
    struct hn_guardian guardian;
    struct hn_target_options target;
    struct hn_group groups[HN_GROUPS_MAX];

    struct hn_cursor cursor;
    struct hn_roster roster;
    uint64_t random;
    uint64_t begun_ns, limit_ns; /* the run: its start, its watchdog */
    uint64_t load_ns;            /* 0: the load has not begun */
    uint64_t load_ended_ns;
    uint32_t commands; /* numbers given */
    bool target_gone;
    struct hn_record target_end;
    bool closed;     /* a close was asked for */
    bool shut;       /* a shutdown was asked for */
    bool unserved;   /* so was its server */
    int host_signal; /* the application was struck, to end it */
    bool memory_limited;
    bool settled;          /* the pool did, before it was closed */
    bool timed_out;        /* the watchdog ended it */
    const char *unread;    /* why there are no numbers to be judged; NULL: they are in `numbers` */
    libpool_stats numbers; /* of the settled pool; in a timeline with a close, the last before it */

    struct ch_step_state steps[CH_STEPS_MAX];
    struct ch_binding names[CH_BINDINGS_MAX];
    uint32_t task_of_id[CH_IDS_MAX]; /* the pool's task id to our row, plus 1 */
};

/* run_convert.c: 0, or -E2BIG when the scenario has more than the harness takes. */
int ch_convert(struct ch_run *run);

/* run_watch.c: reading the history */
void ch_watch_drain(struct ch_run *run);
/* Sleeps until there is news or the deadline, whichever is first. False: the guardian is dead. */
bool ch_watch_wait(struct ch_run *run, uint64_t deadline_ns);
/* Sends a command. Its number, 0 when the target is gone (or the harness broke: it says so). */
uint32_t ch_watch_command(struct ch_run *run, struct hn_command *command);
/* The same, and waits for the reply. 0; -ETIMEDOUT; -EPIPE: the target is gone. */
int ch_watch_ask(struct ch_run *run, struct hn_command *command, uint64_t deadline_ns,
                 int32_t *reply);
/* Row of the pool's task id; HN_NONE when it is not known yet. */
uint32_t ch_watch_task_of(const struct ch_run *run, uint64_t task_id);

/* run_trigger.c */
void ch_trigger_arm(struct ch_run *run);
/* True when it is met; state->event is filled. */
bool ch_trigger_met(struct ch_run *run, uint32_t step);
/* The next time at which a trigger could be met by time alone, or be missed. */
uint64_t ch_trigger_due_ns(const struct ch_run *run);
bool ch_trigger_is_late(const struct ch_run *run, uint32_t step);
/* True when somebody was held there, who goes on, errand first. */
uint32_t ch_trigger_matches(const struct ch_run *run, uint32_t step); /* events that came so far */
bool ch_trigger_release(struct ch_run *run, uint32_t step, enum hn_errand errand);

/* run_action.c */
/* True when it was tried to the end (done or under way); false: nobody to hit yet, try again. */
bool ch_action_perform(struct ch_run *run, uint32_t step);
void ch_action_finish(struct ch_run *run, uint32_t step); /* its reply has come */
bool ch_action_is_fault(const struct ch_action *action);
/* An undo of what is still under way: that would come into force with nobody left to undo it. */
bool ch_action_is_early(const struct ch_run *run, const struct ch_action *action);
void ch_action_heal(struct ch_run *run);

/* run_expect.c */
/* A step that can't be judged: nothing was shown. */
void ch_expect_unjudged(struct ch_run *run, uint32_t step, const char *expected, const char *why);
void ch_expect_checks(struct ch_run *run, uint32_t step); /* of an `expect` action */
void ch_expect_all(struct ch_run *run);                   /* the expect section, and the implied */
uint64_t ch_counter_value(const libpool_stats *stats, const struct ch_counter *counter);

/* run_evidence.c */
void ch_evidence_hang(struct ch_run *run); /* who stands where, into the result */
void ch_evidence_keep(struct ch_run *run); /* the history, into a file */

static inline void ch_run_bind(struct ch_run *run, int name, const struct ch_binding *binding)
{
    if (name != CH_NOBODY && name < CH_BINDINGS_MAX)
        run->names[name] = *binding;
}

#endif
