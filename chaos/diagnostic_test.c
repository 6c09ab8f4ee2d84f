/* SPDX-License-Identifier: MIT */
/*
 * Each bad line is put into a scenario that is fine without it. What has to come out is one
 * diagnostic, at that place, with those words: a second one would be a mistake that causes others.
 */
#include "chaos/diagnostic.h"

#include <stdlib.h>
#include <string.h>

#include "chaos/parse.h"
#include "harness/test.h"

static const char *const good_lines[] = {
    "chaos 1",                                                       /* 1 */
    "scenario \"a property\"",                                       /* 2 */
    "  limit 20s",                                                   /* 3 */
    "pool p workers=4 initializer=ok",                               /* 4 */
    "load",                                                          /* 5 */
    "  submit 10 task=noop as good",                                 /* 6 */
    "  submit 2 task=sleep work=1ms run-timeout=10ms as slow",       /* 7 */
    "timeline",                                                      /* 8 */
    "  on task-start of=good as w : kill worker=w signal=KILL as k", /* 9 */
    "  on worker-exited of=w : expect cause=killed signal=KILL",     /* 10 */
    "expect",                                                        /* 11 */
    "  counter tasks_received == 12",                                /* 12 */
};
#define GOOD_LINES (sizeof(good_lines) / sizeof(good_lines[0]))

enum how {
    REPLACE, /* the good line of that number */
    BEFORE,  /* is put in front of it */
    AFTER    /* is put behind it */
};

struct bad_line {
    enum how how;
    unsigned number;
    const char *text;
    unsigned line, column;
    const char *words;
};

