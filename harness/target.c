/* SPDX-License-Identifier: MIT */
/*
 * target: from the first snapshot to the second.
 *
 *     snapshot -> hands -> open -> observer, sampler, loader, collector -> commands ... close
 *              -> quit -> all threads joined, futures freed -> snapshot
 *
 * The main thread opens the pool and then only waits; the hands do what they are told.
 */
#include "harness/target.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libpool_sandbox.h>

#include "harness/check.h"
#include "harness/clock.h"
#include "harness/target_inner.h"

#define OPEN_BOUND_MS 2000
#define CLOSE_BOUND_MS 2000 /* a second is promised, one more is granted */
#define SHUTDOWN_SLACK_MS 1000
#define EVENTS_KEPT 65536
#define STRANGE_ERRNO 4095

/* ---- Timing ----------------------------------------------------------------------------------- */

struct hn_timing hn_call_begin(struct hn_target *target, enum hn_call call, int bound_ms)
{
    struct hn_timing timing = {target, call, bound_ms, hn_clock_ns()};
    errno = STRANGE_ERRNO; /* last: the call must leave it alone */
    return timing;
}

void hn_call_end(const struct hn_timing *timing, int code, uint32_t task)
{
    bool clobbered = timing->target->options->sabotage == HN_SABOTAGE_CLOBBER_ERRNO;
    int error = clobbered ? EAGAIN : errno;
    uint64_t took_ns = hn_clock_ns() - timing->begun_ns;
    struct hn_world *world = timing->target->world;
    if (error != STRANGE_ERRNO)
        hn_findings_add(&world->findings, HN_I11_HOST, hn_call_name(timing->call),
                        "errno as it was", "errno %d after it returned %d", error, code);
    bool often = timing->call == HN_CALL_STATS || timing->call == HN_CALL_DISPATCH;
    if (often && took_ns < (uint64_t)timing->bound_ms * HN_MS)
        return; /* hundreds a second, all alike */
    struct hn_record record = hn_record_of(HN_CALL);
    record.task = task;
    record.code = code;
    record.signal = timing->bound_ms;
    record.time_ns = timing->begun_ns + took_ns; /* so that it tells when it began */
    record.a = (uint64_t)timing->call;
    record.b = took_ns;
    hn_sabotage_call(timing->target->options->sabotage, &record);
    hn_history_append(&world->history, &record);
}

/* ---- Commands --------------------------------------------------------------------------------- */

static int do_shutdown(struct hn_target *target, uint32_t flags, int deadline_ms)
{
    int bound_ms = SHUTDOWN_SLACK_MS;
    if (flags & LIBPOOL_WAIT)
        bound_ms = deadline_ms < 0 ? -1 : deadline_ms + SHUTDOWN_SLACK_MS;
    target->shut = true;
    struct hn_timing timing = hn_call_begin(target, HN_CALL_SHUTDOWN, bound_ms);
    int rc = libpool_shutdown(target->pool, flags, deadline_ms);
    hn_call_end(&timing, rc, HN_NONE);
    return rc;
}

static int do_recycle(struct hn_target *target, uint32_t parallel)
{
    if (target->options->sabotage == HN_SABOTAGE_RECYCLE_ALL)
        parallel = UINT32_MAX;
    struct hn_timing timing = hn_call_begin(target, HN_CALL_RECYCLE, SHUTDOWN_SLACK_MS);
    int rc = libpool_recycle(target->pool, parallel);
    hn_call_end(&timing, rc, HN_NONE);
    return rc;
}

static int do_dress(struct hn_target *target)
{
    const libpool_outfit *wearing = hn_outfit_is_any(&target->options->outfit)
                                        ? &target->outfit.outfit
                                        : NULL;
    target->dressed++;
    if (target->options->sabotage == HN_SABOTAGE_NO_DRESS)
        return 0;
    struct hn_timing timing = hn_call_begin(target, HN_CALL_SET_OUTFIT, SHUTDOWN_SLACK_MS);
    int rc = hn_outfit_change(target->pool, wearing, target->dressed);
    hn_call_end(&timing, rc, HN_NONE);
    return rc;
}

