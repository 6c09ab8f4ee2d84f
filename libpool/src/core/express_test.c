/* SPDX-License-Identifier: MIT */
/*
 * What goes the shortest way, what does not, and that it makes no difference: a pool that emits notes goes
 * the long way always, and has to be in the same state after any calls.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/pool.h"
#include "core/rig.h"
#include "harness/test.h"

static struct rig rig, noted;

#define SUBMIT(...) RIG_SUBMIT(&rig, ##__VA_ARGS__)
#define SAID(...) CU_ASSERT_STRING_EQUAL(rig_said(&rig), __VA_ARGS__)
#define QUEUED(slot) rig.pool.workers[slot].queued

/* So many workers, all busy with tiny tasks; the last has one more behind its own. */
static void open_busy(struct rig *some, const struct lp_pool_config *config)
{
    struct lp_pool_config some_config = *config;
    some_config.min_workers = config->min_workers ? config->min_workers : 1;
    some_config.max_workers = config->max_workers ? config->max_workers : 1;
    rig_open(some, &some_config);
    rig_raise(some, some_config.min_workers);
    some->pool.run_ns = 1000;
    for (uint32_t i = 0; i <= some_config.min_workers; i++)
        (void)RIG_SUBMIT(some);
    (void)rig_said(some);
    some->answers = 0;
}
#define OPEN(...) open_busy(&rig, &(struct lp_pool_config){.cooperative = false, ##__VA_ARGS__})

/* The worker has done what it had: in so many ns, and a moment ago. */
static struct lp_event result_of(const struct rig *some, uint32_t slot, uint64_t run_ns)
{
    const struct lp_pool *pool = &some->pool;
    return (struct lp_event){.kind = LP_EVENT_RESULT,
                             .task_id = pool->tasks.table[pool->workers[slot].task].id,
                             .started_ns = some->now_ns - 1 - run_ns,
                             .ended_ns = some->now_ns - 1};
}

/* ---- in --------------------------------------------------------------------------------------- */

TEST(express, who_has_others_before_it_is_sent_by_the_answer)
{
    OPEN();
    CU_ASSERT_EQUAL(SUBMIT(), 0);
    CU_ASSERT_EQUAL(SUBMIT(.priority = 63, .group = 7, .run_timeout_ns = LP_MS, .bytes = 256), 0);
    CU_ASSERT_EQUAL(rig.answers, 2);
    CU_ASSERT_EQUAL(QUEUED(0), 3);
    SAID("ahead 3 0.1; ahead 4 0.1; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_received, 4);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_pending, 3);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_launched, 1);
    CU_ASSERT_EQUAL(rig_stats(&rig).backlog_bytes, 0);
}

TEST(express, what_something_else_follows_from_is_not)
{
    OPEN();
    SUBMIT(.queue_timeout_ns = LP_MS);
    CU_ASSERT_EQUAL(rig.answers, 0);
    OPEN();
    SUBMIT(.kind = 1);
    CU_ASSERT_EQUAL(rig.answers, 0);
    OPEN();
    SUBMIT(.bytes = LP_PREFETCH_BYTES + 1);
    SUBMIT();
    CU_ASSERT_EQUAL(rig.answers, 0); /* nor what would overtake it */
    OPEN(.notes = true);
    SUBMIT();
    CU_ASSERT_EQUAL(rig.answers, 0);
    OPEN(.max_workers = 3);
    SUBMIT();
    CU_ASSERT_EQUAL(rig.answers, 0); /* a third worker is wanted for it */
    OPEN(.admits = true);
    SUBMIT();
    CU_ASSERT_EQUAL(rig.answers, 0);
}

TEST(express, as_long_as_there_is_room)
{
    OPEN(.backlog_tasks = 3, .backlog_bytes = 100);
    CU_ASSERT_EQUAL(SUBMIT(.bytes = 101), -E2BIG);
    CU_ASSERT_EQUAL(SUBMIT(), 0);
    CU_ASSERT_EQUAL(SUBMIT(.bytes = 100), 0);
    CU_ASSERT_EQUAL(SUBMIT(), -EAGAIN);
    CU_ASSERT_EQUAL(rig.answers, 2);
}

TEST(express, no_more_than_will_have_been_done_soon)
{
    OPEN(.backlog_tasks = 100);
    for (uint32_t i = 0; i < 30; i++)
        SUBMIT();
    CU_ASSERT_EQUAL(rig.answers, LP_WAKE_NS / 1000 - 1);
    OPEN(.backlog_tasks = 100, .tasks_per_worker = 5);
    for (uint32_t i = 0; i < 30; i++)
        SUBMIT();
    CU_ASSERT_EQUAL(rig.answers, 3);
}

TEST(express, not_to_who_has_told_nothing_for_a_while)
{
    OPEN(.backlog_tasks = 100);
    SUBMIT();
    rig.now_ns += LP_PREFETCH_NS;
    SUBMIT();
    CU_ASSERT_EQUAL(rig.answers, 2);
    rig.now_ns++;
    SUBMIT();
    CU_ASSERT_EQUAL(rig.answers, 2);
}

/* Each of these ends what was found out before. */
TEST(express, not_after_a_call_that_changes_what_it_relies_on)
{
    OPEN();
    SUBMIT();
    CU_ASSERT_EQUAL(lp_pool_recycle(&rig.pool, 1, rig.now_ns), 0);
    rig_perform(&rig);
    SUBMIT();
    CU_ASSERT_EQUAL(rig.answers, 1);
    OPEN();
    SUBMIT();
    RIG_STEP(&rig, SHUTDOWN);
    CU_ASSERT_EQUAL(SUBMIT(), -ESHUTDOWN);
    OPEN();
    SUBMIT();
    RIG_TELL(&rig, 0, RECALLED);
    SUBMIT();
    CU_ASSERT_EQUAL(rig.answers, 1);
    OPEN();
    SUBMIT();
    (void)lp_pool_due(&rig.pool, rig.now_ns + LP_PATIENCE_NS);
    SUBMIT(); /* its deadline is about to be told */
    CU_ASSERT_EQUAL(rig.answers, 1);
}

TEST(express, tasks_that_are_added_are_sent_until_one_is_not)
{
    uint32_t index;
    struct lp_task_spec spec = {.user = NULL};
    OPEN();
    CU_ASSERT_EQUAL(lp_pool_add(&rig.pool, &spec, rig.now_ns, &index), LP_POOL_SENT);
    CU_ASSERT_FALSE(rig.pool.unsettled);
    spec.kind = 1;
    CU_ASSERT_EQUAL(lp_pool_add(&rig.pool, &spec, rig.now_ns, &index), 0);
    spec.kind = 0;
    CU_ASSERT_EQUAL(lp_pool_add(&rig.pool, &spec, rig.now_ns, &index), 0);
    CU_ASSERT_EQUAL(QUEUED(0), 2);
    rig_settle(&rig);
    SAID("ahead 4 0.1; ahead 5 0.1; ");
}

/* ---- out -------------------------------------------------------------------------------------- */

TEST(express, a_result_of_who_goes_on_is_the_end_of_its_task)
{
    OPEN();
    rig.now_ns += 5000;
    struct lp_event event = result_of(&rig, 0, 3000);
    rig_tell_only(&rig, 0, event);
    CU_ASSERT_EQUAL(rig.answers, 1);
    SAID("end 1 completed has-run; ");
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_launched, 2);
    CU_ASSERT_EQUAL(rig_stats(&rig).tasks_ended[LIBPOOL_COMPLETED], 1);
    CU_ASSERT_EQUAL(rig.pool.histograms[LIBPOOL_HISTOGRAM_RUN].sum_ns, 3000);
    CU_ASSERT_EQUAL(rig.pool.histograms[LIBPOOL_HISTOGRAM_WAIT].sum_ns, 1999);
    CU_ASSERT_TRUE(rig.pool.unsettled);
    rig_settle(&rig);
    rig_tell_only(&rig, 0, result_of(&rig, 0, 100)); /* the last: it falls idle */
    CU_ASSERT_EQUAL(rig.answers, 1);
}

