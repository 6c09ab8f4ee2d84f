/* SPDX-License-Identifier: MIT */
#include "harness/sim_world.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#define SOMETIMES(name) world->coverage->sometimes[HN_##name]++
#define FAIL(...) hn_trace_fail(world->trace, __VA_ARGS__)
#define NEVER UINT64_MAX

static void reset_channel(struct hn_channel *channel)
{
    channel->first = channel->n = channel->epoch = channel->claimed = channel->results = 0;
}

void hn_world_init(struct hn_world *world, uint64_t seed)
{
    memset(world, 0, offsetof(struct hn_world, channels));
    memset(&world->zygote, 0, offsetof(struct hn_world, items) - offsetof(struct hn_world, zygote));
    for (uint32_t slot = 0; slot < HN_BOOK_SLOTS; slot++)
        reset_channel(&world->channels[slot]);
    world->random.state = seed;
    world->next_pid = 1000;
}

/* ---- items ---------------------------------------------------------------------------------- */

static struct hn_item *put(struct hn_world *world, enum hn_item_kind kind, uint64_t at_ns)
{
    if (world->n_items == HN_ITEMS) {
        FAIL("harness: too many items");
        world->n_items--;
    }
    struct hn_item *item = &world->items[world->n_items++];
    *item = (struct hn_item){.kind = kind, .at_ns = at_ns, .order = ++world->order};
    return item;
}

static struct hn_item *put_for(struct hn_world *world, enum hn_item_kind kind, uint32_t slot,
                               uint64_t delay_ns)
{
    struct hn_item *item = put(world, kind, world->trace->now_ns + delay_ns);
    item->event.slot = slot;
    item->event.generation = world->processes[slot].generation;
    return item;
}

