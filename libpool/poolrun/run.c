/* SPDX-License-Identifier: MIT */
/*
 * run: one loop that waits for lines, ends of jobs, signals and readers of our output, all at once.
 *
 *     line ---> place ---submit---> job ---end---> print ---> log ---> the place is free
 *                 ^                  |
 *                 +--- retry <-------+
 *
 * There is a place for each job that may run at once, and a task is submitted when there is one, so
 * the pool never has a backlog: what was not submitted was not begun, and that is what stopping means.
 * This thread drives the pool (LIBPOOL_NO_THREAD) and never blocks but in poll: a reader who is slow
 * holds up the jobs that come, not the time limits of those that run. libpool_map would do for a
 * file of lines; it can't wait for a line, a signal and a result at once.
 */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ending.h"
#include "job.h"
#include "order.h"
#include "output.h"
#include "progress.h"
#include "replace.h"

#define FAILED_MAX 100 /* more are exit status 101 */
#define OTHER_FDS 64

struct place {
    uint32_t number; /* {%}, from 1 */
    uint64_t seq;    /* 0: free */
    uint32_t retries;
    struct pr_text line, input, log;
    libpool_future *future;   /* NULL: it has ended, or is free */
    int *last_words;          /* job.h */
    bool was_killed;          /* what is left of it may write for a moment longer */
    int capture[2];           /* --group: the files it writes to; -1: none yet */
    struct pr_lines lines[2]; /* --line-buffer */
};

struct printing {
    bool is_on;
    struct pr_piece pieces[2];
    struct pr_text log;
    struct place *place; /* to be freed then; NULL: none, it waited for its turn */
};