static const struct bad_line bad_lines[] = {
    /* the frame */
    {REPLACE, 1, "chaos 2", 1, 7, "knows version 1 of the language, not '2'"},
    {REPLACE, 1, "chaos", 1, 6, "not the end of the line"},
    {REPLACE, 1, "chaos 1 2", 1, 9, "expected the end of the line, not '2'"},
    {REPLACE, 1, "# nothing", 2, 1, "the first line has to be 'chaos 1'"},
    {BEFORE, 1, "  submit 1 task=noop", 1, 3, "the first line has to be 'chaos 1'"},
    {REPLACE, 2, "scenaro \"a property\"", 2, 1, "did you mean 'scenario'?"},
    {REPLACE, 2, "scenario a property", 2, 10, "expected the property in quotes, not 'a'"},
    {REPLACE, 2, "scenario \"\"", 2, 10, "the property is empty"},
    {REPLACE, 2, "scenario \"a property", 2, 10, "no closing '\"'"},
    {AFTER, 2, "  neds memcg", 3, 3, "did you mean 'needs'?"},
    {AFTER, 2, "  needs memgc", 3, 9, "'memgc' is not a capability, did you mean 'memcg'?"},
    {AFTER, 2, "  needs", 3, 8, "expected a capability, not the end of the line"},
    {AFTER, 2, "  needs root root", 3, 14, "'root' is needed already"},
    {AFTER, 2, "  needs root user", 3, 14, "would always be skipped"},
    {REPLACE, 3, "  limit 20", 3, 9, "'limit' needs a unit: 20ms, for example"},
    {REPLACE, 3, "  limit 20sec", 3, 9, "'sec' is not a unit of time"},
    {REPLACE, 3, "  limit 1.5s", 3, 9, "a whole number of us, ms, s or min"},
    {REPLACE, 3, "  limit 020s", 3, 9, "leading zero"},
    {REPLACE, 3, "  limit 1us", 3, 9, "has to be 100ms..60min, not 1us"},
    {REPLACE, 3, "  limit 99999999999999999999min", 3, 9, "has to be 100ms..60min"},
    {AFTER, 3, "  limit 5s", 4, 3, "'limit' is given twice"},
    {AFTER, 12, "load", 13, 1, "'load' is there already: line 5"},
    {AFTER, 4, "matrix how = a | b", 5, 1, "'matrix' has to stand before 'pool' (line 4)"},
    {AFTER, 4, "  submit 1 task=noop", 5, 3, "'pool' has no lines below it"},

    /* bytes */
    {REPLACE, 6, "\tsubmit 10 task=noop as good", 6, 1, "a tab; use spaces"},
    {AFTER, 6, "  submit 1\ttask=noop", 7, 11, "a tab; use spaces"},
    {AFTER, 6, "  submit 1 task=noop\r", 7, 21, "a carriage return"},
    {AFTER, 6, "  submit 1 \xff", 7, 12, "not UTF-8"},
    {AFTER, 6, "  submit 1 task=noop \x01", 7, 22, "a control character"},
    {AFTER, 6, "  submit 1 task=noop & more", 7, 22, "'&' means nothing here"},
    {AFTER, 6, "  submit 1 task=n\xc3\xb6\xc3\xb6p", 7, 18, "means nothing here"},
    {AFTER, 6, "  submit 1 task=$kind", 7, 17, "there is no matrix"},

    /* pool, host */
    {REPLACE, 4, "pool workers=4 initializer=ok", 4, 6, "expected the pool's name"},
    {REPLACE, 4, "pool P initializer=ok", 4, 6, "'P' can't be a name"},
    {REPLACE, 4, "pool p worker=4 initializer=ok", 4, 8,
     "'pool' has no key 'worker', did you mean 'workers'?"},
    {REPLACE, 4, "pool p retry=4 initializer=ok", 4, 8, "'pool' has no key 'retry'"},
    {REPLACE, 4, "pool p workers=4 initializer=ok clients=0", 4, 41, "has to be 1..16, not 0"},
    {REPLACE, 4, "pool p initializer=ok clients=2", 4, 1, "no client submits a task"},
    {REPLACE, 4, "pool p initializer=ok client-policy=drop", 4, 37, "can't be 'drop'"},
    {REPLACE, 4, "pool p initializer=ok client-policy=finish", 4, 1, "nothing without clients"},
    {REPLACE, 4, "pool p initializer=ok client-window=1", 4, 1, "nothing without clients"},
    {REPLACE, 6, "  submit 10 task=noop client=1 as good", 6, 3, "the pool has 0 clients"},
    {REPLACE, 6, "  submit 10 task=noop client=17 as good", 6, 30, "has to be 1..16, not 17"},
    {AFTER, 8, "  at 5ms : kill client=1 signal=KILL", 9, 12, "the pool has 0 clients"},
    {AFTER, 8, "  at 5ms : kill client=1 host signal=KILL", 9, 17, "takes one victim"},
    {AFTER, 8, "  at 5ms : unserve mode=kill", 9, 12, "the pool has 0 clients"},
    {AFTER, 8, "  at 5ms : unserve", 9, 12, "'unserve' needs"},
    {AFTER, 8, "  at 5ms : noise connections=1", 9, 12, "the pool has 0 clients"},
    {AFTER, 8, "  at 5ms : noise connections=0", 9, 30, "has to be 1..1000, not 0"},
    {REPLACE, 4, "pool p workers=4 workers=5 initializer=ok", 4, 18, "'workers' is given twice"},
    {REPLACE, 4, "pool p workers=0 initializer=ok", 4, 16, "has to be 1..1024, not 0"},
    {REPLACE, 4, "pool p workers=4x initializer=ok", 4, 16, "has to be a plain number, not '4x'"},
    {REPLACE, 4, "pool p workers=1e3 initializer=ok", 4, 16, "a plain number, not '1e3'"},
    {REPLACE, 4, "pool p workers=-1 initializer=ok", 4, 16, "has to be a number, not '-1'"},
    {REPLACE, 4, "pool p workers = 4 initializer=ok", 4, 16, "no spaces around the '='"},
    {REPLACE, 4, "pool p workers initializer=ok", 4, 16, "expected '=' behind 'workers'"},
    {REPLACE, 4, "pool p initializer=ok workers=", 4, 31, "'workers' needs a value"},
    {REPLACE, 4, "pool p initializer=ok workers==4", 4, 30, "expected '=' behind 'workers'"},
    {REPLACE, 4, "pool p workers=4 max-workers=5 initializer=ok", 4, 18, "exclude each other"},
    {REPLACE, 4, "pool p min-workers=9 max-workers=5 initializer=ok", 4, 20,
     "min-workers=9 is more than max-workers=5"},
    {REPLACE, 4, "pool p idle-timeout=5 initializer=ok", 4, 21, "'idle-timeout' needs a unit"},
    {REPLACE, 4, "pool p idle-timeout=1500us initializer=ok", 4, 21, "whole milliseconds"},
    {REPLACE, 4, "pool p backlog-bytes=5MB initializer=ok", 4, 22,
     "'MB' is not a unit of size, did you mean 'MiB'?"},
    {REPLACE, 4, "pool p backoff=50ms initializer=ok", 4, 16, "a range LOW..HIGH"},
    {REPLACE, 4, "pool p backoff=50ms..10ms initializer=ok", 4, 16, "ends before it begins"},
    {REPLACE, 4, "pool p backoff=50ms..400 initializer=ok", 4, 22, "needs a unit"},
    {REPLACE, 4, "pool p initializer=fial", 4, 20, "'initializer' can't be 'fial'"},
    {REPLACE, 4, "pool p initializer=fail-0", 4, 20, "the N of 'fail-N' has to be 1.."},
    {REPLACE, 4, "pool p exclusive=maybe initializer=ok", 4, 18, "'exclusive' can't be 'maybe'"},
    {REPLACE, 4, "pool p finalizer-timeout=1s initializer=ok", 4, 8,
     "means nothing without finalizer=..."},
    {REPLACE, 4, "pool p initializer=ok quarantine=1s", 4, 23,
     "'quarantine' means nothing without quarantine-deaths=..."},
    {REPLACE, 4, "pool p recycle-jitter=5 initializer=ok", 4, 8,
     "means nothing without max-age=... or tasks-per-worker=..."},
    {REPLACE, 4, "pool p initializer=ok start=threads trace=yes", 4, 37,
     "'trace=yes' and 'start=threads' exclude each other: that is for start=fork and start=spawn"},
    {REPLACE, 4, "pool p memory-limit=64MiB initializer=ok start=threads", 4, 42,
     "'memory-limit=64MiB' and 'start=threads' exclude each other"},
    {REPLACE, 4, "pool p nice=1 start=spawn initializer=ok", 4, 15,
     "'nice=1' and 'start=spawn' exclude each other: that is for start=fork"},
    {REPLACE, 4, "pool p sandbox=compute start=spawn initializer=ok", 4, 24,
     "'sandbox=compute' and 'start=spawn' exclude each other"},
    {REPLACE, 4, "pool p governor=9 spare-workers=1 initializer=ok", 4, 19,
     "'governor=9' and 'spare-workers=1' exclude each other: a governor has no places"},
    {REPLACE, 4, "pool p callbacks=stall driven=yes initializer=ok", 4, 24,
     "'callbacks=stall' and 'driven=yes' exclude each other: it would hold the loop"},
    {REPLACE, 4, "pool p min-workers=3 governor=4 neighbour=2 initializer=ok", 4, 31,
     "governor=4 is less than what is reserved: 3 for this pool, 2 for its neighbour"},
    {AFTER, 4, "host", 5, 5, "'host' needs at least one key"},
    {AFTER, 4, "host deny=clone3", 5, 1, "write 'needs seccomp'"},
    {AFTER, 4, "host deny-errno=EPERM", 5, 1, "means nothing without deny=..."},
    {AFTER, 6, "  submit 1 task=segv retries=1", 7, 3, "go together"},
    {AFTER, 6, "  submit 1 task=segv retry-on=crash", 7, 3, "go together"},
    {AFTER, 6, "  submit 1 task=segv works-at=2", 7, 3, "means nothing without retries"},
    {AFTER, 4, "host sabotage=lose-end", 5, 1, "for scenarios with a 'must-fail' line"},
    {AFTER, 4, "host sigchld=block", 5, 14, "'sigchld' can't be 'block'"},

    /* load */
    {AFTER, 6, "  sumbit 1 task=noop", 7, 3, "did you mean 'submit'?"},
    {AFTER, 6, "  submit task=noop", 7, 10, "expected how many tasks"},
    {AFTER, 6, "  submit 0 task=noop", 7, 10, "the number of tasks has to be 1..65000, not 0"},
    {AFTER, 6, "  submit 1", 7, 3, "'submit' needs task=KIND"},
    {AFTER, 6, "  submit 1 task=sleeep work=1ms", 7, 17, "did you mean 'sleep'?"},
    {AFTER, 6, "  submit 1 task=sleep", 7, 3, "'submit task=sleep' needs work=0us..60min"},
    {AFTER, 6, "  submit 1 task=noop work=1ms", 7, 22, "'submit task=noop' has no key 'work'"},
    {AFTER, 6, "  submit 1 task=noop priority=64", 7, 31, "has to be 0..63, not 64"},
    {AFTER, 6, "  submit 1 task=noop as good", 7, 25, "the name 'good' is taken: line 6"},
    {AFTER, 6, "  submit 1 task=noop as busy", 7, 25, "'busy' is a word of the language"},
    {AFTER, 6, "  submit 1 task=noop as", 7, 24, "expected a value behind 'as'"},
    {AFTER, 6, "  submit 1 task=die signal=SIGKILL", 7, 28, "'SIGKILL' is not a signal"},
    {AFTER, 6, "  submit 64999 task=noop", 7, 3, "a scenario has 65000 tasks at most"},
    {AFTER, 6, "  submit 1 task=noop gather=yes batch=any-order", 7, 33,
     "'gather=yes' and 'batch=any-order' exclude each other: a batch has no futures to gather"},
    {AFTER, 6, "  submit 4 task=noop batch=in-order many=2", 7, 37,
     "'many=2' and 'batch=in-order' exclude each other: one way to submit"},
    {AFTER, 6, "  submit 1 task=noop wait=0ms batch=in-order", 7, 31,
     "'wait=0ms' and 'batch=in-order' exclude each other: a batch waits for room by itself"},
    {AFTER, 6, "  submit 1 task=noop input=borrow batch=in-order", 7, 35,
     "'input=borrow' and 'batch=in-order' exclude each other"},
    {AFTER, 6, "  submit 1 task=emit parts=1 bytes=16B batch=any-order", 7, 3,
     "a batch takes no parts, no 'late' and no callbacks"},
    {AFTER, 6, "  submit 1 task=noop halt-failures=2", 7, 22,
     "'halt-failures' means nothing without batch=..."},
    {AFTER, 6, "  submit 1 task=hang soft-signal=TERM", 7, 22,
     "'soft-signal' means nothing without grace=..."},

    /* timeline */
    {AFTER, 9, "  at 5ms kill worker=one signal=KILL", 10, 37, "expected ' : ' and an action"},
    {AFTER, 9, "  at 5 : kill worker=one signal=KILL", 10, 6, "needs a unit"},
    {AFTER, 9, "  at 21s : kill worker=one signal=KILL", 10, 3, "later than the scenario's limit"},
    {BEFORE, 9, "  +5ms : kill worker=one signal=KILL", 9, 3, "no step stands before this one"},
    {AFTER, 9, "  when 5ms : kill worker=one signal=KILL", 10, 3, "'when' is not a trigger"},
    {AFTER, 9, "  every 5ms : kill worker=one signal=KILL", 10, 13, "expected 'for', not ':'"},
    {AFTER, 9, "  on task-strat : kill worker=one signal=KILL", 10, 6,
     "did you mean 'task-start'?"},
    {AFTER, 9, "  on worker-final : kill worker=one signal=KILL", 10, 6,
     "the pool has no finalizer"},
    {AFTER, 9, "  on task-start of=god : kill worker=one signal=KILL", 10, 20,
     "no name 'god' is bound before this line, did you mean 'good'?"},
    {AFTER, 9, "  on task-start of=k : kill worker=one signal=KILL", 10, 20,
     "'k' stands for kill (line 9), not for a group of tasks"},
    {AFTER, 9, "  on worker-ready slot=good.slot : note \"x\"", 10, 24,
     "'good' stands for a group of tasks (line 6), not for a worker"},
    {AFTER, 3, "must-fail I12", 4, 11, "'I12' is not a checker"},
    {AFTER, 3, "must-fail counter tasks", 4, 19, "'tasks' is not a counter"},
    {AFTER, 3, "must-fail task other", 4, 11, "no group of tasks is called 'other'"},
    {AFTER, 9, "  on zygote-lost of=w : kill worker=one signal=KILL", 10, 21, "takes no 'of'"},
    {AFTER, 9, "  on task-start witin 5ms : kill worker=one signal=KILL", 10, 17,
     "did you mean 'within'?"},
    {AFTER, 9, "  on worker-ready slot=w.slto : note \"x\"", 10, 24, "expected NAME.slot"},
    {AFTER, 9, "  at 5ms : kil worker=one signal=KILL", 10, 12, "did you mean 'kill'?"},
    {AFTER, 9, "  at 5ms :", 10, 11, "expected an action, not the end of the line"},
    {AFTER, 9, "  at 5ms : kill worker=bsuy signal=KILL", 10, 24, "did you mean 'busy'?"},
    {AFTER, 9, "  at 5ms : kill worker=0% signal=KILL", 10, 24, "the percentage has to be 1..100"},
    {AFTER, 9, "  at 5ms : kill worker=one", 10, 12, "'kill' needs signal=SIGNAL"},
    {AFTER, 9, "  at 5ms : kill signal=KILL", 10, 12, "needs a victim"},
    {AFTER, 9, "  at 5ms : kill worker=one zygote signal=KILL", 10, 28, "takes one victim"},
    {AFTER, 9, "  at 5ms : kill worker=one signal=KILLL", 10, 35, "did you mean 'KILL'?"},
    {AFTER, 9, "  at 5ms : memcg worker=one limit=32MiB", 10, 12, "write 'needs memcg'"},
    {AFTER, 9, "  at 5ms : fill-fds proc=worker", 10, 12, "a worker held at a gate"},
    {AFTER, 9, "  at 5ms : undo memcg", 10, 17, "there is no 'memcg' before this line"},
    {AFTER, 9, "  at 5ms : undo kill", 10, 17, "'kill' can't be undone"},
    {AFTER, 9, "  at 5ms : undo k", 10, 17, "not for a fault that can be undone"},
    {AFTER, 9, "  at 5ms : cancel good nth=11", 10, 28, "the group 'good' has 10 tasks only"},
    {AFTER, 9, "  at 5ms : shutdown mode=now", 10, 26, "'mode' can't be 'now'"},
    {AFTER, 9, "  at 5ms : note here", 10, 17, "expected the note in quotes"},
    {AFTER, 9, "  at 5ms : settle within 5", 10, 26, "needs a unit"},
    {AFTER, 9, "  at 5ms : expect cause=oom", 10, 19, "the trigger is none"},
    {AFTER, 9, "  on worker-ready : expect cause=oom", 10, 28, "'worker-ready' has no 'cause'"},
    {AFTER, 9, "  on worker-exited : expect cause=omm", 10, 35, "did you mean 'oom'?"},
    {AFTER, 9, "  on worker-ready : expect pid!=5", 10, 33, "NAME.pid"},
    {AFTER, 9, "  on shutdown-done : expect errno=ETIME", 10, 29,
     "say which one, shutdown-done of=NAME"},
    {AFTER, 9, "  at 5ms : kill host signal=KILL", 13, 3, "nobody can read its numbers"},
    {AFTER, 9, "  at 5ms : expect counter tasks_failed 1", 10, 40, "expected '== N'"},

    /* expect */
    {AFTER, 12, "  conter tasks_failed == 1", 13, 3, "did you mean 'counter'?"},
    {AFTER, 12, "  counter tasks_faild == 1", 13, 11, "did you mean 'tasks_failed'?"},
    {AFTER, 12, "  counter tasks_failed = 1", 13, 24, "expected '== N' or 'in A..B because"},
    {AFTER, 12, "  counter tasks_failed <= 1", 13, 24, "expected '== N' or 'in A..B because"},
    {AFTER, 12, "  counter tasks_failed in 1..2", 13, 27, "a range needs a reason"},
    {AFTER, 12, "  counter tasks_failed in 2..1 because \"x\"", 13, 27, "ends before it begins"},
    {AFTER, 12, "  counter tasks_failed in 1..2 because \"\"", 13, 40, "the reason is empty"},
    {AFTER, 12, "  counter tasks_failed == 1 because \"x\"", 13, 29,
     "expected the end of the line"},
    {AFTER, 12, "  counter ended == 1", 13, 11, "'ended' is counted by cause"},
    {AFTER, 12, "  counter ended.crsh == 1", 13, 17,
     "'crsh' is not a cause, did you mean 'crash'?"},
    {AFTER, 12, "  counter tasks_received == 13", 13, 3, "this is said already in line 12"},
    {AFTER, 12, "  fired kil == 1", 13, 9, "no name 'kil' is bound"},
    {AFTER, 12, "  fired memcg == 1", 13, 9, "there is no 'memcg' in the timeline"},
    {AFTER, 12, "  fired note == 1", 13, 9, "'note' is no fault"},
    {AFTER, 12, "  kernel oom_kill == 1", 13, 3, "write 'needs memcg'"},
    {AFTER, 12, "  kernel oom_kil == 1", 13, 10, "did you mean 'oom_kill'?"},
    {AFTER, 12, "  task cause=completed", 13, 8, "expected the name of a group of tasks"},
    {AFTER, 12, "  task good count=5", 13, 3, "'task' needs cause=CAUSE"},
    {AFTER, 12, "  task good cause=completed count=11", 13, 35, "the group has 10 tasks only"},
    {AFTER, 12, "  task good cause=completed late <= 5ms", 13, 29, "no timeout to be late for"},
    {AFTER, 12, "  task slow cause=completed late <= 5ms", 13, 29, "late is who ends as timeout"},
    {AFTER, 12, "  task slow cause=queue-timeout late <= 5ms", 13, 33,
     "late is who ends as timeout"},
    {AFTER, 12, "  task slow cause=timeout late=5ms", 13, 31, "expected '<=' behind 'late'"},
    {AFTER, 12, "  recovery < 5s", 13, 12, "'<' means nothing here"},
    {AFTER, 12, "  recovery == 5s", 13, 12, "expected '<= T'"},
    {AFTER, 12, "  host undead", 13, 8, "expected 'alive' or 'dead'"},
    {AFTER, 12, "  invariant most", 13, 13, "expected 'all', not 'most'"},
    {AFTER, 12, "  invariant all except I12 because \"x\"", 13, 24, "expected I1..I11"},
    {AFTER, 12, "  invariant all except I3", 13, 26, "an exception needs a reason"},
};