static int do_drain(struct hn_target *target, uint64_t deadline_ns)
{
    int left_ms = hn_clock_left_ms(deadline_ns);
    struct hn_timing timing = hn_call_begin(target, HN_CALL_DRAIN, left_ms + SHUTDOWN_SLACK_MS);
    int rc = libpool_drain(target->pool, left_ms);
    hn_call_end(&timing, rc, HN_NONE);
    return rc;
}

static int do_stats(struct hn_target *target)
{
    libpool_stats *answer = &target->world->answer;
    memset(answer, 0, sizeof *answer);
    answer->size = sizeof *answer;
    struct hn_timing timing = hn_call_begin(target, HN_CALL_STATS, SHUTDOWN_SLACK_MS);
    int rc = libpool_stats_read(target->pool, answer);
    hn_call_end(&timing, rc, HN_NONE);
    hn_clients_read_stats(target);
    if (target->options->sabotage == HN_SABOTAGE_COUNT_OTHERWISE ||
        target->options->sabotage == HN_SABOTAGE_WEAR_OUT)
        hn_sabotage_stats(target->options->sabotage, answer);
    return rc;
}

static int do_fill_fds(struct hn_target *target)
{
    if (target->filled_count)
        return 0;
    target->filled_count = hn_fill_fds(target->filled_fds, HN_FDS_MAX);
    return target->filled_count;
}

static int do_empty_fds(struct hn_target *target)
{
    for (int i = 0; i < target->filled_count; i++)
        close(target->filled_fds[i]);
    target->filled_count = 0;
    return 0;
}

/* No other call on the pool may be under way when it is closed: our own threads leave it first. */
static void leave_pool(struct hn_target *target)
{
    pthread_mutex_lock(&target->lock);
    target->leaving = true;
    bool submitting = target->submitting > 0 || !target->loaded;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->lock);
    if (submitting)
        do_shutdown(target, LIBPOOL_CANCEL, -1); /* frees a submit that waits for room */
    pthread_join(target->loader, NULL);
    pthread_mutex_lock(&target->lock);
    while (target->submitting)
        pthread_cond_wait(&target->changed, &target->lock);
    pthread_mutex_unlock(&target->lock);
    atomic_store(&target->stopping, 1);
    hn_futex_wake(&target->stopping);
    if (target->options->driven)
        hn_target_stop_driver(target);
    else
        pthread_join(target->observer, NULL);
    pthread_join(target->sampler, NULL);
    hn_target_ring(target); /* nobody else does from here on */
    if (target->options->thief)
        pthread_join(target->thief, NULL);
    if (target->options->asides)
        pthread_join(target->aside, NULL);
}

/* The last numbers that the pool gives are read when nobody but us uses it any more. */
static int do_close(struct hn_target *target)
{
    libpool_stats last;
    uint64_t time_ns;
    if (target->closed)
        return -EALREADY;
    target->closed = true;
    leave_pool(target);
    hn_clients_close(target);
    int rc = do_stats(target);
    bool any = hn_sample_read(&target->world->sample, &last, &time_ns);
    if (rc == 0)
        hn_check_books(any ? &last : NULL, &target->world->answer, &target->world->findings);
    struct hn_timing timing = hn_call_begin(target, HN_CALL_CLOSE, CLOSE_BOUND_MS);
    libpool_close(target->pool);
    target->pool = NULL; /* before it is known to be closed */
    hn_call_end(&timing, 0, HN_NONE);
    hn_target_ring(target);
    hn_neighbour_close(target->neighbour);
    rc = rc ? rc : libpool_governor_close(target->governor);
    target->governor = NULL;
    pthread_join(target->collector, NULL);
    for (uint32_t i = 0; i < target->waiters_count; i++)
        pthread_join(target->waiters[i], NULL);
    hn_sabotage_close(target->options->sabotage, target->world);
    return rc;
}

static int do_quit(struct hn_target *target)
{
    pthread_mutex_lock(&target->lock);
    target->quitting = true;
    pthread_mutex_unlock(&target->lock);
    shutdown(target->command_fd, SHUT_RDWR); /* the other hands wake up */
    return 0;
}

