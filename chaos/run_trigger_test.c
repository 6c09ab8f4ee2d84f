/* SPDX-License-Identifier: MIT */
/* When a step is due: told by a history that is written here, without any process. */
#include <stdlib.h>
#include <string.h>

#include "chaos/run_inner.h"
#include "harness/clock.h"
#include "harness/test.h"

#define SECONDS_IN_US UINT64_C(1000000)

/* Two steps, a group of tasks and a name, to be filled by each test. */
struct fixture {
    struct ch_run *run;
    struct ch_scenario scenario;
    struct ch_submit submits[1];
    struct ch_step steps[2];
    struct ch_name names[2];
};

static void on(struct ch_step *step, enum ch_event event)
{
    *step = (struct ch_step){
        .trigger = {.kind = CH_TRIGGER_ON,
                    .event = event,
                    .of = CH_NOBODY,
                    .slot_of = CH_NOBODY,
                    .nth = 1,
                    .within_us = CH_UNSET,
                    .name = CH_NOBODY},
        .action = {.kind = CH_ACTION_NOTE, .name = CH_NOBODY},
    };
}

static struct fixture *new_fixture(void)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    fixture->run = calloc(1, sizeof *fixture->run);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->run);
    fixture->scenario = (struct ch_scenario){.submits = fixture->submits,
                                             .submits_count = 1,
                                             .steps = fixture->steps,
                                             .steps_count = 2,
                                             .names = fixture->names,
                                             .names_count = 2};
    fixture->names[0] = (struct ch_name){.text = "group", .kind = CH_NAME_TASKS};
    fixture->names[1] = (struct ch_name){.text = "w", .kind = CH_NAME_EVENT};
    on(&fixture->steps[0], CH_EVENT_WORKER_READY);
    on(&fixture->steps[1], CH_EVENT_WORKER_READY);
    fixture->run->scenario = &fixture->scenario;
    fixture->run->world = hn_world_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->run->world);
    fixture->run->begun_ns = 1 * HN_S;
    fixture->run->load_ns = 2 * HN_S;
    fixture->run->steps[0].gate = fixture->run->steps[1].gate = -1;
    return fixture;
}

static void free_fixture(struct fixture *fixture)
{
    hn_world_free(fixture->run->world);
    free(fixture->run);
    free(fixture);
}

static void tell(struct fixture *fixture, uint32_t kind, uint32_t slot, int32_t pid,
                 uint64_t time_ns)
{
    struct hn_record record = hn_record_of((enum hn_kind)kind);
    record.slot = slot;
    record.pid = pid;
    record.time_ns = time_ns;
    hn_history_append(&fixture->run->world->history, &record);
    ch_watch_drain(fixture->run);
}

static void ready(struct fixture *fixture, uint32_t slot, int32_t pid, uint64_t time_ns)
{
    tell(fixture, HN_POOL + LIBPOOL_EVENT_WORKER_READY, slot, pid, time_ns);
}

static void fired(struct fixture *fixture, uint32_t step)
{
    struct ch_step_state *state = &fixture->run->steps[step];
    state->phase = CH_STEP_DONE;
    state->fired_ns = state->event.time_ns;
    state->effect_ns = state->event.time_ns + 1000;
}

TEST(run_trigger, the_first_step_sees_what_came_before_the_load)
{
    struct fixture *fixture = new_fixture();
    fixture->steps[0].trigger.nth = 2;
    ready(fixture, 0, 100, 1 * HN_S + 5);
    CU_ASSERT_FALSE(ch_trigger_met(fixture->run, 0));
    ready(fixture, 1, 101, 3 * HN_S);
    CU_ASSERT(ch_trigger_met(fixture->run, 0));
    CU_ASSERT_EQUAL(fixture->run->steps[0].event.pid, 101);
    free_fixture(fixture);
}

TEST(run_trigger, one_event_does_not_fire_two_steps_in_a_row)
{
    struct fixture *fixture = new_fixture();
    ready(fixture, 0, 100, 3 * HN_S);
    CU_ASSERT_FALSE(ch_trigger_met(fixture->run, 1)); /* not before the first */
    CU_ASSERT(ch_trigger_met(fixture->run, 0));
    fired(fixture, 0);
    CU_ASSERT_FALSE(ch_trigger_met(fixture->run, 1));
    ready(fixture, 1, 101, 3 * HN_S); /* the pool tells two things of one moment */
    CU_ASSERT(ch_trigger_met(fixture->run, 1));
    CU_ASSERT_EQUAL(fixture->run->steps[1].event.pid, 101);
    free_fixture(fixture);
}

