/* SPDX-License-Identifier: MIT */
/*
 * map: a batch runs through the pool: one function, many elements, a bounded number under way.
 *
 *     input ---stage---> a chunk ---submit---> places ---end---> (in order: wait) ---> result callback
 *
 * Each element is a task of its own, so what befalls one costs one: a chunk is no more than what is
 * handed over under one lock (tiny tasks travel together anyway, see core/prefetch.h). The caller's
 * thread does it all, and both callbacks run there, with no lock held. A place is taken from the
 * submission of an element until its result was handed over; so the places bound what lies in memory,
 * too, when one slow element keeps the results behind it waiting for their order.
 */
#include <libpool.h>

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "describe.h"
#include "door.h"
#include "gather.h"
#include "visit.h"

#define PLACES_LEAST 64u /* by default: enough for tiny tasks to be sent ahead */
#define PLACES_PER_WORKER 4u
#define PLACES_MAX (1u << 20)
#define CHUNK 16u
#define SAMPLE 20u
#define FLAGS (LIBPOOL_BORROW | LIBPOOL_IN_ORDER | LIBPOOL_HALT_NOW)
#define NOWHERE UINT32_MAX

struct map {
    libpool *pool;
    libpool_batch batch;
    libpool_batch_report report;
    libpool_task each; /* all but the input */
    uint64_t deadline_ns;
    int outcome;
    bool stopped;   /* nothing more is taken or submitted */
    bool exhausted; /* the input has no more */

    uint32_t places, chunk;
    uint32_t *free_places;
    uint32_t n_free;
    libpool_future **futures; /* by place */
    uint64_t *elements;       /* by place: which one it is */
    uint32_t *ended_places;   /* IN_ORDER, by element modulo places: it has ended; else NOWHERE */
    uint64_t ended;
    uint64_t handed_over; /* results; IN_ORDER: the next element */
    struct lp_gather gather;
    void *gather_memory;

    libpool_task *tasks;     /* the chunk: taken from the input, not submitted yet */
    libpool_future **fresh;  /* its futures */
    uint32_t staged, n_done; /* of the chunk; of those, how many are submitted */
    uint64_t submitted;
};

/* ---- halting -------------------------------------------------------------------------------- */

/* The first reason counts. */
static void stop(struct map *map, int outcome, bool kill)
{
    if (!map->stopped)
        map->outcome = outcome;
    map->stopped = true;
    if (kill)
        map->deadline_ns = LP_FOREVER; /* all end now */
    for (uint32_t place = 0; place < map->places; place++) {
        if (map->futures[place] && kill)
            (void)lp_visit_cancel(map->futures[place]);
        else if (map->futures[place])
            lp_visit_withdraw(map->futures[place]);
    }
}

static void halt(struct map *map)
{
    if (!map->stopped)
        stop(map, LIBPOOL_HALTED, map->batch.flags & LIBPOOL_HALT_NOW);
}

static bool is_failure(libpool_cause cause)
{
    return cause != LIBPOOL_COMPLETED && cause != LIBPOOL_CANCELLED && cause != LIBPOOL_SHUTDOWN;
}

static bool has_failed_too_often(const struct map *map)
{
    const libpool_batch *batch = &map->batch;
    uint64_t failed = map->report.failed;
    if (batch->halt_failures && failed >= batch->halt_failures)
        return true;
    return batch->halt_percent && map->ended >= batch->halt_sample &&
           failed * 100 >= map->ended * batch->halt_percent;
}

/* ---- results -------------------------------------------------------------------------------- */

static void count(struct map *map, libpool_cause cause)
{
    map->report.ended[cause]++;
    map->ended++;
    map->report.failed += is_failure(cause);
    if (has_failed_too_often(map))
        halt(map);
}

static void hand_over(struct map *map, uint64_t element, const libpool_result *result)
{
    const libpool_batch *batch = &map->batch;
    map->handed_over++;
    if (batch->result && batch->result(batch->result_arg, element, result))
        halt(map);
}

static void empty_place(struct map *map, uint32_t place)
{
    libpool_future *future = map->futures[place];
    hand_over(map, map->elements[place], libpool_future_result(future));
    map->futures[place] = NULL;
    map->free_places[map->n_free++] = place;
    libpool_future_free(future);
}

static void empty_in_order(struct map *map)
{
    uint32_t *next;
    while (*(next = &map->ended_places[map->handed_over % map->places]) != NOWHERE) {
        uint32_t place = *next;
        *next = NOWHERE;
        empty_place(map, place);
    }
}