static int perform(struct hn_target *target, const struct hn_command *command)
{
    switch ((enum hn_command_kind)command->kind) {
    case HN_COMMAND_SUBMIT:
        return hn_target_submit(target, command->group, &target->options->groups[command->group]);
    case HN_COMMAND_CANCEL:
        if (command->flags)
            return hn_target_cancel_group(target, command->group);
        return hn_target_cancel(target, command->group, command->nth);
    case HN_COMMAND_SHUTDOWN: return do_shutdown(target, command->flags, command->deadline_ms);
    case HN_COMMAND_SETTLE: return hn_target_settle(target, command->deadline_ns);
    case HN_COMMAND_STATS: return do_stats(target);
    case HN_COMMAND_PROBE: return hn_target_probe(target, command->deadline_ns);
    case HN_COMMAND_FILL_FDS: return do_fill_fds(target);
    case HN_COMMAND_EMPTY_FDS: return do_empty_fds(target);
    case HN_COMMAND_DRAIN: return do_drain(target, command->deadline_ns);
    case HN_COMMAND_RECYCLE: return do_recycle(target, command->nth);
    case HN_COMMAND_DRESS: return do_dress(target);
    case HN_COMMAND_UNSERVE:
        return hn_clients_unserve(target, command->flags, command->deadline_ms);
    case HN_COMMAND_NOISE: return hn_clients_noise(target, command->nth);
    case HN_COMMAND_CLOSE: return do_close(target);
    case HN_COMMAND_QUIT: return do_quit(target);
    case HN_COMMANDS: break;
    }
    return -EINVAL;
}

/*
 * A command comes after all that was replied to, whoever performed it, and after the pool was opened; but
 * only the judge knows that, in its own process. Here it takes a lock to see what they have done.
 */
static void catch_up(struct hn_target *target)
{
    pthread_mutex_lock(&target->lock);
    while (!target->opened)
        pthread_cond_wait(&target->changed, &target->lock);
    pthread_mutex_unlock(&target->lock);
}

static void *hand(void *argument)
{
    struct hn_target *target = argument;
    struct hn_command command;
    while (recv(target->command_fd, &command, sizeof command, 0) == (ssize_t)sizeof command) {
        catch_up(target);
        uint64_t begun_ns = hn_clock_ns();
        struct hn_record reply = hn_record_of(HN_REPLY);
        reply.code = perform(target, &command);
        reply.a = command.number;
        reply.b = hn_clock_ns() - begun_ns;
        catch_up(target); /* now others can */
        hn_history_append(&target->world->history, &reply);
    }
    return NULL;
}

/* ---- Beginning and end ------------------------------------------------------------------------ */

/* A file of the build: beside this program, or where it was installed. */
static const char *find_file(char path[HN_PATH_MAX], const char *name)
{
    static const char *const places[] = {"", "../libexec/"};
    char here[HN_PATH_MAX / 2];
    ssize_t length = readlink("/proc/self/exe", here, sizeof here - 1);
    here[length > 0 ? length : 0] = 0;
    char *slash = strrchr(here, '/');
    if (slash)
        slash[1] = 0;
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++)
        if (snprintf(path, HN_PATH_MAX, "%s%s%s", here, places[i], name) < HN_PATH_MAX &&
            access(path, R_OK) == 0)
            return path;
    return name;
}

/* Its workers have nothing of ours: they load our tasks, and are told where the world is. */
static void name_tasks(struct hn_target *target, libpool_options *options)
{
    static char zygote[HN_PATH_MAX], object[HN_PATH_MAX], world[64];
    static const char *const environment[] = {world};
    static const libpool_outfit outfit = {
        .size = sizeof outfit, .environment_count = 1, .environment = environment};
    snprintf(world, sizeof world, HN_WORLD_VARIABLE "=/proc/%d/fd/%d", target->world->judge_pid,
             target->world->memory_fd);
    target->object = find_file(object, "chaos-tasks.so");
    options->zygote_path = find_file(zygote, "libpool-zygote");
    options->object = target->object;
    options->initializer_symbol = options->initializer ? "chaos_initialize" : NULL;
    options->finalizer_symbol = options->finalizer ? "chaos_finalize" : NULL;
    options->initializer = NULL;
    options->finalizer = NULL;
    options->outfit = &outfit;
}