#define NOT_BY_ITSELF(...)                                   \
    do {                                                     \
        OPEN();                                              \
        rig.now_ns += 5000;                                  \
        struct lp_event event = result_of(&rig, 0, 3000);    \
        __VA_ARGS__;                                         \
        rig_tell_only(&rig, 0, event);                       \
        CU_ASSERT_EQUAL(rig.answers, 0);                     \
        rig_settle(&rig);                                    \
        CU_ASSERT(strstr(rig_said(&rig), "BROKEN") == NULL); \
    } while (0)

TEST(express, any_other_result_goes_the_long_way)
{
    NOT_BY_ITSELF(event.code = 1);
    NOT_BY_ITSELF(event.task_id++);
    NOT_BY_ITSELF(event.started_id = 77);
    NOT_BY_ITSELF(event.leaves = true);
    NOT_BY_ITSELF(event.grown = true);
    NOT_BY_ITSELF(event.started_ns = event.ended_ns);
    NOT_BY_ITSELF(event.ended_ns = rig.now_ns + 1);
    NOT_BY_ITSELF(event.started_ns = 1);
    NOT_BY_ITSELF(rig.pool.spawn_backoff.failures = 1);
    NOT_BY_ITSELF(rig.pool.workers[0].aged_ns = rig.now_ns);
    NOT_BY_ITSELF(rig.pool.tasks.table[rig.pool.workers[0].task].spec.kind = 1);
}

TEST(express, an_end_never_overtakes_another)
{
    OPEN();
    SUBMIT();
    rig.now_ns += 5000;
    struct lp_event error = result_of(&rig, 0, 3000);
    error.code = 1;
    rig_said(&rig);
    rig_tell_only(&rig, 0, error);
    rig_tell_only(&rig, 0, result_of(&rig, 0, 100));
    rig_settle(&rig);
    CU_ASSERT_EQUAL(rig.answers, 1); /* the submit's */
    SAID("end 1 error has-run; end 2 completed has-run; ");
}

/* ---- both ways ------------------------------------------------------------------------------- */