static void take(struct map *map, uint32_t place)
{
    count(map, libpool_future_result(map->futures[place])->cause);
    if (map->batch.flags & LIBPOOL_IN_ORDER) {
        map->ended_places[map->elements[place] % map->places] = place;
        empty_in_order(map);
    } else {
        empty_place(map, place);
    }
}

/* Taken from the input, never handed to the pool: each has a result nevertheless. */
static void give_up_staged(struct map *map)
{
    libpool_result result = {.cause = LIBPOOL_CANCELLED, .slot = UINT32_MAX};
    lp_describe(&result, 0, result.text, sizeof result.text);
    for (; map->n_done < map->staged; map->n_done++) {
        map->report.ended[LIBPOOL_CANCELLED]++;
        hand_over(map, map->submitted++, &result);
    }
}

/* ---- input ---------------------------------------------------------------------------------- */

/* 1: there was one more. */
static int next_input(struct map *map, const void **input, size_t *size)
{
    const libpool_batch *batch = &map->batch;
    if (batch->next)
        return batch->next(batch->next_arg, input, size);
    if (map->report.elements == batch->elements)
        return 0;
    *input = (const char *)batch->inputs + map->report.elements * batch->input_size;
    *size = batch->input_size;
    return 1;
}

static void stage(struct map *map)
{
    map->staged = map->n_done = 0;
    while (map->staged < map->chunk && !map->exhausted && !map->stopped) {
        libpool_task *task = &map->tasks[map->staged];
        task->input = NULL;
        task->input_size = 0;
        int got = next_input(map, &task->input, &task->input_size);
        map->exhausted = got <= 0;
        if (got > 0)
            map->staged++, map->report.elements++;
        else if (got < 0)
            stop(map, got, false);
    }
}

/* The futures are in their places before they are gathered: what has ended may be among them. */
static int settle_in(struct map *map, uint32_t n)
{
    uint32_t *places = &map->free_places[map->n_free - n];
    for (uint32_t i = 0; i < n; i++) {
        map->futures[places[i]] = map->fresh[i];
        map->elements[places[i]] = map->submitted++;
    }
    map->n_free -= n;
    map->n_done += n;
    return lp_gather_attach(&map->gather, places, n, map->fresh);
}

static void submit_staged(struct map *map)
{
    int64_t n = libpool_submit_many(map->pool, &map->tasks[map->n_done], map->staged - map->n_done,
                                    lp_door_left_ms(map->deadline_ns), map->fresh);
    int error = n < 0 ? (int)n : settle_in(map, (uint32_t)n);
    if (error == -EAGAIN) /* no room, and the batch's time is over */
        error = -ETIMEDOUT;
    if (error)
        stop(map, error, false); /* out of time: the next wait is, too, and kills */
}

static bool wants_more(const struct map *map)
{
    bool has_some = map->n_done < map->staged || !map->exhausted;
    return has_some && !map->stopped && map->n_free >= map->chunk;
}

/* In a copy of the process, which a callback may have made, nothing ends any more. */
static void abandon(struct map *map)
{
    map->outcome = -ECHILD;
    for (uint32_t place = 0; place < map->places; place++)
        libpool_future_free(map->futures[place]);
}

static void run(struct map *map)
{
    for (;;) {
        while (wants_more(map)) {
            if (map->n_done == map->staged)
                stage(map);
            if (map->n_done < map->staged && !map->stopped)
                submit_staged(map);
        }
        if (map->n_free == map->places)
            break;
        int64_t place = lp_gather_next(&map->gather, lp_door_left_ms(map->deadline_ns));
        if (place == -ECHILD) {
            abandon(map);
            return;
        }
        if (place >= 0)
            take(map, (uint32_t)place);
        else
            stop(map, (int)place, true);
    }
    give_up_staged(map);
}

/* ---- the door ------------------------------------------------------------------------------- */

static int check_batch(const libpool_batch *batch)
{
    bool known = (batch->flags & ~(uint32_t)FLAGS) == 0;
    bool whole = (batch->function || batch->symbol) &&
                 (batch->next || !batch->elements || batch->inputs || !batch->input_size);
    bool one_input = !batch->next || (!batch->inputs && !batch->elements);
    bool bounded = batch->in_flight <= PLACES_MAX && batch->halt_percent <= 100 &&
                   batch->priority < LIBPOOL_PRIORITIES;
    return known && whole && one_input && bounded ? 0 : -EINVAL;
}