/* ---- Helpers ----------------------------------------------------------------------------- */

static char *make_text(const struct bad_line *bad)
{
    size_t used = 0, size = 4096;
    char *text = malloc(size);
    for (unsigned i = 0; i < GOOD_LINES; i++) {
        bool here = i + 1 == bad->number;
        if (here && bad->how != AFTER)
            used += (size_t)snprintf(text + used, size - used, "%s\n", bad->text);
        if (!here || bad->how != REPLACE)
            used += (size_t)snprintf(text + used, size - used, "%s\n", good_lines[i]);
        if (here && bad->how == AFTER)
            used += (size_t)snprintf(text + used, size - used, "%s\n", bad->text);
    }
    return text;
}

/* What the parser prints about a text. */
static char *diagnose(const char *text, size_t size, size_t *count)
{
    char *printed = NULL;
    size_t printed_size;
    struct ch_diagnostics diagnostics;
    struct ch_arena *arena = ch_arena_new();
    struct ch_file *file = ch_parse_text("x.chaos", text, size, arena, &diagnostics);
    FILE *out = open_memstream(&printed, &printed_size);
    ch_diagnostics_print(&diagnostics, out);
    fclose(out);
    *count = diagnostics.count + diagnostics.lost;
    CU_ASSERT_EQUAL(file == NULL, diagnostics.count > 0);
    ch_arena_free(arena);
    return printed;
}