struct run {
    const struct pr_options *options;
    struct pr_input *input;
    struct pr_joblog *log;
    libpool *pool;
    struct place *places;
    int *last_words;           /* one for each place, shared with the workers */
    uint32_t n_places, n_busy; /* not free: running, or to be printed */
    uint64_t seq;              /* of the last line taken */
    bool has_stopped;          /* no more lines are taken: there are none, or we are to stop */
    bool is_stopping;          /* nothing is retried either */
    bool is_broken;            /* what makes the exit status 255 */
    bool kills;                /* all that runs has to go */
    int signal;                /* the one that stopped us */
    int signal_fd;
    struct pr_counts counts;
    struct pr_sinks sinks;
    struct printing printing;
    struct place **ended; /* to be printed, a ring of n_places */
    uint32_t first_ended, n_ended;
    struct pr_order order;
    struct pr_progress progress;
    struct pollfd *polls;
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- telling -------------------------------------------------------------------------------- */

/* Behind what jobs wrote there, and with as little waiting. */
__attribute__((format(printf, 2, 3))) static void say(struct run *run, const char *format, ...)
{
    struct pr_text *text = &run->sinks.waiting[1];
    va_list values;
    pr_progress_clear(&run->progress);
    pr_text_say(text, "poolrun: ");
    va_start(values, format);
    pr_text_say_list(text, format, values);
    va_end(values);
    pr_text_say(text, "\n");
    (void)pr_output_flush(&run->sinks);
}

static void stop(struct run *run, bool kills)
{
    run->has_stopped = run->is_stopping = true;
    run->kills = run->kills || kills;
}

static void break_off(struct run *run, const char *what, int error)
{
    if (!run->is_broken)
        say(run, "%s: %s", what, strerror(-error));
    run->is_broken = true;
    stop(run, true);
}

/* ---- places --------------------------------------------------------------------------------- */

static void close_capture(struct place *place)
{
    for (int stream = 0; stream < 2; stream++) {
        if (place->capture[stream] >= 0)
            (void)close(place->capture[stream]);
        place->capture[stream] = -1;
        pr_output_close_lines(&place->lines[stream]);
    }
}

static int open_capture(const struct pr_options *options, struct place *place)
{
    int error = 0;
    for (int stream = 0; stream < 2 && !error; stream++) {
        if (options->grouping == PR_GROUP && place->capture[stream] < 0) {
            place->capture[stream] = pr_output_temporary();
            error = place->capture[stream] < 0 ? place->capture[stream] : 0;
        } else if (options->grouping == PR_LINE_BUFFER && place->lines[stream].read_fd < 0) {
            error = pr_output_open_lines(&place->lines[stream]);
        }
    }
    return error;
}

/* What there is to print of it. */
static void find_pieces(const struct place *place, struct pr_piece pieces[2])
{
    for (int stream = 0; stream < 2; stream++) {
        struct stat stat;
        int fd = place->capture[stream];
        pieces[stream] = (struct pr_piece){fd, 0, 0};
        if (fd >= 0 && fstat(fd, &stat) == 0)
            pieces[stream].end = stat.st_size;
    }
}

static void empty_capture(struct place *place)
{
    struct pr_piece pieces[2];
    find_pieces(place, pieces);
    for (int stream = 0; stream < 2; stream++)
        if (pieces[stream].end && ftruncate(pieces[stream].fd, 0) < 0)
            close_capture(place);
}

/* For what comes next there. */
static void clean(struct place *place)
{
    if (place->was_killed)
        close_capture(place);
    else
        empty_capture(place);
}

static void free_place(struct run *run, struct place *place)
{
    clean(place);
    place->seq = 0;
    run->n_busy--;
}

/* ---- starting ------------------------------------------------------------------------------- */

static void make_input(struct run *run, struct place *place)
{
    libpool_stats stats = {.size = sizeof stats};
    struct pr_job_values values = {place->line.data, place->seq, place->number};
    struct pr_job_request request = {.host_pid = getpid()};
    (void)libpool_stats_read(run->pool, &stats);
    *place->last_words = 0;
    request.last_words = stats.oom_evidence ? place->last_words : NULL;
    for (int stream = 0; stream < 2; stream++)
        request.out_fd[stream] = run->options->grouping == PR_LINE_BUFFER
                                     ? place->lines[stream].write_fd
                                     : place->capture[stream];
    pr_job_begin_request(&place->input, &request);
    pr_replace_words(&place->input, run->options->command, &values);
}

static void submit(struct run *run, struct place *place)
{
    int error = open_capture(run->options, place);
    if (error) {
        break_off(run, "no file for the output of a job", error);
        return;
    }
    make_input(run, place);
    libpool_task task = {.size = sizeof task,
                         .function = pr_job_run,
                         .input = place->input.data,
                         .input_size = place->input.n,
                         .run_timeout_ms = run->options->timeout_ms,
                         .flags = LIBPOOL_BORROW};
    error = libpool_submit(run->pool, &task, -1, &place->future);
    if (error)
        break_off(run, "a job can't be submitted", error);
    run->counts.running += !error;
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void drain_lines(struct run *run, struct place *place)
{
    if (run->options->grouping != PR_LINE_BUFFER)
        return;
    for (int stream = 0; stream < 2; stream++) {
        int got = 1;
        while (got > 0)
            got = pr_output_read_lines(&place->lines[stream], &run->sinks, stream, true);
        if (got < 0)
            break_off(run, "the output of a job", got);
    }
}

static void write_log_line(struct run *run, struct place *place, const struct pr_ending *ending,
                           double runtime_s)
{
    struct pr_piece pieces[2];
    struct pr_text command = {.data = NULL};
    struct pr_job_values values = {place->line.data, place->seq, place->number};
    pr_text_clear(&place->log);
    if (run->log->fd < 0)
        return;
    find_pieces(place, pieces);
    pr_replace_command(&command, run->options->command, &values);
    pr_joblog_format(&place->log, &(struct pr_joblog_entry){
                                      .seq = place->seq,
                                      .start_s = (double)now_ns(CLOCK_REALTIME) / 1e9 - runtime_s,
                                      .runtime_s = runtime_s,
                                      .received = (uint64_t)(pieces[0].end + pieces[1].end) +
                                                  place->lines[0].bytes + place->lines[1].bytes,
                                      .exit_value = ending->exit_value,
                                      .signal = ending->signal,
                                      .command = command.data,
                                  });
    pr_text_free(&command);
}

static void halt_if_due(struct run *run)
{
    const struct pr_halt *halt = &run->options->halt;
    if (run->is_stopping || !pr_halt_is_reached(halt, run->counts.succeeded, run->counts.failed))
        return;
    stop(run, false);
    say(run,
        "--halt: %" PRIu64 " succeeded, %" PRIu64 " failed: no more are started, %" PRIu64 " %s",
        run->counts.succeeded, run->counts.failed, run->counts.running,
        halt->when == PR_HALT_NOW ? "killed" : "may finish");
    for (uint32_t i = 0; i < run->n_places && halt->when == PR_HALT_NOW; i++)
        if (run->places[i].future)
            (void)libpool_future_cancel(run->places[i].future);
}

/* Into the queue, or with --keep-order into the file of those whose turn has not come. */
static void queue(struct run *run, struct place *place, bool has_anything)
{
    struct pr_piece pieces[2];
    bool waits = run->options->keep_order && (place->seq != run->order.next || !has_anything);
    if (!waits && has_anything) {
        run->ended[(run->first_ended + run->n_ended++) % run->n_places] = place;
        return;
    }
    find_pieces(place, pieces);
    int error = 0;
    if (waits && has_anything && pr_order_keeps(&run->order, pieces))
        place->capture[0] = place->capture[1] = -1; /* the order's now */
    if (waits)
        error = pr_order_hold(&run->order, place->seq, has_anything ? pieces : NULL, &place->log);
    if (error)
        break_off(run, "what waits for its turn can't be kept", error);
    free_place(run, place);
}

static void say_why(struct run *run, const struct place *place, const struct pr_text *why,
                    bool again)
{
    if (why->n)
        say(run, "job %" PRIu64 ": %s%s", place->seq, why->data, again ? "; once more" : "");
}

static void finish(struct run *run, struct place *place, const struct pr_ending *ending,
                   double runtime_s)
{
    if (!ending->is_dropped) {
        run->counts.failed += ending->has_failed;
        run->counts.succeeded += !ending->has_failed;
        write_log_line(run, place, ending, runtime_s);
    }
    queue(run, place, !ending->is_dropped);
    halt_if_due(run);
}

static void end(struct run *run, struct place *place)
{
    const libpool_result *result = libpool_future_result(place->future);
    struct pr_text why = {.data = NULL};
    const char *program = run->options->command[0] ? run->options->command[0] : "sh";
    struct pr_ending ending = pr_ending_of(result, *place->last_words, program, &why);
    bool again = ending.has_failed && !run->is_stopping && place->retries < run->options->retries;
    double runtime_s = (double)result->running_ns / 1e9;
    place->was_killed = result->cause != LIBPOOL_COMPLETED && result->cause != LIBPOOL_ERROR;
    libpool_future_free(place->future);
    place->future = NULL;
    run->counts.running--;
    drain_lines(run, place);
    say_why(run, place, &why, again);
    pr_text_free(&why);
    if (!again) {
        finish(run, place, &ending, runtime_s);
        return;
    }
    clean(place);
    place->retries++;
    submit(run, place);
}

static void collect(struct run *run)
{
    for (uint32_t i = 0; i < run->n_places; i++)
        if (run->places[i].future && libpool_future_result(run->places[i].future))
            end(run, &run->places[i]);
}

/* ---- printing ------------------------------------------------------------------------------- */

static bool begin_printing(struct run *run)
{
    struct printing *printing = &run->printing;
    printing->place = NULL;
    if (run->n_ended) {
        printing->place = run->ended[run->first_ended];
        run->first_ended = (run->first_ended + 1) % run->n_places;
        run->n_ended--;
        find_pieces(printing->place, printing->pieces);
        pr_text_clear(&printing->log);
        pr_text_add(&printing->log, printing->place->log.data, printing->place->log.n);
    } else if (run->options->keep_order) {
        int got = pr_order_take(&run->order, printing->pieces, &printing->log);
        if (got < 0)
            break_off(run, "what waits for its turn can't be read", got);
        return got > 0;
    }
    return printing->place != NULL;
}

/* Only what is out is done: so says the log. */
static void end_printing(struct run *run)
{
    struct printing *printing = &run->printing;
    int error = pr_joblog_append(run->log, printing->log.data, printing->log.n);
    if (error)
        break_off(run, "--joblog", error);
    if (printing->place)
        free_place(run, printing->place);
    if (run->options->keep_order)
        pr_order_advance(&run->order);
    printing->is_on = false;
}

static void print(struct run *run)
{
    struct printing *printing = &run->printing;
    while (!run->kills) {
        if (!printing->is_on)
            printing->is_on = begin_printing(run);
        struct pr_piece nothing[2] = {{.fd = -1}, {.fd = -1}};
        struct pr_piece *pieces = printing->is_on ? printing->pieces : nothing;
        if (pieces[0].end || pieces[1].end || run->sinks.waiting[0].n || run->sinks.waiting[1].n)
            pr_progress_clear(&run->progress);
        int out = pr_output_pump(&run->sinks, pieces);
        if (out < 0)
            break_off(run, "what a job wrote can't be printed", out);
        if (out <= 0 || !printing->is_on)
            return;
        end_printing(run);
    }
}

/* ---- taking --------------------------------------------------------------------------------- */

static void skip(struct run *run)
{
    run->counts.skipped++;
    if (!run->options->keep_order)
        return;
    (void)pr_order_hold(&run->order, run->seq, NULL, NULL);
    print(run);
}

static void begin(struct run *run, const char *line)
{
    struct place *place = run->places;
    while (place->seq)
        place++;
    place->seq = run->seq;
    place->retries = 0;
    place->was_killed = false;
    place->lines[0].bytes = place->lines[1].bytes = 0;
    pr_text_clear(&place->line);
    pr_text_add(&place->line, line, strlen(line));
    run->n_busy++;
    submit(run, place);
}

/* Those that run may finish. */
static void refuse_line(struct run *run, int error)
{
    const char *why = strerror(-error);
    if (error == -E2BIG)
        why = "longer than an argument can be";
    else if (error == -EILSEQ)
        why = "it contains a zero byte (is --null meant?)";
    say(run, "line %" PRIu64 ": %s", run->seq + 1, why);
    run->is_broken = true;
    stop(run, false);
}

static bool has_room(const struct run *run)
{
    return !run->has_stopped && run->n_busy < run->n_places &&
           (!run->options->keep_order || pr_order_has_room(&run->order, run->seq + 1));
}

/* True: there is room for more lines than have come. */
static bool take(struct run *run)
{
    const char *line;
    while (has_room(run)) {
        int got = pr_input_next(run->input, &line);
        if (got == PR_INPUT_WAIT)
            return true;
        if (got < 0)
            refuse_line(run, got);
        if (got == PR_INPUT_END)
            run->has_stopped = true;
        if (got != PR_INPUT_LINE)
            return false;
        run->seq++;
        if (pr_joblog_has(run->log, run->seq))
            skip(run);
        else
            begin(run, line);
    }
    return false;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static void receive_signal(struct run *run)
{
    struct signalfd_siginfo info;
    if (read(run->signal_fd, &info, sizeof info) != sizeof info)
        return;
    if (run->signal) {
        stop(run, true);
        return;
    }
    run->signal = (int)info.ssi_signo;
    stop(run, false);
    if (run->counts.running)
        say(run, "no more jobs are started, %" PRIu64 " may finish; once more to kill them",
            run->counts.running);
}

static void read_input(struct run *run)
{
    int error = pr_input_fill(run->input);
    if (error)
        refuse_line(run, error);
}

static void read_lines(struct run *run, struct pollfd *poll)
{
    for (uint32_t i = 0; i < run->n_places; i++)
        for (int stream = 0; stream < 2; stream++, poll++)
            if (poll->revents)
                (void)pr_output_read_lines(&run->places[i].lines[stream], &run->sinks, stream,
                                           false);
}

/* The pipes of the places, unless somebody is slow to read what came out of them. */
static nfds_t add_lines(struct run *run, struct pollfd *poll, bool is_blocked)
{
    if (run->options->grouping != PR_LINE_BUFFER)
        return 0;
    for (uint32_t i = 0; i < run->n_places; i++)
        for (int stream = 0; stream < 2; stream++)
            *poll++ = (struct pollfd){.fd = is_blocked ? -1 : run->places[i].lines[stream].read_fd,
                                      .events = POLLIN};
    return 2 * run->n_places;
}

static void wait_for_events(struct run *run, bool wants_lines)
{
    enum {
        POOL,
        SIGNAL,
        SINK,
        INPUT,
        LINES
    };
    struct pollfd *polls = run->polls;
    int blocked = pr_output_blocked(&run->sinks);
    bool has_more = run->printing.is_on && blocked < 0;
    polls[POOL] = (struct pollfd){.fd = libpool_fd(run->pool), .events = POLLIN};
    polls[SIGNAL] = (struct pollfd){.fd = run->signal_fd, .events = POLLIN};
    polls[SINK] = (struct pollfd){.fd = blocked, .events = POLLOUT};
    polls[INPUT] = (struct pollfd){.fd = wants_lines ? run->input->fd : -1, .events = POLLIN};
    nfds_t n = LINES + add_lines(run, &polls[LINES], blocked >= 0);
    int wait_ms = pr_progress_draw(&run->progress, &run->counts, now_ns(CLOCK_MONOTONIC));
    if (poll(polls, n, has_more ? 0 : wait_ms) <= 0)
        return;
    if (polls[SIGNAL].revents)
        receive_signal(run);
    if (polls[POOL].revents)
        (void)libpool_dispatch(run->pool);
    if (polls[INPUT].revents)
        read_input(run);
    if (n > LINES)
        read_lines(run, &polls[LINES]);
}

static bool is_done(const struct run *run)
{
    bool all_out = !run->printing.is_on && !run->n_ended && !run->order.n_held &&
                   pr_output_blocked(&run->sinks) < 0;
    return run->has_stopped && !run->counts.running && all_out;
}

static void loop(struct run *run)
{
    for (;;) {
        collect(run);
        print(run);
        bool wants_lines = take(run);
        if (run->kills || is_done(run))
            return;
        wait_for_events(run, wants_lines);
    }
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* What was ignored when we came stays so: nohup, and jobs of a shell in the background. */
static int catch_signals(void)
{
    static const int caught[] = {SIGINT, SIGTERM};
    struct sigaction action;
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        if (sigaction(caught[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            (void)sigaddset(&set, caught[i]);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* For us, not for the jobs: *limit is what they had. */
static bool raise_limit(struct run *run, libpool_limit *limit)
{
    struct rlimit files;
    rlim_t wanted = OTHER_FDS + run->n_places * (run->options->grouping == PR_GROUP ? 4ul : 6ul);
    if (run->options->keep_order)
        wanted += 2 * PR_ORDER_KEEPS_MAX;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= wanted)
        return false;
    *limit = (libpool_limit){RLIMIT_NOFILE, files.rlim_cur, files.rlim_max};
    files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
    return setrlimit(RLIMIT_NOFILE, &files) == 0;
}

static int open_pool(struct run *run)
{
    libpool_limit limit;
    libpool_outfit outfit = {.size = sizeof outfit};
    if (raise_limit(run, &limit))
        outfit.limits = &limit, outfit.limits_count = 1;
    libpool_options options = {.size = sizeof options,
                               .flags = LIBPOOL_NO_THREAD,
                               .max_workers = run->n_places,
                               .backlog_tasks = run->n_places,
                               .name = "poolrun",
                               .outfit = &outfit,
                               .memory_limit_bytes = run->options->memory_bytes};
    int error = libpool_open(&run->pool, &options);
    if (error)
        say(run, "no pool of %" PRIu32 " workers: %s", run->n_places, strerror(-error));
    return error;
}

static void prepare(struct run *run)
{
    const struct pr_options *options = run->options;
    run->n_places = options->jobs ? options->jobs : libpool_default_workers();
    run->places = pr_text_zeros(run->n_places, sizeof *run->places);
    run->last_words = mmap(NULL, run->n_places * sizeof(int), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    run->ended = pr_text_zeros(run->n_places, sizeof(void *));
    run->polls = pr_text_zeros(OTHER_FDS + 2 * (size_t)run->n_places, sizeof *run->polls);
    for (uint32_t i = 0; i < run->n_places; i++) {
        struct place *place = &run->places[i];
        place->number = i + 1;
        place->last_words = &run->last_words[i];
        for (int stream = 0; stream < 2; stream++) {
            place->capture[stream] = -1;
            place->lines[stream].read_fd = place->lines[stream].write_fd = -1;
        }
    }
    if (options->keep_order)
        pr_order_open(&run->order);
    pr_output_open(&run->sinks);
    pr_progress_open(&run->progress, options->progress, now_ns(CLOCK_MONOTONIC));
    run->signal_fd = catch_signals();
}

static void clear_up(struct run *run)
{
    for (uint32_t i = 0; i < run->n_places; i++) {
        struct place *place = &run->places[i];
        libpool_future_free(place->future);
        close_capture(place);
        pr_text_free(&place->line);
        pr_text_free(&place->input);
        pr_text_free(&place->log);
    }
    if (run->options->keep_order)
        pr_order_close(&run->order);
    pr_text_free(&run->printing.log);
    pr_output_close(&run->sinks);
    if (run->signal_fd >= 0)
        (void)close(run->signal_fd);
    if (run->last_words != MAP_FAILED)
        (void)munmap(run->last_words, run->n_places * sizeof(int));
    free(run->places);
    free(run->ended);
    free(run->polls);
}

static int exit_status(const struct run *run)
{
    if (run->signal)
        return 128 + run->signal;
    if (run->is_broken)
        return PR_FAILED;
    return run->counts.failed > FAILED_MAX ? FAILED_MAX + 1 : (int)run->counts.failed;
}

int pr_run(const struct pr_options *options, struct pr_input *input, struct pr_joblog *log)
{
    struct run run = {.options = options, .input = input, .log = log};
    prepare(&run);
    if (run.last_words == MAP_FAILED)
        say(&run, "no shared memory: %s", strerror(errno));
    run.is_broken = run.last_words == MAP_FAILED || open_pool(&run) != 0;
    if (!run.is_broken)
        loop(&run);
    if (run.kills)
        (void)libpool_shutdown(run.pool, LIBPOOL_CANCEL, 0);
    pr_progress_clear(&run.progress);
    libpool_close(run.pool);
    clear_up(&run);
    return exit_status(&run);
}

int pr_run_dry(const struct pr_options *options, struct pr_input *input,
               const struct pr_joblog *log)
{
    struct pr_text command = {.data = NULL};
    const char *line;
    uint64_t seq = 0;
    int got;
    while ((got = pr_input_next(input, &line)) > 0) {
        if (got == PR_INPUT_WAIT && (got = pr_input_fill(input)) < 0)
            break;
        if (got != PR_INPUT_LINE || pr_joblog_has(log, ++seq))
            continue;
        pr_text_clear(&command);
        pr_replace_command(&command, options->command, &(struct pr_job_values){line, seq, 1});
        (void)puts(command.data);
    }
    pr_text_free(&command);
    if (got < 0)
        (void)fprintf(stderr, "poolrun: line %" PRIu64 ": %s\n", seq + 1, strerror(-got));
    return got < 0 || fflush(stdout) != 0 ? PR_FAILED : 0;
}