static int open_pool(struct hn_target *target)
{
    const struct hn_target_options *given = target->options;
    libpool_options options = given->pool;
    options.size = sizeof options;
    options.event_buffer = given->event_buffer ? given->event_buffer : EVENTS_KEPT;
    bool initializes = given->initializer != HN_CALLBACK_NONE || given->sandbox;
    options.initializer = initializes ? hn_worker_initialize : NULL;
    options.finalizer = given->finalizer == HN_CALLBACK_NONE ? NULL : hn_worker_finalize;
    options.name = "target";
    if (options.start == LIBPOOL_SPAWN && hn_outfit_is_any(&given->outfit))
        return -ENOTSUP; /* what its workers wear is how they find the world */
    if (options.start == LIBPOOL_SPAWN)
        name_tasks(target, &options);
    bool may = !(options.flags & LIBPOOL_NO_CGROUP) && options.start != LIBPOOL_THREADS;
    if (target->world->pool_cgroup[0] && may)
        options.cgroup = target->world->pool_cgroup;
    int rc = 0;
    if (hn_outfit_is_any(&given->outfit)) {
        rc = hn_outfit_make(&given->outfit, &target->outfit);
        options.outfit = &target->outfit.outfit;
        hn_tasks_bind_outfit(&given->outfit, &target->outfit);
    }
    if (rc)
        return rc;
    hn_tasks_bind(target->world, given->initializer, given->initializer_fails, given->finalizer,
                  &target->pool, given->sabotage);
    if (given->sandbox)
        hn_tasks_bind_sandbox(libpool_sandbox_profile, given->sandbox);
    if (given->governor_limit)
        rc = libpool_governor_open(&target->governor, given->governor_limit);
    if (rc)
        return rc;
    options.governor = target->governor;
    if (given->neighbour)
        rc = hn_neighbour_open(&target->neighbour, given->neighbour, target->governor,
                               given->sabotage, &target->world->findings);
    if (rc)
        return rc;
    hn_sabotage_open(given->sabotage);
    struct hn_timing timing = hn_call_begin(target, HN_CALL_OPEN, OPEN_BOUND_MS);
    rc = libpool_open(&target->pool, &options);
    hn_call_end(&timing, rc, HN_NONE);
    return rc ? rc : hn_clients_serve(target);
}

/* As many as there are tasks to wait for: none of them has to wait for a waiter. */
static int start_waiters(struct hn_target *target)
{
    uint32_t wanted = 0;
    int rc = 0;
    for (uint32_t i = 0; i < target->options->groups_count; i++)
        if (target->options->groups[i].awaited)
            wanted += target->options->groups[i].count;
    while (rc == 0 && target->waiters_count < wanted && target->waiters_count < HN_WAITERS_MAX) {
        rc = pthread_create(&target->waiters[target->waiters_count], NULL, hn_target_waiter,
                            target);
        target->waiters_count += rc == 0;
    }
    return rc;
}

static int start_threads(struct hn_target *target)
{
    int rc = target->options->driven
                 ? hn_target_start_driver(target)
                 : pthread_create(&target->observer, NULL, hn_target_observer, target);
    if (rc == 0)
        rc = pthread_create(&target->sampler, NULL, hn_target_sampler, target);
    if (rc == 0)
        rc = pthread_create(&target->collector, NULL, hn_target_collector, target);
    if (rc == 0)
        rc = start_waiters(target);
    if (rc == 0)
        rc = pthread_create(&target->loader, NULL, hn_target_loader, target);
    if (rc == 0 && target->options->thief)
        rc = pthread_create(&target->thief, NULL, hn_host_thief, target);
    target->asides = (struct hn_asides){&target->stopping, target->options->sabotage,
                                        &target->world->findings};
    if (rc == 0 && target->options->asides)
        rc = pthread_create(&target->aside, NULL, hn_asides_run, &target->asides);
    return -rc;
}