static void check_bad_line(const struct bad_line *bad)
{
    char place[64], failure[512];
    size_t count;
    char *text = make_text(bad);
    char *printed = diagnose(text, strlen(text), &count);
    snprintf(place, sizeof(place), "x.chaos:%u:%u: error: ", bad->line, bad->column);
    bool right = count == 1 && strncmp(printed, place, strlen(place)) == 0 &&
                 strstr(printed, bad->words) != NULL;
    snprintf(failure, sizeof(failure), "%s -> %.300s", bad->text, printed);
    CU_assertImplementation(right, __LINE__, failure, __FILE__, "", CU_FALSE);
    free(printed);
    free(text);
}

/* ---- Tests ------------------------------------------------------------------------------- */

TEST(diagnostic, good_lines_are_good)
{
    size_t count;
    char *text = make_text(&(struct bad_line){.number = 0});
    char *printed = diagnose(text, strlen(text), &count);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_STRING_EQUAL(printed, "");
    free(printed);
    free(text);
}

TEST(diagnostic, each_bad_line_is_one_mistake_at_its_place)
{
    for (size_t i = 0; i < sizeof(bad_lines) / sizeof(bad_lines[0]); i++)
        check_bad_line(&bad_lines[i]);
}

TEST(diagnostic, shows_line_caret_and_what_would_be_right)
{
    static const char text[] = "chaos 1\n"
                               "scenario \"x\"\n"
                               "  needs memcg\n"
                               "pool p\n"
                               "load\n"
                               "  submit 1 task=hog bytes=96MiB as victim\n"
                               "timeline\n"
                               "  on task-start as w : memcg worker=w limt=32MiB # kill it\n"
                               "expect\n"
                               "  invariant all\n";
    static const char wanted[] =
        "x.chaos:8:39: error: 'memcg' has no key 'limt', did you mean 'limit'?\n"
        "    on task-start as w : memcg worker=w limt=32MiB # kill it\n"
        "                                        ^~~~\n"
        "  memcg takes: worker=one|all|busy|idle|starting|retiring|oldest|slot:N|N%|NAME, "
        "limit=1MiB..1024GiB, optional, as NAME\n";
    size_t count;
    char *printed = diagnose(text, sizeof(text) - 1, &count);
    CU_ASSERT_STRING_EQUAL(printed, wanted);
    free(printed);
}