static uint64_t drawn;

static uint32_t draw(uint32_t below)
{
    drawn = drawn * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(drawn >> 33) % below;
}

static bool is_same_queue(const struct lp_pool *a, const struct lp_pool *b, uint32_t slot)
{
    uint32_t i = a->workers[slot].queue_first, j = b->workers[slot].queue_first;
    while (i != LP_NONE && j != LP_NONE && a->tasks.table[i].id == b->tasks.table[j].id) {
        i = a->tasks.table[i].next;
        j = b->tasks.table[j].next;
    }
    return i == LP_NONE && j == LP_NONE;
}

static bool is_same_worker(const struct lp_pool *a, const struct lp_pool *b, uint32_t slot)
{
    const struct lp_worker *x = &a->workers[slot], *y = &b->workers[slot];
    return x->state == y->state && x->queued == y->queued && x->deadline_ns == y->deadline_ns &&
           x->hungry == y->hungry && x->launched_ns == y->launched_ns && x->last_id == y->last_id &&
           x->tasks_done == y->tasks_done && x->task == y->task && is_same_queue(a, b, slot);
}

static bool is_same(const struct lp_pool *a, const struct lp_pool *b)
{
    bool same = a->run_ns == b->run_ns && a->favourite == b->favourite &&
                a->tasks.pending == b->tasks.pending && a->unsettled == b->unsettled &&
                a->retry_budget == b->retry_budget && a->made_room == b->made_room &&
                lp_pool_next_deadline(a) == lp_pool_next_deadline(b);
    libpool_stats x = {.size = sizeof x}, y = {.size = sizeof y};
    lp_pool_stats(a, &x);
    lp_pool_stats(b, &y);
    for (uint32_t slot = 0; slot < a->slots; slot++)
        same = same && is_same_worker(a, b, slot);
    return same && memcmp(&x, &y, sizeof x) == 0 &&
           memcmp(a->histograms, b->histograms, sizeof a->histograms) == 0;
}

struct deed {
    uint32_t what, slot, count;
    uint64_t run_ns, late_ns;
    int code;
    struct lp_task_spec spec;
};

static struct deed draw_deed(void)
{
    return (struct deed){.what = draw(10),
                         .slot = draw(2),
                         .count = 1 + draw(draw(9) ? 4 : 60),
                         .run_ns = 1 + draw(draw(50) ? 1000 : 60000),
                         .late_ns = 1 + draw(draw(50) ? 2000 : 100000),
                         .code = draw(10) == 0,
                         .spec = {.priority = draw(3),
                                  .bytes = draw(20) ? draw(200) : 300,
                                  .kind = draw(50) == 0,
                                  .queue_timeout_ns = draw(50) == 0 ? LP_MS : 0}};
}

static void tell_results(struct rig *some, const struct deed *deed)
{
    const struct lp_worker *worker = &some->pool.workers[deed->slot];
    for (uint32_t i = 0; i < deed->count && worker->state == LP_WORKER_BUSY; i++) {
        struct lp_event event = result_of(some, deed->slot, deed->run_ns);
        event.code = deed->code && i == 3;
        rig_tell_only(some, deed->slot, event);
    }
    rig_settle(some);
}

static void add_all(struct rig *some, const struct deed *deed)
{
    uint32_t index;
    int error = 0;
    for (uint32_t i = 0; i < deed->count && error >= 0; i++) {
        error = lp_pool_add(&some->pool, &deed->spec, some->now_ns, &index);
        if (error == LP_POOL_SENT)
            rig_answered(some, LP_ACTION_ASSIGN, some->pool.tasks.table[index].slot, index);
    }
    if (some->pool.unsettled)
        rig_settle(some);
}

static void do_it(struct rig *some, const struct deed *deed)
{
    some->now_ns += deed->late_ns;
    rig_pass(some, 0);
    if (deed->what < 4)
        (void)rig_submit(some, &deed->spec);
    else if (deed->what < 9)
        tell_results(some, deed);
    else
        add_all(some, deed);
    (void)rig_said(some);
}

TEST(express, leaves_the_pool_as_the_long_way_does)
{
    struct lp_pool_config config = {.min_workers = 2,
                                    .max_workers = 2,
                                    .backlog_tasks = 100,
                                    .backlog_bytes = 1u << 20, /* who is sent at once needs none */
                                    .retry_percent = 3};
    drawn = 1;
    open_busy(&rig, &config);
    config.notes = true;
    open_busy(&noted, &config);
    uint32_t sent = 0, ended = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        struct deed deed = draw_deed();
        uint32_t before = rig.answers;
        do_it(&rig, &deed);
        do_it(&noted, &deed);
        bool tells = deed.what >= 4 && deed.what < 9;
        sent += tells ? 0 : rig.answers - before;
        ended += tells ? rig.answers - before : 0;
        CU_ASSERT_FATAL(is_same(&rig.pool, &noted.pool));
    }
    CU_ASSERT(sent > 1000);
    CU_ASSERT(ended > 1000);
    CU_ASSERT_EQUAL(noted.answers, 0);
}