/* What a batch says of its tasks is said in one place. Nobody dispatches while this thread is in here. */
static int check_each(const libpool *pool, const libpool_task *each)
{
    if ((each->started || each->done) && !pool->has_thread)
        return -EINVAL;
    bool said_twice = each->function || each->input || each->input_size || each->priority ||
                      each->run_timeout_ms || each->queue_timeout_ms || each->flags ||
                      each->input_fd || each->object || each->symbol;
    return said_twice ? -EINVAL : 0;
}

/* An array stays where it is while the call lasts; what a callback yields only if it says so. */
static void fill_in_defaults(struct map *map)
{
    libpool_batch *batch = &map->batch;
    uint32_t workers = map->pool->options.max_workers;
    if (!batch->in_flight)
        batch->in_flight = workers > PLACES_LEAST / PLACES_PER_WORKER ? workers * PLACES_PER_WORKER
                                                                      : PLACES_LEAST;
    if (!batch->halt_sample)
        batch->halt_sample = SAMPLE;
    if (!batch->next)
        batch->flags |= LIBPOOL_BORROW;
    map->places = batch->in_flight;
    map->chunk = batch->chunk ? batch->chunk : CHUNK;
    if (map->chunk > map->places / 2)
        map->chunk = map->places / 2 ? map->places / 2 : 1;
    if (!(batch->flags & LIBPOOL_BORROW))
        map->chunk = 1;
    map->deadline_ns = batch->timeout_ms ? lp_supervisor_now() + batch->timeout_ms * LP_MS
                                         : LP_FOREVER;
}

/* One block, the largest alignments first; NULL: only its size is asked for. */
static size_t lay_out(struct map *map, char *memory)
{
    size_t at = 0;
#define PART(member, bytes) (map->member = (void *)(memory ? memory + at : NULL), at += (bytes))
    PART(tasks, map->chunk * sizeof *map->tasks);
    PART(fresh, map->chunk * sizeof *map->fresh);
    PART(futures, map->places * sizeof *map->futures);
    PART(elements, map->places * sizeof *map->elements);
    PART(gather_memory, lp_gather_bytes(map->places));
    PART(free_places, map->places * sizeof *map->free_places);
    PART(ended_places, map->places * sizeof *map->ended_places);
#undef PART
    return at;
}

static void prepare(struct map *map)
{
    const libpool_batch *batch = &map->batch;
    lp_gather_init(&map->gather, map->places, map->gather_memory);
    for (uint32_t place = 0; place < map->places; place++) {
        map->futures[place] = NULL;
        map->ended_places[place] = NOWHERE;
        map->free_places[place] = place;
    }
    map->n_free = map->places;
    libpool_task *each = &map->each;
    each->size = sizeof *each;
    each->function = batch->function;
    each->object = batch->object;
    each->symbol = batch->symbol;
    each->priority = batch->priority;
    each->run_timeout_ms = batch->run_timeout_ms;
    each->queue_timeout_ms = batch->queue_timeout_ms;
    each->flags = (batch->flags & LIBPOOL_BORROW) | LIBPOOL_DROP_PARTS; /* nobody has the futures */
    for (uint32_t i = 0; i < map->chunk; i++)
        map->tasks[i] = *each;
}

static int run_batch(struct map *map)
{
    const libpool_allocator *allocator = &map->pool->allocator;
    fill_in_defaults(map);
    size_t bytes = lay_out(map, NULL);
    void *memory = lp_alloc(allocator, bytes);
    if (!memory)
        return -ENOMEM;
    (void)lay_out(map, memory);
    prepare(map);
    run(map);
    lp_gather_deinit(&map->gather);
    lp_release(allocator, memory, bytes);
    return map->outcome;
}

int libpool_map(libpool *pool, const libpool_batch *given, libpool_batch_report *report)
{
    struct map map = {.pool = pool};
    int error = lp_door_check_wait(pool, -1);
    if (!error)
        error = given ? lp_door_copy(&map.batch, sizeof map.batch, given, given->size) : -EINVAL;
    if (!error)
        error = check_batch(&map.batch);
    if (!error && map.batch.each)
        error = lp_door_copy(&map.each, sizeof map.each, map.batch.each, map.batch.each->size);
    if (!error)
        error = check_each(pool, &map.each);
    if (!error && report)
        error = lp_door_check_size(report->size);
    if (error)
        return error;
    error = run_batch(&map);
    if (report) {
        map.report.size = report->size;
        lp_door_give(report, report->size, &map.report, sizeof map.report);
    }
    return error;
}