TEST(diagnostic, five_mistakes_are_five_diagnostics_in_order)
{
    static const char text[] = "chaos 1\n"
                               "scenario \"x\"\n"
                               "  limit 20\n"
                               "pool p workers=x\n"
                               "load\n"
                               "  submit 1 task=nop\n"
                               "timeline\n"
                               "  at 1ms : kill worker=one\n"
                               "expect\n"
                               "  counter tasks_received in 1..2\n";
    static const unsigned lines[] = {3, 4, 6, 8, 10};
    size_t count;
    char *printed = diagnose(text, sizeof(text) - 1, &count);
    char *at = printed;
    CU_ASSERT_EQUAL(count, 5);
    for (size_t i = 0; i < 5 && at != NULL; i++) {
        char place[32];
        snprintf(place, sizeof(place), "x.chaos:%u:", lines[i]);
        at = strstr(at, place);
        CU_ASSERT_PTR_NOT_NULL(at);
    }
    free(printed);
}

TEST(diagnostic, twenty_are_shown_and_the_rest_is_counted)
{
    char *text;
    size_t size, count;
    FILE *out = open_memstream(&text, &size);
    fputs("chaos 1\nscenario \"x\"\npool p\nload\n", out);
    for (int i = 0; i < 30; i++)
        fputs("  submit 1 task=nop\n", out);
    fputs("expect\n  invariant all\n", out);
    fclose(out);
    char *printed = diagnose(text, size, &count);
    CU_ASSERT_EQUAL(count, 30);
    CU_ASSERT_PTR_NOT_NULL(strstr(printed, "x.chaos: 10 more errors\n"));
    free(printed);
    free(text);
}