static int start_hands(struct hn_target *target)
{
    int rc = 0;
    for (int i = 0; i < HN_HANDS && rc == 0; i++)
        rc = pthread_create(&target->hands[i], NULL, hand, target);
    return -rc;
}

static void complain(struct hn_target *target, enum hn_clause clause, const char *what, int rc)
{
    hn_findings_add(&target->world->findings, clause, what, "0", "%d (%s)", rc, strerror(-rc));
}

/* Futures outlive their pool; freeing them is the last thing an application does. */
static void free_futures(struct hn_target *target)
{
    uint32_t count = atomic_load(&target->world->tasks_count);
    for (uint32_t task = 0; task < count; task++) {
        hn_target_look_again(target, task);
        hn_target_take_input(target, task);
        libpool_future_free(target->futures[task]);
    }
}

/* A thread that was joined is listed in /proc a moment longer, and the kernel has no event for it. */
static void await_threads(uint32_t wanted)
{
    uint64_t threads = 0, deadline_ns = hn_clock_ns() + HN_S;
    while (hn_process_status(getpid(), "Threads", 10, &threads) == 0 && threads > wanted &&
           hn_clock_ns() < deadline_ns)
        sched_yield();
}

static void finish(struct hn_target *target)
{
    for (int i = 0; i < HN_HANDS; i++)
        pthread_join(target->hands[i], NULL);
    if (!target->closed)
        do_close(target);
    do_empty_fds(target);
    hn_outfit_put_away(&target->options->outfit);
    free_futures(target);
    await_threads(target->world->before.threads);
    hn_snapshot_take(&target->world->after);
    if (hn_host_sigchld_count())
        hn_findings_add(&target->world->findings, HN_I11_HOST, "the application's SIGCHLD handler",
                        "never called", "called %u times", hn_host_sigchld_count());
}

static int init(struct hn_target *target)
{
    pthread_mutex_init(&target->lock, NULL);
    pthread_mutex_init(&target->submissions, NULL);
    pthread_cond_init(&target->changed, NULL);
    target->futures = calloc(HN_TASKS_MAX, sizeof *target->futures);
    target->filled_fds = calloc(HN_FDS_MAX, sizeof *target->filled_fds);
    target->tellers = calloc(HN_TASKS_MAX, sizeof *target->tellers);
    target->kept = calloc(HN_TASKS_MAX, sizeof *target->kept);
    bool all = target->futures && target->filled_fds && target->tellers && target->kept;
    return all ? 0 : -ENOMEM;
}

static int begin(struct hn_target *target)
{
    int rc = hn_host_post_sentinel(target->world);
    if (rc == 0)
        rc = hn_host_prepare(target->options);
    if (rc == 0)
        rc = init(target);
    hn_process_look(getpid(), &target->world->target);
    hn_snapshot_take(&target->world->before);
    if (rc == 0)
        rc = hn_clients_start(target); /* while there is one thread */
    if (rc == 0)
        rc = start_hands(target);
    if (rc)
        complain(target, HN_HARNESS, "the target's start", rc);
    return rc;
}

static void note_opened(struct hn_target *target)
{
    pthread_mutex_lock(&target->lock);
    target->opened = true;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->lock);
}

int hn_target_live(const struct hn_target_options *options, int command_fd)
{
    static struct hn_target target; /* large, and workers need not copy a stack of it */
    target.options = options;
    target.world = options->world;
    target.command_fd = command_fd;
    prctl(PR_SET_NAME, "chaos:target");
    if (begin(&target))
        return 1;
    int rc = open_pool(&target);
    if (rc) {
        complain(&target, HN_I3_LIVENESS, "libpool_open", rc);
        return 1;
    }
    note_opened(&target);
    rc = start_threads(&target);
    if (rc) {
        complain(&target, HN_HARNESS, "the target's threads", rc);
        return 1;
    }
    finish(&target);
    return 0;
}