TEST(run_trigger, an_event_told_late_counts_by_its_own_time)
{
    struct fixture *fixture = new_fixture();
    ready(fixture, 0, 100, 4 * HN_S);
    CU_ASSERT(ch_trigger_met(fixture->run, 0));
    fired(fixture, 0);
    ready(fixture, 1, 101, 3 * HN_S); /* it happened before */
    CU_ASSERT_FALSE(ch_trigger_met(fixture->run, 1));
    free_fixture(fixture);
}

TEST(run_trigger, a_name_has_to_be_bound_and_counts_from_there)
{
    struct fixture *fixture = new_fixture();
    struct ch_binding *binding = &fixture->run->names[1];
    fixture->steps[0].trigger.of = 1;
    ready(fixture, 0, 100, 3 * HN_S);
    CU_ASSERT_FALSE(ch_trigger_met(fixture->run, 0));
    *binding = (struct ch_binding){
        .bound = true, .since_ns = 4 * HN_S, .slot = 0, .task = HN_NONE, .process.pid = 100};
    CU_ASSERT_FALSE(ch_trigger_met(fixture->run, 0)); /* that one was before */
    ready(fixture, 0, 200, 5 * HN_S);
    CU_ASSERT_FALSE(ch_trigger_met(fixture->run, 0)); /* another worker */
    ready(fixture, 0, 100, 6 * HN_S);
    CU_ASSERT(ch_trigger_met(fixture->run, 0));
    free_fixture(fixture);
}

TEST(run_trigger, the_slot_of_a_name_is_that_of_its_worker)
{
    struct fixture *fixture = new_fixture();
    fixture->steps[0].trigger.slot_kind = CH_SLOT_OF_NAME;
    fixture->steps[0].trigger.slot_of = 1;
    fixture->run->names[1] = (struct ch_binding){
        .bound = true, .since_ns = 3 * HN_S, .slot = 2, .task = HN_NONE, .process.pid = 100};
    ready(fixture, 1, 101, 4 * HN_S);
    CU_ASSERT_FALSE(ch_trigger_met(fixture->run, 0));
    ready(fixture, 2, 102, 4 * HN_S);
    CU_ASSERT(ch_trigger_met(fixture->run, 0));
    free_fixture(fixture);
}

TEST(run_trigger, an_event_of_a_group_waits_until_its_task_is_known)
{
    struct fixture *fixture = new_fixture();
    fixture->steps[0].trigger.event = CH_EVENT_TASK_LAUNCHED;
    fixture->steps[0].trigger.of = 0;
    struct hn_record launched = hn_record_of((enum hn_kind)(HN_POOL + LIBPOOL_EVENT_TASK_LAUNCHED));
    launched.a = 7;
    hn_history_append(&fixture->run->world->history, &launched);
    ch_watch_drain(fixture->run);
    CU_ASSERT_FALSE(ch_trigger_met(fixture->run, 0));
    struct hn_record submitted = hn_record_of(HN_SUBMITTED);
    submitted.a = 7;
    submitted.task = 3; /* a row of group 0, as all unused ones are */
    hn_history_append(&fixture->run->world->history, &submitted);
    ch_watch_drain(fixture->run);
    CU_ASSERT(ch_trigger_met(fixture->run, 0));
    free_fixture(fixture);
}

TEST(run_trigger, within_counts_from_the_effect_of_the_step_before)
{
    struct fixture *fixture = new_fixture();
    fixture->steps[1].trigger.within_us = SECONDS_IN_US;
    ready(fixture, 0, 100, 3 * HN_S);
    CU_ASSERT(ch_trigger_met(fixture->run, 0));
    CU_ASSERT_FALSE(ch_trigger_is_late(fixture->run, 1)); /* nothing to count from yet */
    fired(fixture, 0);
    ready(fixture, 1, 101, 3 * HN_S + 900 * HN_MS);
    CU_ASSERT(ch_trigger_met(fixture->run, 1));
    CU_ASSERT_FALSE(ch_trigger_is_late(fixture->run, 1)); /* though it is long past by now */
    fixture->run->steps[1].event.time_ns = 3 * HN_S + 1100 * HN_MS;
    CU_ASSERT(ch_trigger_is_late(fixture->run, 1));
    free_fixture(fixture);
}