TEST(diagnostic, a_matrix_mistake_is_told_once_and_with_its_value)
{
    static const char text[] = "chaos 1\n"
                               "scenario \"x\"\n"
                               "matrix how = segv | sgev | abort\n"
                               "pool p worker=1 finalizer=$how\n"
                               "expect\n"
                               "  invariant all\n";
    size_t count;
    char *printed = diagnose(text, sizeof(text) - 1, &count);
    CU_ASSERT_EQUAL(count, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(printed, "x.chaos:4:8: error: 'pool' has no key 'worker'"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(printed, "x.chaos:4:27: error: 'finalizer' can't be 'sgev', did you mean 'segv'?"));
    free(printed);
}

TEST(diagnostic, a_matrix_that_changes_nothing_is_a_mistake)
{
    static const char text[] = "chaos 1\n"
                               "scenario \"x, by $start\"\n"
                               "matrix start = fork | spawn\n"
                               "pool p workers=1\n"
                               "expect\n"
                               "  invariant all\n";
    size_t count;
    char *printed = diagnose(text, sizeof(text) - 1, &count);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(printed,
                                  "x.chaos:3:1: error: no line does anything with the matrix: "
                                  "write $start where its value is meant"));
    free(printed);
}

TEST(diagnostic, what_could_not_be_answered_is_not_asked)
{
    static const struct {
        const char *timeline, *expect, *words; /* NULL: it is fine */
    } rows[] = {
        {"  at 5ms : note \"x\"", "  recovery <= 5s", "no fault in the timeline to recover from"},
        {"  at 5ms : kill worker=one signal=KILL optional", "  recovery <= 5s", NULL},
        {"  at 5ms : kill host signal=KILL", "  recovery <= 5s", "nothing recovers"},
        {"  at 5ms : kill host signal=KILL", "  counter tasks_received == 1", "nobody can read"},
        {"  at 5ms : kill host signal=TERM", "  counter tasks_received == 1", "nobody can read"},
        {"  at 5ms : kill host signal=KILL", "  counter zygotes_lost in 0..1 because \"x\"", NULL},
        {"  at 5ms : kill host signal=STOP", "  counter tasks_received == 1", NULL},
        {"  at 5ms : kill host signal=KILL optional", "  counter tasks_received == 1", NULL},
        {"  at 5ms : close\n  +1ms : note \"x\"\n  +1ms : submit 1 task=noop", "  host alive",
         "x.chaos:9:10: error: the pool is closed by then"},
        {"  at 5ms : close\n  +1ms : kill host signal=KILL", "  host dead", NULL},
        {"  at 5ms : close\n  at 1ms : submit 1 task=noop", "  host alive", NULL},
        {"  at 5ms : submit 65 task=hang run-timeout=1s as many",
         "  task many cause=timeout late <= 1s", "64 tasks that emit or are in groups with 'late'"},
        {"  at 5ms : submit 1 task=emit parts=16 bytes=64KiB take=at-the-end", "  host alive",
         "parts=16 would wait for ever for somebody to take them: 15 of these at most"},
        {"  at 5ms : submit 1 task=emit parts=15 bytes=64KiB take=at-the-end", "  host alive",
         NULL},
        {"  at 5ms : submit 1 task=emit parts=16 bytes=64KiB", "  host alive", NULL},
        {"  at 5ms : submit 1 task=emit parts=16 bytes=64KiB take=at-the-end run-timeout=1s",
         "  host alive", NULL},
        {"  at 5ms : submit 1 task=emit parts=16 bytes=64KiB take=at-the-end as e\n  +1s : cancel "
         "e",
         "  host alive", NULL},
        {"  at 5ms : submit 1 task=held as h", "  host alive", "'held' is never released"},
        {"  at 5ms : submit 1 task=held as h\n  +1ms : submit 1 task=held as g\n  +1ms : release g",
         "  host alive", "x.chaos:7:12: error: 'held' is never released"},
        {"  at 5ms : submit 1 task=held as h\n  +1ms : release h", "  host alive", NULL},
        {"  at 5ms : submit 1 task=held as h\n  +1ms : kill zygote signal=KILL", "  host alive",
         "'held' is never released"},
        {"  at 5ms : submit 1 task=held run-timeout=1s", "  host alive", NULL},
        {"  at 5ms : submit 1 task=held as h\n  +1ms : cancel h", "  host alive", NULL},
        {"  at 5ms : submit 1 task=held\n  +1ms : kill worker=one signal=KILL", "  host alive",
         NULL},
        {"  at 5ms : submit 1 task=held\n  +1ms : shutdown mode=kill", "  host alive", NULL},
        {"  at 5ms : submit 65 task=emit parts=1 bytes=16B", "  host alive",
         "64 tasks that emit or are in groups with 'late'"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t count;
        char text[512];
        snprintf(text, sizeof(text),
                 "chaos 1\nscenario \"x\"\npool p\nload\n  submit 1 task=noop\n"
                 "timeline\n%s\nexpect\n%s\n",
                 rows[i].timeline, rows[i].expect);
        char *printed = diagnose(text, strlen(text), &count);
        bool right = rows[i].words == NULL ? count == 0
                                           : count == 1 && strstr(printed, rows[i].words) != NULL;
        CU_assertImplementation(right, __LINE__, rows[i].timeline, __FILE__, "", CU_FALSE);
        free(printed);
    }
}

TEST(diagnostic, what_a_kind_of_worker_can_not_do_is_not_asked_of_it)
{
    static const struct {
        const char *start, *line, *words; /* NULL: it is fine */
    } rows[] = {
        {"fork", "task=call subs=1 depth=1", NULL},
        {"threads", "task=call subs=1 depth=1", NULL},
        {"spawn", "task=call subs=1 depth=1", "6:3: error: 'task=call' is for start=fork and"},
        {"spawn", "task=heed grace=1s soft-signal=TERM", NULL},
        {"threads", "task=heed grace=1s soft-signal=TERM", "are for start=fork and start=spawn"},
        {"threads", "task=noop memory-limit=8MiB", "are for start=fork and start=spawn"},
        {"threads", "task=echo bytes=1KiB input=file", "are for start=fork and start=spawn"},
        {"threads", "task=echo bytes=1KiB input=borrow", NULL},
        {"fork", "task=noop\ntimeline\n  at 1ms : dress", NULL},
        {"spawn", "task=noop\ntimeline\n  at 1ms : dress", "'dress' is for start=fork"},
        {"threads", "task=noop\ntimeline\n  at 1ms : dress", "'dress' is for start=fork"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t count;
        char text[512];
        snprintf(text, sizeof(text),
                 "chaos 1\nscenario \"x\"\n  limit 20s\npool p start=%s\nload\n  submit 1 %s\n"
                 "expect\n  host alive\n",
                 rows[i].start, rows[i].line);
        char *printed = diagnose(text, strlen(text), &count);
        bool right = rows[i].words == NULL ? count == 0
                                           : count == 1 && strstr(printed, rows[i].words) != NULL;
        CU_assertImplementation(right, __LINE__, rows[i].line, __FILE__, "", CU_FALSE);
        free(printed);
    }
}

TEST(diagnostic, a_client_does_what_a_client_can)
{
    static const struct {
        const char *pool, *submit, *words; /* NULL: it is fine */
    } rows[] = {
        {"clients=1", "submit 1 task=noop client=1", NULL},
        {"clients=1", "submit 1 task=noop client=2", "x.chaos:5:3: error: the pool has 1 clients"},
        {"clients=1 driven=yes", "submit 1 task=noop client=1", "their own thread drives"},
        {"clients=1 callbacks=yes", "submit 1 task=noop client=1", "their own thread drives"},
        {"clients=1", "submit 4 task=noop client=1 many=2", "a client submits one by one"},
        {"clients=1", "submit 4 task=noop client=1 batch=in-order", "a client submits one by one"},
        {"clients=1", "submit 1 task=noop client=1 input=file", "a client submits one by one"},
        {"clients=1", "submit 1 task=emit parts=1 bytes=16B client=1", "a client submits one by"},
        {"clients=1", "submit 1 task=noop client=1 as its\ntimeline\n  at 5ms : cancel its",
         "a client's tasks are not the application's"},
        {"clients=1", "submit 1 task=noop client=1\ntimeline\n  at 5ms : stop client=2",
         "x.chaos:7:12: error: the pool has 1 clients"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t count;
        char text[512];
        snprintf(text, sizeof(text),
                 "chaos 1\nscenario \"x\"\npool p %s\nload\n  %s\nexpect\n  host alive\n",
                 rows[i].pool, rows[i].submit);
        char *printed = diagnose(text, strlen(text), &count);
        bool right = rows[i].words == NULL ? count == 0
                                           : count == 1 && strstr(printed, rows[i].words) != NULL;
        CU_assertImplementation(right, __LINE__, rows[i].submit, __FILE__, "", CU_FALSE);
        free(printed);
    }
}

TEST(diagnostic, odd_files_are_refused_in_words)
{
    static const struct {
        const char *text;
        size_t size;
        const char *words;
    } rows[] = {
        {"", 0, "x.chaos:1:1: error: there is nothing in this file"},
        {"\n\n# only this\n", 14, "x.chaos:1:1: error: there is nothing in this file"},
        {"chaos 1", 7, "x.chaos:1:8: error: the last line has no newline"},
        {"chaos 1\n", 8, "x.chaos:1:1: error: there is no 'scenario'"},
        {"chaos 1\nscenario \"x\"\npool p\n", 28, "x.chaos:2:1: error: there is no 'expect'"},
        {"chaos 1\nscenario \"x\"\nexpect\n  host alive\n", 41,
         "x.chaos:2:1: error: there is no 'pool'"},
        {"chaos 1\n\0\0\0\n", 12, "x.chaos:2:1: error: a NUL byte"},
        {"\x7f"
         "ELF\x02",
         5, "x.chaos:1:1: error: a control character"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t count;
        char *printed = diagnose(rows[i].text, rows[i].size, &count);
        bool said = strstr(printed, rows[i].words) != NULL;
        CU_assertImplementation(said, __LINE__, printed, __FILE__, "", CU_FALSE);
        free(printed);
    }
}

TEST(diagnostic, carriage_returns_are_one_mistake_a_file)
{
    char *text;
    size_t size, count;
    FILE *out = open_memstream(&text, &size);
    for (unsigned i = 0; i < GOOD_LINES; i++)
        fprintf(out, "%s\r\n", good_lines[i]);
    fclose(out);
    char *printed = diagnose(text, size, &count);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(printed, "x.chaos:1:8: error: a carriage return"));
    free(printed);
    free(text);
}

TEST(diagnostic, an_endless_line_is_refused_and_not_printed)
{
    size_t size = (size_t)1 << 20, count;
    char *text = malloc(size + 16);
    memcpy(text, "chaos 1\n", 8);
    memset(text + 8, 'x', size);
    text[8 + size] = '\n';
    char *printed = diagnose(text, size + 9, &count);
    CU_ASSERT_PTR_NOT_NULL(strstr(printed, "x.chaos:2:1001: error: the line is longer than 1000"));
    CU_ASSERT(strlen(printed) < 1000);
    free(printed);
    free(text);
}

TEST(diagnostic, the_caret_stands_under_the_character)
{
    static const char text[] = "chaos 1\nscenario \"\xc3\xa4\xc3\xb6\" x\npool p\nexpect\n"
                               "  invariant all\n";
    static const char wanted[] = "x.chaos:2:17: error: expected the end of the line, not 'x'\n"
                                 "  scenario \"\xc3\xa4\xc3\xb6\" x\n"
                                 "                ^\n";
    size_t count;
    char *printed = diagnose(text, sizeof(text) - 1, &count);
    CU_ASSERT_STRING_EQUAL(printed, wanted);
    free(printed);
}

TEST(diagnostic, a_terminal_gets_no_control_bytes)
{
    static const char text[] = "chaos 1\nscenario \"x\" \x1b[31m\xff\n";
    size_t count;
    char *printed = diagnose(text, sizeof(text) - 1, &count);
    for (const char *at = printed; *at != '\0'; at++)
        CU_ASSERT((unsigned char)*at == '\n' || ((unsigned char)*at >= ' ' && *at != 0x7f));
    CU_ASSERT_PTR_NULL(strchr(printed, '\xff'));
    free(printed);
}

TEST(diagnostic, distance_counts_single_edits)
{
    CU_ASSERT_EQUAL(ch_edit_distance("limit", "limit", 3), 0);
    CU_ASSERT_EQUAL(ch_edit_distance("limt", "limit", 3), 1);
    CU_ASSERT_EQUAL(ch_edit_distance("limmit", "limit", 3), 1);
    CU_ASSERT_EQUAL(ch_edit_distance("lamit", "limit", 3), 1);
    CU_ASSERT_EQUAL(ch_edit_distance("ilmit", "limit", 3), 1);
    CU_ASSERT_EQUAL(ch_edit_distance("", "abc", 3), 3);
    CU_ASSERT_EQUAL(ch_edit_distance("kitten", "sitting", 3), 3);
    CU_ASSERT_EQUAL(ch_edit_distance("kitten", "sitting", 2), 3);
    CU_ASSERT_EQUAL(ch_edit_distance("pool", "timeline", 3), 4);
}