/* The tie rule: what was sent first comes first. */
static bool is_before(const struct hn_item *a, const struct hn_item *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

struct hn_item *hn_world_next(struct hn_world *world)
{
    struct hn_item *first = NULL;
    for (uint32_t i = 0; i < world->n_items; i++)
        if (!first || is_before(&world->items[i], first))
            first = &world->items[i];
    return first;
}

struct hn_item hn_world_take(struct hn_world *world, struct hn_item *item)
{
    struct hn_item taken = *item;
    *item = world->items[--world->n_items];
    return taken;
}

/* ---- chance ----------------------------------------------------------------------------------- */

bool hn_world_has(struct hn_world *world, enum hn_fault fault)
{
    return !world->calm && (world->faults >> fault & 1);
}

static bool chance(struct hn_world *world, enum hn_fault fault)
{
    return hn_world_has(world, fault) && hn_random_chance(&world->random, world->percent);
}

static bool all_fail(const struct hn_world *world, enum hn_total total)
{
    return !world->calm && world->total == total;
}

/* Small delays, often none at all, so that things meet. */
static uint64_t soon(struct hn_world *world)
{
    return hn_random_chance(&world->random, 20) ? 0 : hn_random_time_ns(&world->random, 2 * LP_MS);
}

static uint64_t later_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- words ------------------------------------------------------------------------------------ */

/* A worker writes into its channel: it arrives in order. */
static struct lp_event *word(struct hn_world *world, uint32_t slot, enum lp_event_kind kind)
{
    struct hn_process *process = &world->processes[slot];
    process->words_ns = later_of(process->words_ns, world->trace->now_ns + soon(world));
    struct hn_item *item = put_for(world, HN_ITEM_EVENT, slot, 0);
    item->at_ns = process->words_ns;
    item->event.kind = kind;
    return &item->event;
}

/* The zygote reports: in order, and not while it is stopped. */
static struct lp_event *report(struct hn_world *world, uint32_t slot, enum lp_event_kind kind,
                               uint64_t not_before_ns)
{
    struct hn_zygote *zygote = &world->zygote;
    uint64_t at_ns = later_of(world->trace->now_ns + soon(world), not_before_ns);
    zygote->reports_ns = later_of(zygote->reports_ns, at_ns);
    struct hn_item *item = put(world, HN_ITEM_EVENT, zygote->reports_ns);
    item->zygote = zygote->incarnation;
    item->event.kind = kind;
    item->event.slot = slot;
    if (slot != LP_NONE)
        item->event.generation = world->processes[slot].generation;
    return &item->event;
}

/* ---- deaths ----------------------------------------------------------------------------------- */

struct death {
    int code, signal;
    uint64_t oom_kills;
    libpool_cause cause;
};

static const struct death exits[] = {{.cause = LIBPOOL_EXIT}, {.code = 3, .cause = LIBPOOL_EXIT}};
static const struct death out_of_memory = {.signal = SIGKILL, .oom_kills = 1, .cause = LIBPOOL_OOM};
static const struct death killed = {.signal = SIGKILL, .cause = LIBPOOL_KILLED};
static const struct death crashes[] = {
    {.signal = SIGSEGV, .cause = LIBPOOL_CRASH},
    {.signal = SIGABRT, .cause = LIBPOOL_CRASH},
    {.signal = SIGBUS, .cause = LIBPOOL_CRASH},
    {.signal = SIGFPE, .cause = LIBPOOL_CRASH},
    {.signal = SIGILL, .cause = LIBPOOL_CRASH},
    {.signal = SIGTRAP, .cause = LIBPOOL_CRASH},
    {.signal = SIGSYS, .cause = LIBPOOL_CRASH},
    {.signal = SIGXCPU, .cause = LIBPOOL_CRASH},
    {.signal = SIGXFSZ, .cause = LIBPOOL_CRASH},
    {.signal = SIGKILL, .cause = LIBPOOL_KILLED},
    {.signal = SIGTERM, .cause = LIBPOOL_KILLED},
    {.signal = SIGHUP, .cause = LIBPOOL_KILLED},
    /* a descendant of it was killed for memory, but that is not what it died of */
    {.signal = SIGSEGV, .oom_kills = 1, .cause = LIBPOOL_CRASH},
};

#define ANY_OF(world, list) \
    (&(list)[hn_random_below(&(world)->random, sizeof(list) / sizeof(list)[0])])

/* One of the deaths that are on, NULL when none is. */
static const struct death *draw_death(struct hn_world *world)
{
    switch (hn_random_below(&world->random, 3)) {
    case 0: return hn_world_has(world, HN_FAULT_EXIT) ? ANY_OF(world, exits) : NULL;
    case 1: return hn_world_has(world, HN_FAULT_SIGNAL) ? ANY_OF(world, crashes) : NULL;
    }
    return hn_world_has(world, HN_FAULT_OOM) ? &out_of_memory : NULL;
}

static struct hn_item *put_death(struct hn_world *world, uint32_t slot, const struct death *death,
                                 uint64_t delay_ns)
{
    struct hn_item *item = put_for(world, HN_ITEM_DIE, slot, delay_ns);
    item->event.code = death->code;
    item->event.signal = death->signal;
    item->event.oom_kills = death->oom_kills;
    item->event.error = (int)death->cause;
    return item;
}

static bool owned_by_living_zygote(const struct hn_world *world, const struct hn_process *process)
{
    return world->zygote.alive && !world->zygote.hung &&
           process->zygote == world->zygote.incarnation;
}

static uint64_t status_delay(struct hn_world *world)
{
    if (chance(world, HN_FAULT_STATUS_SLOW))
        return hn_random_time_ns(&world->random, 4000 * LP_MS);
    return soon(world);
}

static uint64_t tree_delay(struct hn_world *world)
{
    if (chance(world, HN_FAULT_TREE_SLOW))
        return hn_random_time_ns(&world->random, 8000 * LP_MS);
    return soon(world);
}

static struct hn_item *put_gone(struct hn_world *world, uint32_t slot)
{
    const struct hn_process *process = &world->processes[slot];
    struct hn_item *gone = put_for(world, HN_ITEM_EVENT, slot, soon(world));
    gone->event = process->ended;
    gone->event.error = 0;
    gone->event.kind = LP_EVENT_GONE;
    gone->at_ns = later_of(gone->at_ns, later_of(process->words_ns, process->born_ns));
    return gone;
}

/* The pidfd tells, and perhaps something before it, with which the kernel still has to do. */
static void put_news(struct hn_world *world, uint32_t slot)
{
    struct hn_item *gone = put_gone(world, slot);
    if (hn_random_chance(&world->random, 50))
        return;
    uint32_t most_ms = hn_random_chance(&world->random, 90) ? 200 : 8000;
    gone->event.foretold = true;
    uint64_t told_ns = gone->at_ns;
    gone = put_gone(world, slot);
    gone->at_ns = told_ns + hn_random_time_ns(&world->random, most_ms * LP_MS);
    world->processes[slot].proof_ns = gone->at_ns;
}

/* Now. The pidfd tells the supervisor, the zygote reaps: in any order. */
static void die(struct hn_world *world, const struct hn_item *item)
{
    uint32_t slot = item->event.slot;
    struct hn_process *process = &world->processes[slot];
    uint64_t of_task = item->event.task_id;
    if (of_task && of_task != process->task_id)
        return; /* a soft signal is taken back when its task ends */
    if (process->unkillable && item->event.signal == SIGKILL)
        return;
    HN_TRACE(world->trace, "world", "worker %u.%u dies: code %d, signal %d", slot,
             process->generation, item->event.code, item->event.signal);
    process->alive = false;
    process->death = (libpool_cause)item->event.error;
    process->tree_ns = world->trace->now_ns + tree_delay(world);
    process->ended = item->event;
    process->ended.task_id = 0;
    if (!process->no_pidfd)
        put_news(world, slot);
    if (!owned_by_living_zygote(world, process))
        return;
    struct hn_item *reap = put_for(world, HN_ITEM_REAP, slot, status_delay(world));
    reap->zygote = process->zygote;
    reap->event.code = item->event.code;
    reap->event.signal = item->event.signal;
    reap->event.oom_kills = item->event.oom_kills;
    reap->event.core_dumped = item->event.signal == SIGSEGV;
}

static void reap(struct hn_world *world, const struct hn_item *item)
{
    uint32_t slot = item->event.slot;
    struct hn_process *process = &world->processes[slot];
    bool current = process->generation == item->event.generation;
    struct lp_event *event = report(world, slot, LP_EVENT_EXITED, current ? process->words_ns : 0);
    event->generation = item->event.generation;
    event->code = item->event.code;
    event->signal = item->event.signal;
    event->oom_kills = item->event.oom_kills;
    event->core_dumped = item->event.core_dumped;
    if (!current)
        return;
    struct hn_item *proof = put_for(world, HN_ITEM_PROVE, slot, soon(world));
    proof->zygote = item->zygote;
    proof->at_ns = later_of(proof->at_ns, process->tree_ns);
}

static void prove(struct hn_world *world, const struct hn_item *item)
{
    uint32_t slot = item->event.slot;
    if (item->event.generation != world->processes[slot].generation)
        return;
    world->processes[slot].proven = true;
    report(world, slot, LP_EVENT_EMPTY, 0);
}

/* What is dead has no weight, and nothing is told of it. */
static void weigh(struct hn_world *world, const struct hn_item *item)
{
    uint32_t slot = item->event.slot;
    const struct hn_process *process = &world->processes[slot];
    uint64_t limit_bytes = world->books->slots[slot].weigh_limit_bytes;
    if (process->generation != item->event.generation || !process->alive)
        return;
    bool heavy = hn_world_has(world, HN_FAULT_HEAVY) && hn_random_chance(&world->random, 50);
    uint64_t takes_ns = hn_random_chance(&world->random, 20)
                            ? hn_random_time_ns(&world->random, 200 * LP_MS)
                            : 0;
    report(world, slot, LP_EVENT_WEIGHED, world->trace->now_ns + takes_ns)->bytes = limit_bytes +
                                                                                    heavy;
}

/* ---- a worker's life ------------------------------------------------------------------------ */

static uint64_t work_time(struct hn_world *world, uint64_t most_ns)
{
    return hn_random_time_ns(&world->random, world->calm ? LP_MS : most_ns);
}

static void fork_worker(struct hn_world *world, const struct hn_item *item)
{
    uint32_t slot = item->event.slot;
    struct hn_process *process = &world->processes[slot];
    if (process->alive || process->tree_ns > world->trace->now_ns)
        FAIL("two processes in slot %u", slot);
    *process = (struct hn_process){
        .generation = item->event.generation, .zygote = item->zygote, .pid = ++world->next_pid};
    if (chance(world, HN_FAULT_SPAWN_ERROR) || all_fail(world, HN_TOTAL_SPAWN)) {
        static const int errors[] = {-EAGAIN, -ENOMEM, -EMFILE};
        report(world, slot, LP_EVENT_SPAWN_FAILED, 0)->error = *ANY_OF(world, errors);
        return;
    }
    process->alive = true;
    process->unkillable = chance(world, HN_FAULT_UNKILLABLE) &&
                          (world->tiny || chance(world, HN_FAULT_UNKILLABLE));
    process->liar = chance(world, HN_FAULT_LIE);
    process->fibs = chance(world, HN_FAULT_FIB);
    process->no_pidfd = world->threads || chance(world, HN_FAULT_NO_PIDFD);
    process->frozen = !world->calm && world->total != HN_TOTAL_NONE; /* no task gets through */
    report(world, slot, LP_EVENT_SPAWNED, 0)->pid = process->pid;
    process->born_ns = world->zygote.reports_ns;
    process->hangs = chance(world, HN_FAULT_INIT_HANG);
    if (process->hangs)
        return;
    put_for(world, HN_ITEM_INIT_END, slot, work_time(world, world->start_ns));
}

static void init_fails(struct hn_world *world, uint32_t slot)
{
    const struct death *death = draw_death(world);
    if (!death || hn_random_chance(&world->random, 50)) {
        word(world, slot, LP_EVENT_INIT_FAILED)->code = 7;
        death = &exits[1];
        world->processes[slot].said_no = chance(world, HN_FAULT_INIT_HANG);
        if (world->processes[slot].said_no)
            return; /* it says so, and does not leave */
    }
    put_death(world, slot, death, soon(world));
}

/* Looks into its channel soon, unless it is at work anyway. */
static void rouse(struct hn_world *world, uint32_t slot, uint64_t delay_ns)
{
    if (world->processes[slot].at_work)
        return;
    world->processes[slot].at_work = true;
    put_for(world, HN_ITEM_BEGIN, slot, delay_ns);
}

static void init_ends(struct hn_world *world, uint32_t slot)
{
    if (chance(world, HN_FAULT_INIT_FAIL) || all_fail(world, HN_TOTAL_INIT)) {
        init_fails(world, slot);
        return;
    }
    word(world, slot, LP_EVENT_READY);
    world->processes[slot].ready = true;
    if (world->processes[slot].told_to_leave)
        rouse(world, slot, soon(world));
    if (all_fail(world, HN_TOTAL_IDLE_DEATH))
        put_death(world, slot, &killed, soon(world));
    if (all_fail(world, HN_TOTAL_CORRUPT))
        word(world, slot, LP_EVENT_CORRUPT);
}

/* Claims the next of its channel. What was recalled is dropped. 0: there is none. */
static uint64_t claim(struct hn_world *world, uint32_t slot)
{
    struct hn_channel *channel = &world->channels[slot];
    while (channel->n) {
        struct hn_sent *next = &channel->sent[channel->first];
        channel->first = (channel->first + 1) % HN_CHANNEL;
        channel->n--;
        if (next->epoch == channel->epoch) {
            channel->claimed++;
            return next->task_id;
        }
        SOMETIMES(STALE_DROPPED);
    }
    return 0;
}

static uint64_t run_time(struct hn_world *world)
{
    if (world->tiny && hn_random_chance(&world->random, 95))
        return 1 + hn_random_time_ns(&world->random, world->tiny_ns);
    return work_time(world, world->work_ns);
}

static void put_task_end(struct hn_world *world, uint32_t slot, uint64_t delay_ns)
{
    put_for(world, HN_ITEM_TASK_END, slot, delay_ns)->event.task_id =
        world->processes[slot].task_id;
}

/* How often it gives signs of life, and until when. */
static void draw_beats(struct hn_world *world, struct hn_book_task *task)
{
    if (!task->spec.heartbeat_ns)
        return;
    task->beat_every_ns = 1 + hn_random_time_ns(&world->random, task->spec.heartbeat_ns);
    task->beats_end_ns = UINT64_MAX;
    if (chance(world, HN_FAULT_SILENT))
        task->beats_end_ns = world->trace->now_ns +
                             hn_random_time_ns(&world->random, 3 * task->spec.heartbeat_ns);
}

/* Its word on that. Of a liar nothing is believed. */
static uint64_t beat_word(struct hn_world *world, const struct hn_process *process)
{
    if (!process->started_id)
        return 0;
    if (process->liar)
        return hn_random_chance(&world->random, 50) ? 1 : UINT64_MAX;
    const struct hn_book_task *task = &world->books->tasks[process->started_id - 1];
    uint64_t sign_ns = hn_books_last_sign(task, world->trace->now_ns);
    return sign_ns == process->begun_ns ? 0 : sign_ns;
}

/* The function of what it has claimed: from here on the task was begun. */
static void enter(struct hn_world *world, uint32_t slot)
{
    struct hn_process *process = &world->processes[slot];
    uint64_t now_ns = world->trace->now_ns;
    struct hn_book_task *task = &world->books->tasks[process->task_id - 1];
    process->started_id = process->task_id;
    process->begun_ns = process->started_ns = now_ns;
    if (process->liar)
        process->started_ns = hn_random_chance(&world->random, 50) ? 0 : now_ns + 3600000 * LP_MS;
    hn_books_begun(world->books, process->task_id, slot,
                   process->liar ? task->assigned_ns : now_ns);
    HN_TRACE(world->trace, "world", "worker %u.%u begins task %llu", slot, process->generation,
             (unsigned long long)process->task_id);
    if (!process->liar && task->slot == slot) /* else that run has failed, and it is in another */
        draw_beats(world, task);
    if (!world->calm && hn_random_chance(&world->random, world->call_percent))
        put_for(world, HN_ITEM_CALL, slot, run_time(world))->event.task_id = process->task_id;
    else if (!chance(world, HN_FAULT_TASK_HANG))
        put_task_end(world, slot, run_time(world));
}

/* Whoever finds that in its channel instead of an answer gives up. */
static void give_up(struct hn_world *world, uint32_t slot)
{
    put_death(world, slot, &exits[1], soon(world));
}

static void call(struct hn_world *world, uint32_t slot)
{
    world->processes[slot].calling = true;
    if (world->processes[slot].told_to_leave)
        give_up(world, slot);
    struct lp_event *event = word(world, slot, LP_EVENT_WAITS);
    event->task_id = world->processes[slot].task_id + chance(world, HN_FAULT_CORRUPT);
}

void hn_world_answer(struct hn_world *world, uint32_t slot, uint64_t task_id)
{
    struct hn_process *process = &world->processes[slot];
    if (!process->alive || process->task_id != task_id)
        return;
    process->calling = false;
    put_task_end(world, slot, run_time(world));
}

/* The next of its channel was asked before it began: it is answered, not begun. */
static void decline(struct hn_world *world, uint32_t slot)
{
    struct hn_process *process = &world->processes[slot];
    struct lp_event *event = word(world, slot, LP_EVENT_RESULT);
    event->task_id = process->task_id;
    event->code = -ECANCELED;
    process->task_id = 0;
    process->at_work = false;
    if (world->channels[slot].n || process->told_to_leave)
        rouse(world, slot, 0);
}

static void enter_unless_asked(struct hn_world *world, uint32_t slot)
{
    const struct hn_process *process = &world->processes[slot];
    if (process->asked_id && process->asked_id == process->task_id)
        decline(world, slot);
    else
        enter(world, slot);
}

static void leave(struct hn_world *world, uint32_t slot);

/* There may be something in its channel: it begins it, or something is in the way. */
static void begin(struct hn_world *world, uint32_t slot)
{
    struct hn_process *process = &world->processes[slot];
    process->at_work = false;
    if (process->frozen)
        return;
    process->task_id = claim(world, slot);
    if (process->task_id == 0 && process->told_to_leave)
        leave(world, slot);
    if (process->task_id == 0)
        return;
    process->at_work = true;
    if (world->tiny && hn_random_chance(&world->random, 20))
        put_for(world, HN_ITEM_ENTER, slot, soon(world));
    else
        enter_unless_asked(world, slot);
}

static void task_ends(struct hn_world *world, uint32_t slot)
{
    struct hn_process *process = &world->processes[slot];
    const struct death *death = hn_random_chance(&world->random, world->percent) ? draw_death(world)
                                                                                 : NULL;
    if (death) {
        put_death(world, slot, death, 0);
        return;
    }
    struct lp_event *event = word(world, slot, LP_EVENT_RESULT);
    event->task_id = process->task_id;
    if (chance(world, HN_FAULT_CORRUPT))
        event->task_id += 1 + hn_random_below(&world->random, 2);
    event->code = hn_random_chance(&world->random, 20) ? 5 : 0;
    event->started_ns = process->started_ns;
    event->ended_ns = world->trace->now_ns;
    event->started_id = process->started_id;
    event->leaves = chance(world, HN_FAULT_LEFTOVERS);
    event->grown = chance(world, HN_FAULT_GROWN);
    process->task_id = 0;
    process->at_work = false;
    if (world->channels[slot].n || process->told_to_leave)
        rouse(world, slot, hn_random_chance(&world->random, 90) ? 0 : soon(world));
}

static void leave(struct hn_world *world, uint32_t slot)
{
    struct hn_process *process = &world->processes[slot];
    if (process->frozen || process->leaving)
        return;
    process->leaving = true;
    if (!world->has_finalizer) {
        put_death(world, slot, &exits[chance(world, HN_FAULT_FINAL_FAIL)], soon(world));
        return;
    }
    word(world, slot, LP_EVENT_FINAL_STARTED);
    process->hangs = chance(world, HN_FAULT_FINAL_HANG);
    if (!process->hangs)
        put_for(world, HN_ITEM_FINAL_END, slot, work_time(world, world->start_ns));
}

static void final_ends(struct hn_world *world, uint32_t slot)
{
    const struct death *death = chance(world, HN_FAULT_FINAL_FAIL) ? draw_death(world) : NULL;
    if (!death) {
        word(world, slot, LP_EVENT_FINALIZED);
        death = &exits[chance(world, HN_FAULT_FINAL_FAIL)];
    }
    put_death(world, slot, death, soon(world));
}

/* ---- the zygote ------------------------------------------------------------------------------- */

/* A fork that nobody will hear of. */
static void forget_worker(struct hn_world *world, uint32_t slot, uint32_t generation)
{
    struct hn_process *process = &world->processes[slot];
    if (process->generation != generation)
        return;
    process->alive = false;
    process->tree_ns = 0;
    for (uint32_t i = 0; i < world->n_items; i++)
        if (world->items[i].event.slot == slot && world->items[i].event.generation == generation &&
            world->items[i].kind != HN_ITEM_RELEASE)
            hn_world_take(world, &world->items[i--]);
}

/* From cut_ns on nothing of what the zygote did or sent takes place. */
static void cut_zygote(struct hn_world *world, uint64_t cut_ns)
{
    for (uint32_t i = 0; i < world->n_items; i++) {
        struct hn_item *item = &world->items[i];
        bool sent = item->kind == HN_ITEM_EVENT && item->at_ns <= cut_ns;
        if (item->zygote != world->zygote.incarnation || sent)
            continue;
        struct hn_item dropped = hn_world_take(world, item);
        i = UINT32_MAX; /* forgetting a worker takes items, too: from the start again */
        if (dropped.kind == HN_ITEM_EVENT && dropped.event.kind == LP_EVENT_SPAWNED)
            forget_worker(world, dropped.event.slot, dropped.event.generation);
    }
    /* What was forked after its last report dies with it, too. */
}

/* Somewhere among what it has sent and not sent yet. */
static uint64_t draw_cut(struct hn_world *world)
{
    uint64_t now_ns = world->trace->now_ns;
    uint64_t sent_ns = later_of(world->zygote.reports_ns, now_ns);
    return now_ns +
           (sent_ns > now_ns ? hn_random_next(&world->random) % (sent_ns - now_ns + 1) : 0);
}

static void tell_loss(struct hn_world *world, uint64_t at_ns)
{
    struct hn_item *item = put(world, HN_ITEM_EVENT, at_ns);
    item->event.kind = LP_EVENT_ZYGOTE_LOST;
    item->event.slot = LP_NONE;
}

static void zygote_dies(struct hn_world *world)
{
    struct hn_zygote *zygote = &world->zygote;
    if (!zygote->alive)
        return;
    HN_TRACE(world->trace, "world", "zygote dies");
    uint64_t cut_ns = zygote->hung ? world->trace->now_ns : draw_cut(world);
    cut_zygote(world, cut_ns);
    zygote->alive = false;
    tell_loss(world, cut_ns + soon(world));
}

static void hang_zygote(struct hn_world *world)
{
    HN_TRACE(world->trace, "world", "zygote hangs for ever");
    cut_zygote(world, draw_cut(world));
    world->zygote.hung = true;
}

static void start_zygote(struct hn_world *world)
{
    struct hn_zygote *zygote = &world->zygote;
    *zygote = (struct hn_zygote){.incarnation = zygote->incarnation + 1};
    if (chance(world, HN_FAULT_ZYGOTE_START) || all_fail(world, HN_TOTAL_ZYGOTE_START)) {
        struct hn_item *item = put(world, HN_ITEM_EVENT, world->trace->now_ns + soon(world));
        item->event.kind = LP_EVENT_ZYGOTE_FAILED;
        item->event.slot = LP_NONE;
        item->event.error = -EAGAIN;
        return;
    }
    zygote->alive = zygote->linked = true;
    if (chance(world, HN_FAULT_ZYGOTE_HANG)) {
        hang_zygote(world);
        return;
    }
    bool slow = world->threads && chance(world, HN_FAULT_ZYGOTE_PAUSE);
    uint64_t late_ns = slow ? hn_random_time_ns(&world->random, 8000 * LP_MS) : 0;
    struct lp_event *hello = report(world, LP_NONE, LP_EVENT_ZYGOTE_UP,
                                    world->trace->now_ns + late_ns);
    hello->pid = ++world->next_pid;
    hello->weighs = world->books->config.memory_limit_bytes && hn_random_chance(&world->random, 90);
    if (chance(world, HN_FAULT_ZYGOTE_DEATH))
        put(world, HN_ITEM_ZYGOTE_DIE, world->trace->now_ns + soon(world))->zygote =
            zygote->incarnation;
}

/* The link is closed: what it has sent is not read any more. */
static void drop_zygote(struct hn_world *world)
{
    struct hn_zygote *zygote = &world->zygote;
    if (world->threads)
        FAIL("a zygote is dropped that is a thread");
    bool told = !zygote->alive;
    cut_zygote(world, 0);
    zygote->alive = false;
    if (!told)
        tell_loss(world, world->trace->now_ns + soon(world));
}

/* ---- inner items ------------------------------------------------------------------------------ */

static bool is_zygotes(enum hn_item_kind kind)
{
    return kind == HN_ITEM_FORK || kind == HN_ITEM_REAP || kind == HN_ITEM_PROVE ||
           kind == HN_ITEM_WEIGH;
}

/* The zygote gets at it later, or never. */
static bool zygote_puts_off(struct hn_world *world, const struct hn_item *item)
{
    struct hn_zygote *zygote = &world->zygote;
    if (!is_zygotes(item->kind))
        return false;
    if (item->zygote != zygote->incarnation || !zygote->alive || zygote->hung)
        return true;
    if (zygote->pause_ns <= world->trace->now_ns)
        return false;
    struct hn_item *again = put(world, item->kind, zygote->pause_ns);
    again->zygote = item->zygote;
    again->event = item->event;
    return true;
}

static bool is_workers(enum hn_item_kind kind)
{
    return kind >= HN_ITEM_INIT_END && kind <= HN_ITEM_DIE;
}

void hn_world_happen(struct hn_world *world, const struct hn_item *item)
{
    const struct hn_process *process = &world->processes[item->event.slot];
    bool current = process->alive && process->generation == item->event.generation;
    if (is_workers(item->kind) && !current)
        return;
    if (zygote_puts_off(world, item))
        return;
    switch (item->kind) {
    case HN_ITEM_FORK: fork_worker(world, item); return;
    case HN_ITEM_INIT_END: init_ends(world, item->event.slot); return;
    case HN_ITEM_BEGIN: begin(world, item->event.slot); return;
    case HN_ITEM_ENTER: enter_unless_asked(world, item->event.slot); return;
    case HN_ITEM_CALL:
        if (process->task_id == item->event.task_id) /* else it returned when it was asked */
            call(world, item->event.slot);
        return;
    case HN_ITEM_TASK_END:
        if (process->task_id == item->event.task_id && !process->calling)
            task_ends(world, item->event.slot);
        return;
    case HN_ITEM_LEAVE: leave(world, item->event.slot); return;
    case HN_ITEM_FINAL_END: final_ends(world, item->event.slot); return;
    case HN_ITEM_DIE: die(world, item); return;
    case HN_ITEM_REAP: reap(world, item); return;
    case HN_ITEM_PROVE: prove(world, item); return;
    case HN_ITEM_WEIGH: weigh(world, item); return;
    case HN_ITEM_ZYGOTE_DIE:
        if (item->zygote == world->zygote.incarnation)
            zygote_dies(world);
        return;
    case HN_ITEM_EVENT:
    case HN_ITEM_RELEASE: return;
    }
}

/* ---- the supervisor ----------------------------------------------------------------------------- */

/* GONE of a worker whose zygote is lost is told as EXITED: there is nobody else to ask. */
static void tell_orphan(struct hn_world *world, struct lp_event *event, libpool_cause *injected)
{
    event->kind = LP_EVENT_EXITED;
    event->unknown = hn_random_chance(&world->random, 70);
    if (event->unknown) {
        event->code = event->signal = event->core_dumped = 0;
        event->oom_kills = 0;
        *injected = LIBPOOL_LOST;
    } else if (event->oom_kills) { /* the pidfd knows nothing of memory */
        event->oom_kills = 0;
        *injected = event->signal == SIGKILL ? LIBPOOL_KILLED : *injected;
    }
}

/* A task that it was sent and may not have begun: it says it has. What it has begun it can't hide. */
static void fib(struct hn_world *world, struct lp_event *event)
{
    const struct hn_book_slot *slot = &world->books->slots[event->slot];
    uint32_t from = 0;
    while (from + 1 < slot->queued && world->books->tasks[slot->queue[from + 1]].begun)
        from++;
    if (slot->queued == 0)
        return;
    uint32_t place = from + hn_random_below(&world->random, slot->queued - from);
    event->started_id = slot->queue[place] + UINT64_C(1);
}

/* The supervisor opens a pidfd of those that have none, or finds them gone. */
static void watch_all(struct hn_world *world)
{
    for (uint32_t slot = 0; slot < world->books->n_slots; slot++) {
        struct hn_process *process = &world->processes[slot];
        if (!process->no_pidfd || !process->reported || world->threads)
            continue;
        process->no_pidfd = false;
        if (!process->alive && !process->told)
            (void)put_gone(world, slot);
    }
}

static void tell_news(struct hn_world *world, struct lp_event *event)
{
    event->granted = world->ours.granted;
    event->share = world->ours.share;
    event->yield = world->ours.yield;
    world->ours.granted = 0;
    world->ours.news = world->news_under_way = false;
}

/* Who works may be given up early; of an orphan nobody would tell then how it ended. */
static bool may_be_foretold(const struct hn_world *world, uint32_t slot)
{
    enum lp_worker_state state = world->books->slots[slot].state;
    return !world->books->slots[slot].orphaned &&
           (state == LP_WORKER_IDLE || state == LP_WORKER_BUSY);
}

bool hn_world_tell(struct hn_world *world, struct lp_event *event, libpool_cause *injected)
{
    event->now_ns = world->trace->now_ns;
    if (event->kind == LP_EVENT_ZYGOTE_LOST) {
        world->zygote.linked = false;
        watch_all(world);
    }
    if (event->kind == LP_EVENT_PLACES)
        tell_news(world, event);
    if (event->kind >= LP_WORKER_EVENTS)
        return true;
    struct hn_process *process = &world->processes[event->slot];
    if (process->generation != event->generation)
        return true; /* an old word */
    if (event->kind == LP_EVENT_GONE && event->foretold && !may_be_foretold(world, event->slot))
        return false;
    *injected = process->death;
    if (event->kind != LP_EVENT_RESULT || event->started_id == 0) /* nonsense has begun nothing */
        event->started_id = process->started_id;
    if (event->kind != LP_EVENT_RESULT)
        event->started_ns = process->started_ns;
    event->beat_ns = beat_word(world, process);
    if (event->kind == LP_EVENT_SPAWNED) {
        process->reported = true;
        if (world->calm)
            watch_all(world);
    }
    process->told = process->told || event->kind == LP_EVENT_EXITED;
    bool orphaned = process->zygote != world->zygote.incarnation || !world->zygote.linked;
    if (event->kind == LP_EVENT_GONE && orphaned)
        tell_orphan(world, event, injected);
    else if (event->kind == LP_EVENT_GONE)
        event->code = event->signal = 0;
    if (event->kind == LP_EVENT_EXITED && process->fibs)
        fib(world, event);
    return true;
}

/* ---- channels ----------------------------------------------------------------------------------- */

static bool is_word(const struct hn_item *item)
{
    enum lp_event_kind kind = item->event.kind;
    bool is = (kind >= LP_EVENT_READY && kind <= LP_EVENT_CORRUPT) || kind == LP_EVENT_WAITS;
    return item->kind == HN_ITEM_EVENT && is;
}

struct hn_item *hn_world_unread(struct hn_world *world, uint32_t slot)
{
    uint32_t generation = world->processes[slot].generation;
    struct hn_item *first = NULL;
    for (uint32_t i = 0; i < world->n_items; i++) {
        struct hn_item *item = &world->items[i];
        if (item->event.slot == slot && item->event.generation == generation && is_word(item) &&
            (!first || is_before(item, first)))
            first = item;
    }
    return first;
}

uint32_t hn_world_recall(struct hn_world *world, uint32_t slot)
{
    struct hn_channel *channel = &world->channels[slot];
    const struct hn_process *process = &world->processes[slot];
    if (process->task_id && process->started_id != process->task_id)
        SOMETIMES(CLAIMED_UNMARKED);
    HN_TRACE(world->trace, "world", "gate of slot %u moves: %u claimed, %u results heard", slot,
             channel->claimed, channel->results);
    channel->epoch++;
    return channel->claimed;
}

void hn_world_send(struct hn_world *world, uint32_t slot, uint32_t task)
{
    struct hn_channel *channel = &world->channels[slot];
    if (channel->n == HN_CHANNEL) {
        FAIL("the channel of slot %u overflows", slot);
        return;
    }
    channel->sent[(channel->first + channel->n++) % HN_CHANNEL] = (struct hn_sent){
        .task_id = world->pool->tasks.table[task].id, .epoch = channel->epoch};
    if (world->processes[slot].alive)
        rouse(world, slot, soon(world));
}

static void perform_spawn(struct hn_world *world, const struct lp_action *action)
{
    const struct hn_process *process = &world->processes[action->slot];
    if (process->alive || process->tree_ns > world->trace->now_ns)
        FAIL("I4: spawn into slot %u, where something of the old worker lives", action->slot);
    reset_channel(&world->channels[action->slot]);
    struct hn_item *item = put(world, HN_ITEM_FORK, world->trace->now_ns + soon(world));
    item->zygote = world->zygote.incarnation;
    item->event.slot = action->slot;
    item->event.generation = action->generation;
    if (chance(world, HN_FAULT_ZYGOTE_DEATH) || all_fail(world, HN_TOTAL_ZYGOTE_DIES))
        put(world, HN_ITEM_ZYGOTE_DIE, item->at_ns + soon(world))->zygote =
            world->zygote.incarnation;
}

static void perform_assign(struct hn_world *world, const struct lp_action *action)
{
    struct hn_process *process = &world->processes[action->slot];
    bool ahead = world->pool->tasks.table[action->task].state == LP_TASK_PREFETCHED;
    hn_world_send(world, action->slot, action->task);
    if (!process->alive) /* not known yet: the task lies in the channel of a dead one */
        return;
    if (all_fail(world, HN_TOTAL_UNBEGUN)) {
        put_death(world, action->slot, &killed, 0);
        return;
    }
    if (ahead && !hn_random_chance(&world->random, 5)) /* else no queue would live */
        return;
    if (hn_random_chance(&world->random, world->percent)) {
        const struct death *death = draw_death(world);
        if (death)
            put_death(world, action->slot, death, soon(world));
    }
    if (chance(world, HN_FAULT_STUCK_START))
        process->frozen = true;
}

/* It returns, dies of the signal, or does not listen; what it does may come after its grace. */
static void perform_ask(struct hn_world *world, const struct lp_action *action)
{
    struct hn_process *process = &world->processes[action->slot];
    const struct lp_task *task = &world->pool->tasks.table[action->task];
    process->asked_id = task->id;
    if (!process->alive || process->task_id != task->id || process->started_id != task->id ||
        chance(world, HN_FAULT_DEAF))
        return;
    uint64_t most_ns = world->threads ? world->work_ns : task->spec.grace_ns * 5 / 4;
    uint64_t delay_ns = hn_random_time_ns(&world->random, most_ns);
    const struct death of_signal = {.signal = task->spec.soft_signal, .cause = LIBPOOL_KILLED};
    if (task->spec.soft_signal && hn_random_chance(&world->random, 30))
        put_death(world, action->slot, &of_signal, delay_ns)->event.task_id = task->id;
    else
        put_task_end(world, action->slot, delay_ns);
}

/* A word in its channel, and no more. */
static void tell_to_leave(struct hn_world *world, uint32_t slot)
{
    struct hn_process *process = &world->processes[slot];
    process->told_to_leave = true;
    if (process->alive && process->calling)
        give_up(world, slot);
    if (process->alive && process->ready)
        rouse(world, slot, soon(world));
}

static void perform_kill(struct hn_world *world, uint32_t slot)
{
    struct hn_process *process = &world->processes[slot];
    if (world->threads) {
        tell_to_leave(world, slot);
        return;
    }
    process->dying = true;
    if (process->unkillable)
        SOMETIMES(UNKILLABLE);
    if (process->alive)
        put_death(world, slot, &killed, soon(world));
    else if (process->proven && owned_by_living_zygote(world, process))
        put_for(world, HN_ITEM_PROVE, slot, soon(world))->zygote = process->zygote;
}

static void perform_clean(struct hn_world *world, const struct lp_action *action)
{
    struct hn_item *item = put_for(world, HN_ITEM_PROVE, action->slot, soon(world));
    item->zygote = world->zygote.incarnation;
    item->at_ns = later_of(item->at_ns, world->processes[action->slot].tree_ns);
    if (world->threads)
        FAIL("slot %u to be cleaned, and nobody can", action->slot);
    if (world->processes[action->slot].alive)
        FAIL("harness: slot %u to be cleaned of a living worker", action->slot);
}

static void perform_weigh(struct hn_world *world, const struct lp_action *action)
{
    /* The zygote has other things to do, too: then what was asked about is often over. */
    uint64_t delay_ns = hn_random_chance(&world->random, 50)
                            ? soon(world)
                            : hn_random_time_ns(&world->random, 300 * LP_MS);
    struct hn_item *item = put_for(world, HN_ITEM_WEIGH, action->slot, delay_ns);
    item->zygote = world->zygote.incarnation;
    if (all_fail(world, HN_TOTAL_ZYGOTE_DIES))
        put(world, HN_ITEM_ZYGOTE_DIE, item->at_ns)->zygote = item->zygote;
}

/* The supervisor looks by itself; it may be late. */
static void perform_sample(struct hn_world *world)
{
    uint64_t delay_ns = hn_random_chance(&world->random, 80)
                            ? soon(world)
                            : hn_random_time_ns(&world->random, 500 * LP_MS);
    struct hn_item *item = put(world, HN_ITEM_EVENT, world->trace->now_ns + delay_ns);
    item->event.kind = LP_EVENT_ADMISSION;
    item->event.closes = hn_world_has(world, HN_FAULT_SCARCE) && !world->calm &&
                         hn_random_chance(&world->random, 60);
}

static void perform_end(struct hn_world *world, const struct lp_action *action)
{
    bool late = chance(world, HN_FAULT_RELEASE_LATE) || (world->hoards && !world->calm);
    uint64_t delay_ns = late ? hn_random_time_ns(&world->random, 2000 * LP_MS) : 0;
    uint32_t book = (uint32_t)world->pool->tasks.table[action->task].id - 1;
    if (delay_ns) {
        struct hn_item *item = put(world, HN_ITEM_RELEASE, world->trace->now_ns + delay_ns);
        item->event.task_id = action->task;
        item->event.slot = book;
        return;
    }
    lp_pool_release(world->pool, action->task);
    hn_books_released(world->books, book);
}

/* ---- the governor --------------------------------------------------------------------------- */

/* The others do as they are told: what is beyond their share is given back. */
static void let_rivals_yield(struct hn_world *world)
{
    for (uint32_t i = 0; i < HN_OTHER_POOLS; i++) {
        struct lp_share *rival = &world->others[i];
        if (rival->yield == LP_YIELD_SHARE && rival->held > rival->share)
            lp_shares_give(&world->shares, rival, rival->held - rival->share);
    }
}

/* What it has for this pool is fetched a little later; then it is what there is by then. */
static void send_news(struct hn_world *world)
{
    let_rivals_yield(world);
    if (!lp_shares_check(&world->shares))
        FAIL("the governor: more places than there are, or one that nobody gets");
    if (!world->ours.news || world->news_under_way)
        return;
    world->news_under_way = true;
    put(world, HN_ITEM_EVENT, world->trace->now_ns + soon(world))->event.kind = LP_EVENT_PLACES;
}

/* Some leave room for more, some none. */
void hn_world_govern(struct hn_world *world)
{
    uint32_t reserves = 0, reserve[HN_OTHER_POOLS];
    uint32_t own = lp_places_reserve(world->books->min_workers);
    for (uint32_t i = 0; i < HN_OTHER_POOLS; i++)
        reserves += reserve[i] = hn_random_between(&world->random, 1, 3);
    world->shares = (struct lp_shares){.limit = own + reserves +
                                                hn_random_below(&world->random, 6)};
    for (uint32_t i = 0; i < HN_OTHER_POOLS; i++)
        (void)lp_shares_join(&world->shares, &world->others[i], reserve[i]);
    for (uint32_t i = 0; i < HN_OTHER_POOLS; i++)
        lp_shares_want(&world->shares, &world->others[i], hn_random_below(&world->random, 6));
    world->news_under_way = false;
    (void)lp_shares_join(&world->shares, &world->ours, own);
    send_news(world);
}

int hn_world_reserve(struct hn_world *world, uint32_t min_workers)
{
    int error = lp_shares_reserve(&world->shares, &world->ours, lp_places_reserve(min_workers));
    send_news(world);
    return error;
}

void hn_world_rival(struct hn_world *world)
{
    struct lp_share *rival = &world->others[hn_random_below(&world->random, HN_OTHER_POOLS)];
    if (hn_random_chance(&world->random, 50))
        lp_shares_want(&world->shares, rival, hn_random_below(&world->random, 5));
    else
        lp_shares_give(&world->shares, rival, hn_random_between(&world->random, 0, rival->held));
    send_news(world);
}

static void perform_want(struct hn_world *world, uint32_t count)
{
    lp_shares_want(&world->shares, &world->ours, count);
    send_news(world);
}

static void perform_give(struct hn_world *world, uint32_t count)
{
    if (count > world->ours.held)
        FAIL("%u places are given back, %u are held", count, world->ours.held);
    else
        lp_shares_give(&world->shares, &world->ours, count);
    send_news(world);
}

/* The others have all they want, and that is nothing. */
static void calm_rivals(struct hn_world *world)
{
    for (uint32_t i = 0; world->pool->config.governed && i < HN_OTHER_POOLS; i++) {
        lp_shares_want(&world->shares, &world->others[i], 0);
        lp_shares_give(&world->shares, &world->others[i], world->others[i].held);
        send_news(world);
    }
}

void hn_world_perform(struct hn_world *world, const struct lp_action *action)
{
    switch (action->kind) {
    case LP_ACTION_SPAWN: perform_spawn(world, action); return;
    case LP_ACTION_ASSIGN: perform_assign(world, action); return;
    case LP_ACTION_RETIRE:
        if (world->threads)
            tell_to_leave(world, action->slot);
        else
            put_for(world, HN_ITEM_LEAVE, action->slot, soon(world));
        return;
    case LP_ACTION_ASK: perform_ask(world, action); return;
    case LP_ACTION_KILL: perform_kill(world, action->slot); return;
    case LP_ACTION_CLEAN: perform_clean(world, action); return;
    case LP_ACTION_WEIGH: perform_weigh(world, action); return;
    case LP_ACTION_END: perform_end(world, action); return;
    case LP_ACTION_ZYGOTE_START: start_zygote(world); return;
    case LP_ACTION_ZYGOTE_DROP: drop_zygote(world); return;
    case LP_ACTION_SAMPLE: perform_sample(world); return;
    case LP_ACTION_WANT: perform_want(world, action->count); return;
    case LP_ACTION_GIVE: perform_give(world, action->count); return;
    case LP_ACTION_ROOM:
    case LP_ACTION_NOTE:
    case LP_ACTION_DOWN:
    case LP_ACTION_RETRY:
    case LP_ACTION_RESUME:
    case LP_ACTIONS: return;
    }
}

/* ---- from outside ------------------------------------------------------------------------------- */

static uint32_t any_slot(struct hn_world *world)
{
    return hn_random_below(&world->random, world->books->n_slots);
}

void hn_world_kill_worker(struct hn_world *world)
{
    uint32_t slot = any_slot(world);
    const struct death *death = draw_death(world);
    if (world->processes[slot].alive && death)
        put_death(world, slot, death, soon(world));
}

void hn_world_hurt_zygote(struct hn_world *world)
{
    struct hn_zygote *zygote = &world->zygote;
    if (!zygote->alive)
        return;
    if (chance(world, HN_FAULT_ZYGOTE_DEATH))
        zygote_dies(world);
    else if (!zygote->hung && chance(world, HN_FAULT_ZYGOTE_HANG))
        hang_zygote(world);
    else if (chance(world, HN_FAULT_ZYGOTE_PAUSE))
        zygote->pause_ns = world->trace->now_ns + hn_random_time_ns(&world->random, 3000 * LP_MS);
}

/* A task can be begun in one way only, so the words on that are not among these. */
static enum lp_event_kind any_word(struct hn_world *world)
{
    static const enum lp_event_kind words[] = {
        LP_EVENT_READY,     LP_EVENT_INIT_FAILED, LP_EVENT_RESULT, LP_EVENT_FINAL_STARTED,
        LP_EVENT_FINALIZED, LP_EVENT_CORRUPT,     LP_EVENT_WAITS,
    };
    return *ANY_OF(world, words);
}

void hn_world_say_nonsense(struct hn_world *world)
{
    uint32_t slot = any_slot(world);
    if (!hn_world_has(world, HN_FAULT_CORRUPT) || !world->processes[slot].pid)
        return;
    if (world->processes[slot].alive) {
        word(world, slot, any_word(world));
        world->processes[slot].babbles = true;
        return;
    }
    /* What a dead one has left in its channel, read late. */
    put_for(world, HN_ITEM_EVENT, slot, soon(world))->event.kind = any_word(world);
}

void hn_world_old_word(struct hn_world *world)
{
    uint32_t slot = any_slot(world);
    uint32_t generation = world->books->slots[slot].generation;
    if (generation == 0)
        return;
    struct hn_item *item = put_for(world, HN_ITEM_EVENT, slot, 0);
    item->event.generation = hn_random_below(&world->random, generation);
    item->event.kind = hn_random_below(&world->random, LP_WORKER_EVENTS);
    item->event.task_id = world->books->n_tasks;
}

/* It comes back from wherever it was, and a hostile one may have been in two places. */
static void calm_thread(struct hn_world *world, uint32_t slot)
{
    struct hn_process *process = &world->processes[slot];
    process->frozen = false;
    if (!process->alive)
        return;
    if (process->said_no)
        put_death(world, slot, &exits[1], soon(world));
    else if (process->hangs)
        put_for(world, process->leaving ? HN_ITEM_FINAL_END : HN_ITEM_INIT_END, slot, soon(world));
    if (process->task_id && process->started_id == process->task_id && !process->calling)
        put_task_end(world, slot, soon(world));
    else if (process->ready)
        rouse(world, slot, soon(world));
    process->hangs = process->said_no = false;
}

static void calm_worker(struct hn_world *world, uint32_t slot)
{
    struct hn_process *process = &world->processes[slot];
    if (world->threads) {
        calm_thread(world, slot);
        return;
    }
    process->frozen = false; /* a task that it has not begun until now stays so */
    if (process->alive && process->babbles && !process->unkillable)
        put_death(world, slot, &killed,
                  soon(world)); /* what it says in earnest may be nonsense now */
    if (!process->alive || !process->unkillable || hn_random_chance(&world->random, 50))
        return;
    process->unkillable = false;
    if (process->dying)
        put_death(world, slot, &killed, soon(world));
}

void hn_world_calm(struct hn_world *world)
{
    world->calm = true;
    calm_rivals(world);
    watch_all(world); /* there are descriptors again */
    for (uint32_t slot = 0; slot < world->books->n_slots; slot++)
        calm_worker(world, slot);
}

bool hn_world_is_stuck(const struct hn_world *world, uint32_t slot)
{
    return world->processes[slot].alive && world->processes[slot].unkillable;
}

uint32_t hn_world_stuck(const struct hn_world *world)
{
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < world->books->n_slots; slot++)
        count += hn_world_is_stuck(world, slot);
    return count;
}