TEST(run_trigger, an_optional_step_is_nobodys_step_before)
{
    struct fixture *fixture = new_fixture();
    fixture->steps[0].action.optional = true;
    fixture->steps[0].trigger.event = CH_EVENT_ZYGOTE_LOST;
    ready(fixture, 0, 100, 3 * HN_S);
    CU_ASSERT(ch_trigger_met(fixture->run, 1));
    free_fixture(fixture);
}

TEST(run_trigger, then_is_due_after_the_effect_and_not_before)
{
    struct fixture *fixture = new_fixture();
    fixture->steps[1].trigger.kind = CH_TRIGGER_THEN;
    fixture->steps[1].trigger.time_us = 5000;
    CU_ASSERT_FALSE(ch_trigger_met(fixture->run, 1));
    CU_ASSERT_EQUAL(ch_trigger_due_ns(fixture->run), HN_NEVER);
    ready(fixture, 0, 100, 3 * HN_S);
    CU_ASSERT(ch_trigger_met(fixture->run, 0));
    fired(fixture, 0);
    CU_ASSERT_EQUAL(ch_trigger_due_ns(fixture->run), 3 * HN_S + 1000 + 5 * HN_MS);
    CU_ASSERT(ch_trigger_met(fixture->run, 1));
    free_fixture(fixture);
}

/* Step 0 is a fault that takes its time, step 1 its undo. */
static void under_way(struct fixture *fixture)
{
    fixture->steps[0].action.kind = CH_ACTION_FILL_FDS;
    fixture->steps[1].action.kind = CH_ACTION_UNDO;
    fixture->steps[1].action.undo = (struct ch_undo_action){.name = CH_NOBODY,
                                                            .kind = CH_ACTION_FILL_FDS};
    fixture->run->steps[0].phase = CH_STEP_ACTING;
    fixture->run->steps[0].fired_ns = 2 * HN_S;
}

TEST(run_trigger, an_undo_waits_for_the_fault_that_is_under_way)
{
    struct fixture *fixture = new_fixture();
    under_way(fixture);
    fixture->steps[1].trigger.kind = CH_TRIGGER_AT;
    fixture->steps[1].trigger.time_us = 0;
    CU_ASSERT_FALSE(ch_trigger_met(fixture->run, 1));
    CU_ASSERT_EQUAL(ch_trigger_due_ns(fixture->run), HN_NEVER); /* the judge does not spin on it */
    fixture->run->steps[0].phase = CH_STEP_DONE;
    CU_ASSERT(ch_trigger_met(fixture->run, 1));
    CU_ASSERT_EQUAL(ch_trigger_due_ns(fixture->run), 2 * HN_S);
    free_fixture(fixture);
}

TEST(run_trigger, an_undo_that_had_to_wait_is_not_late)
{
    struct fixture *fixture = new_fixture();
    under_way(fixture);
    fixture->steps[1].trigger.within_us = SECONDS_IN_US;
    ready(fixture, 0, 100, 2 * HN_S + 900 * HN_MS);
    CU_ASSERT_FALSE(ch_trigger_met(fixture->run, 1));
    fixture->run->steps[0].phase = CH_STEP_DONE;
    fixture->run->steps[0].effect_ns = 2 * HN_S;
    CU_ASSERT_FALSE(ch_trigger_is_late(fixture->run, 1)); /* though the second is over by now */
    CU_ASSERT(ch_trigger_met(fixture->run, 1));
    free_fixture(fixture);
}

TEST(run_trigger, gates_of_a_group_are_armed_before_anything_runs)
{
    struct fixture *fixture = new_fixture();
    fixture->steps[0].trigger.event = CH_EVENT_TASK_START;
    fixture->steps[0].trigger.of = 0;
    fixture->steps[0].trigger.nth = 3;
    fixture->steps[1].trigger.event = CH_EVENT_WORKER_FINAL;
    fixture->steps[1].trigger.of = 1; /* not bound yet */
    ch_trigger_arm(fixture->run);
    CU_ASSERT_EQUAL(fixture->run->steps[0].gate, 0);
    CU_ASSERT_EQUAL(fixture->run->world->gates.list[0].nth, 3);
    CU_ASSERT_EQUAL(fixture->run->world->gates.list[0].group, 0);
    CU_ASSERT_EQUAL(fixture->run->steps[1].gate, -1);
    fixture->run->names[1] = (struct ch_binding){.bound = true, .slot = 4};
    ch_trigger_arm(fixture->run);
    CU_ASSERT_EQUAL(fixture->run->steps[1].gate, 1);
    CU_ASSERT_EQUAL(fixture->run->world->gates.list[1].slot, 4);
    free_fixture(fixture);
}
