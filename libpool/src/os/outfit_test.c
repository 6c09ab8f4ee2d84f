/* SPDX-License-Identifier: MIT */
/* Mostly through the door: a task tells what its worker wears. */
#include "os/outfit.h"

#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/test.h"

#define COUNT(array_) ((uint32_t)(sizeof(array_) / sizeof((array_)[0])))

struct seen {
    char one[32], two[32], three[32];
    char directory[64];
    struct rlimit core, files;
    int nice;
    mode_t umask;
    cpu_set_t cpus;
    uint32_t slot;
    struct stat stdio[3];
};

static void see_name(const char *name, char value[32])
{
    const char *there = getenv(name);
    (void)snprintf(value, 32, "%s", there ? there : "(unset)");
}

static void look_around(struct seen *seen)
{
    see_name("LIBPOOL_TEST_1", seen->one);
    see_name("LIBPOOL_TEST_2", seen->two);
    see_name("LIBPOOL_TEST_3", seen->three);
    (void)!getcwd(seen->directory, sizeof seen->directory);
    (void)getrlimit(RLIMIT_CORE, &seen->core);
    (void)getrlimit(RLIMIT_NOFILE, &seen->files);
    seen->nice = getpriority(PRIO_PROCESS, 0);
    seen->umask = umask(0);
    (void)umask(seen->umask);
    (void)sched_getaffinity(0, sizeof seen->cpus, &seen->cpus);
    for (int fd = 0; fd < 3; fd++)
        (void)fstat(fd, &seen->stdio[fd]);
}

static int tell(libpool_worker *worker, const void *input, size_t size)
{
    (void)input, (void)size;
    struct seen seen;
    memset(&seen, 0, sizeof seen);
    look_around(&seen);
    seen.slot = libpool_worker_slot(worker);
    return libpool_reply(worker, &seen, sizeof seen);
}

static libpool *open_in(const libpool_outfit *outfit, libpool_initializer *initializer,
                        uint32_t workers)
{
    libpool *pool = NULL;
    libpool_options options = {.size = sizeof options,
                               .min_workers = workers,
                               .max_workers = workers,
                               .initializer = initializer,
                               .initializer_failures = 1,
                               .event_buffer = 256,
                               .outfit = outfit};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    return pool;
}

static libpool_cause ask(libpool *pool, struct seen *seen, int *code)
{
    libpool_future *future = NULL;
    libpool_task task = {.size = sizeof task, .function = tell};
    CU_ASSERT_EQUAL(libpool_submit(pool, &task, -1, &future), 0);
    CU_ASSERT_EQUAL(libpool_future_wait(future, 20000), 0);
    const libpool_result *result = libpool_future_result(future);
    libpool_cause cause = result ? result->cause : LIBPOOL_PENDING;
    *code = result ? result->code : 0;
    if (result && cause == LIBPOOL_INIT_FAILED)
        CU_ASSERT_PTR_NOT_NULL(strstr(result->text, ", code -"));
    memset(seen, 0, sizeof *seen);
    if (cause == LIBPOOL_COMPLETED)
        memcpy(seen, result->data, sizeof *seen);
    libpool_future_free(future);
    return cause;
}

static struct seen see(libpool_outfit outfit)
{
    struct seen seen;
    int code;
    outfit.size = sizeof outfit;
    libpool *pool = open_in(&outfit, NULL, 1);
    CU_ASSERT_EQUAL(ask(pool, &seen, &code), LIBPOOL_COMPLETED);
    libpool_close(pool);
    return seen;
}

/* The code of the initializer that failed. */
static int failure(libpool_outfit outfit)
{
    struct seen seen;
    outfit.size = sizeof outfit;
    libpool *pool = open_in(&outfit, NULL, 1);
    int told;
    CU_ASSERT_EQUAL(ask(pool, &seen, &told), LIBPOOL_INIT_FAILED);
    libpool_event event = {.size = sizeof event};
    int error = libpool_event_next(pool, &event, 20000);
    while (!error && event.kind != LIBPOOL_EVENT_INIT_FAILED)
        error = libpool_event_next(pool, &event, 20000);
    CU_ASSERT_EQUAL(error, 0);
    CU_ASSERT_EQUAL(event.code, told);
    libpool_close(pool);
    return event.code;
}

static bool same_file(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

static bool is_null(const struct stat *file)
{
    struct stat null_file;
    return stat("/dev/null", &null_file) == 0 && same_file(file, &null_file);
}

/* ---- what is worn --------------------------------------------------------------------------- */

TEST(outfit, names_are_set_and_taken_out)
{
    static const char *const environment[] = {"LIBPOOL_TEST_1=a=b", "LIBPOOL_TEST_2",
                                              "LIBPOOL_TEST_3=", "LIBPOOL_TEST_"};
    CU_ASSERT_EQUAL(setenv("LIBPOOL_TEST_1", "application's", 1), 0);
    CU_ASSERT_EQUAL(setenv("LIBPOOL_TEST_2", "application's", 1), 0);
    struct seen seen = see(
        (libpool_outfit){.environment = environment, .environment_count = COUNT(environment)});
    CU_ASSERT_STRING_EQUAL(seen.one, "a=b");
    CU_ASSERT_STRING_EQUAL(seen.two, "(unset)");
    CU_ASSERT_STRING_EQUAL(seen.three, "");
    CU_ASSERT_STRING_EQUAL(getenv("LIBPOOL_TEST_1"), "application's");
    unsetenv("LIBPOOL_TEST_1");
    unsetenv("LIBPOOL_TEST_2");
}

static _Atomic bool enough;

static void *keep_setting(void *unused)
{
    for (int i = 0; !enough; i++)
        (void)setenv("LIBPOOL_TEST_OTHER", i % 2 ? "1" : "2", 1);
    return unused;
}

/* It has the libc's lock for most of its time, so most of the zygotes are forked meanwhile. */
TEST(outfit, names_are_set_although_a_thread_was_just_setting_another)
{
    static const char *const environment[] = {"LIBPOOL_TEST_1=a"};
    pthread_t thread;
    enough = false;
    CU_ASSERT_EQUAL(setenv("LIBPOOL_TEST_OTHER", "0", 1), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, keep_setting, NULL), 0);
    for (int i = 0; i < 10; i++) {
        struct seen seen = see(
            (libpool_outfit){.environment = environment, .environment_count = 1});
        CU_ASSERT_STRING_EQUAL(seen.one, "a");
    }
    enough = true;
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_EQUAL(unsetenv("LIBPOOL_TEST_OTHER"), 0);
}

TEST(outfit, limits_are_set)
{
    const libpool_limit limits[] = {{RLIMIT_NOFILE, 100, 200}, {RLIMIT_CORE, 0, 4096}};
    struct seen seen = see((libpool_outfit){.limits = limits, .limits_count = COUNT(limits)});
    CU_ASSERT_EQUAL(seen.files.rlim_cur, 100);
    CU_ASSERT_EQUAL(seen.files.rlim_max, 200);
    CU_ASSERT_EQUAL(seen.core.rlim_cur, 0);
    CU_ASSERT_EQUAL(seen.core.rlim_max, 4096);
}

TEST(outfit, an_unlimited_limit_is_one)
{
    const libpool_limit limits[] = {{RLIMIT_CORE, 7, LIBPOOL_UNLIMITED}};
    struct rlimit ours;
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_CORE, &ours), 0);
    if (ours.rlim_max != RLIM_INFINITY) {
        hn_test_skip("core files are limited here");
        return;
    }
    struct seen seen = see((libpool_outfit){.limits = limits, .limits_count = 1});
    CU_ASSERT_EQUAL(seen.core.rlim_cur, 7);
    CU_ASSERT_EQUAL(seen.core.rlim_max, RLIM_INFINITY);
}

TEST(outfit, niceness_is_added)
{
    int ours = getpriority(PRIO_PROCESS, 0);
    int expected = ours + 3 < 19 ? ours + 3 : 19;
    CU_ASSERT_EQUAL(see((libpool_outfit){.nice = 3}).nice, expected);
    CU_ASSERT_EQUAL(getpriority(PRIO_PROCESS, 0), ours);
}

TEST(outfit, the_umask_counts_with_its_flag_even_if_it_is_0)
{
    mode_t ours = umask(026);
    CU_ASSERT_EQUAL(see((libpool_outfit){.nice = 1}).umask, 026);
    CU_ASSERT_EQUAL(see((libpool_outfit){.flags = LIBPOOL_SET_UMASK}).umask, 0);
    CU_ASSERT_EQUAL(see((libpool_outfit){.flags = LIBPOOL_SET_UMASK, .umask = 0751}).umask, 0751);
    CU_ASSERT_EQUAL(umask(ours), 026);
}

TEST(outfit, the_directory_is_changed)
{
    CU_ASSERT_STRING_EQUAL(see((libpool_outfit){.directory = "/proc"}).directory, "/proc");
}

TEST(outfit, streams_lead_nowhere_when_asked_for)
{
    struct stat output;
    CU_ASSERT_EQUAL(fstat(1, &output), 0);
    struct seen seen = see((libpool_outfit){.stdio = {[2] = LIBPOOL_STDIO_NULL}});
    CU_ASSERT_TRUE(is_null(&seen.stdio[0]));
    CU_ASSERT_TRUE(same_file(&seen.stdio[1], &output));
    CU_ASSERT_TRUE(is_null(&seen.stdio[2]));
}

/* In a child, whose descriptors are its own: 0 and 1 are a pipe's ends here. */
TEST_IN_CHILD(outfit, standard_input_is_inherited_when_asked_for, 20000, TEST_EXIT(0))
{
    int ends[2];
    struct stat theirs;
    if (pipe(ends) != 0 || dup2(ends[0], 0) != 0 || dup2(ends[1], 1) != 1 || fstat(0, &theirs))
        return 1;
    struct seen seen = see((libpool_outfit){.stdio = {LIBPOOL_STDIO_INHERIT, LIBPOOL_STDIO_NULL}});
    if (!same_file(&seen.stdio[0], &theirs))
        return 2;
    if (!is_null(&seen.stdio[1]))
        return 3;
    seen = see((libpool_outfit){.nice = 1});
    return is_null(&seen.stdio[0]) && same_file(&seen.stdio[1], &theirs) ? 0 : 4;
}

/* ---- CPUs ----------------------------------------------------------------------------------- */

static uint32_t two_cpus(uint32_t cpus[2])
{
    cpu_set_t set;
    uint32_t n = 0;
    CU_ASSERT_EQUAL(sched_getaffinity(0, sizeof set, &set), 0);
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
        if (CPU_ISSET(cpu, &set))
            cpus[n++] = cpu;
    return n;
}

TEST(outfit, all_workers_have_the_cpus)
{
    uint32_t cpus[3];
    if (two_cpus(cpus) < 2) {
        hn_test_skip("there is one CPU only");
        return;
    }
    struct seen seen = see((libpool_outfit){.cpus = &cpus[1], .cpus_count = 1});
    CU_ASSERT_EQUAL(CPU_COUNT(&seen.cpus), 1);
    CU_ASSERT_TRUE(CPU_ISSET(cpus[1], &seen.cpus));
    cpus[2] = 8191; /* is not there, but others are */
    seen = see((libpool_outfit){.cpus = cpus, .cpus_count = 3});
    CU_ASSERT_EQUAL(CPU_COUNT(&seen.cpus), 2);
}

TEST(outfit, cpus_are_dealt_to_slots)
{
    uint32_t cpus[2];
    if (two_cpus(cpus) < 2) {
        hn_test_skip("there is one CPU only");
        return;
    }
    libpool_outfit outfit = {
        .size = sizeof outfit, .flags = LIBPOOL_DEAL_CPUS, .cpus = cpus, .cpus_count = 2};
    struct lp_outfit *copy = NULL;
    const libpool_allocator none = {0};
    CU_ASSERT_EQUAL(lp_outfit_copy(&copy, &outfit, &none), 0);
    cpu_set_t ours, set;
    CU_ASSERT_EQUAL(sched_getaffinity(0, sizeof ours, &ours), 0);
    for (uint32_t slot = 0; slot < 5; slot++) {
        CU_ASSERT_EQUAL(lp_outfit_wear(copy, slot), 0);
        CU_ASSERT_EQUAL(sched_getaffinity(0, sizeof set, &set), 0);
        CU_ASSERT_EQUAL(CPU_COUNT(&set), 1);
        CU_ASSERT_TRUE(CPU_ISSET(cpus[slot % 2], &set));
        CU_ASSERT_EQUAL(sched_setaffinity(0, sizeof ours, &ours), 0);
    }
    lp_outfit_release(copy, &none);
    struct seen seen = see(outfit); /* and a worker's slot is what counts */
    CU_ASSERT_TRUE(CPU_ISSET(cpus[seen.slot % 2], &seen.cpus) && CPU_COUNT(&seen.cpus) == 1);
}

TEST(outfit, cpus_that_are_not_there_are_not_dealt)
{
    uint32_t cpus[4] = {8191, 0, 8190, 0};
    uint32_t there[2];
    if (two_cpus(there) < 2) {
        hn_test_skip("there is one CPU only");
        return;
    }
    cpus[1] = there[0];
    cpus[3] = there[1];
    libpool_outfit outfit = {
        .size = sizeof outfit, .flags = LIBPOOL_DEAL_CPUS, .cpus = cpus, .cpus_count = 4};
    struct lp_outfit *copy = NULL;
    const libpool_allocator none = {0};
    CU_ASSERT_EQUAL(lp_outfit_copy(&copy, &outfit, &none), 0);
    cpu_set_t ours, set;
    CU_ASSERT_EQUAL(sched_getaffinity(0, sizeof ours, &ours), 0);
    for (uint32_t slot = 0; slot < 5; slot++) {
        CU_ASSERT_EQUAL(lp_outfit_wear(copy, slot), 0);
        CU_ASSERT_EQUAL(sched_getaffinity(0, sizeof set, &set), 0);
        CU_ASSERT_TRUE(CPU_COUNT(&set) == 1 && CPU_ISSET(there[slot % 2], &set));
        CU_ASSERT_EQUAL(sched_setaffinity(0, sizeof ours, &ours), 0);
    }
    lp_outfit_release(copy, &none);
}

/* ---- when ----------------------------------------------------------------------------------- */

static int expect_outfit(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    struct seen seen;
    look_around(&seen);
    return strcmp(seen.one, "dressed") == 0 && strcmp(seen.directory, "/proc") == 0 ? 0 : 7;
}

TEST(outfit, it_is_worn_before_the_initializer)
{
    static const char *const environment[] = {"LIBPOOL_TEST_1=dressed"};
    libpool_outfit outfit = {.size = sizeof outfit,
                             .directory = "/proc",
                             .environment = environment,
                             .environment_count = 1};
    struct seen seen;
    int code;
    libpool *pool = open_in(&outfit, expect_outfit, 1);
    CU_ASSERT_EQUAL(ask(pool, &seen, &code), LIBPOOL_COMPLETED);
    libpool_close(pool);
}

static bool await_generation(libpool *pool)
{
    libpool_event event = {.size = sizeof event};
    libpool_stats stats = {.size = sizeof stats};
    int error = 0;
    while (!error && libpool_stats_read(pool, &stats) == 0 && stats.worker_processes_outdated)
        error = libpool_event_next(pool, &event, 20000);
    return error == 0;
}

static void recycle(libpool *pool)
{
    CU_ASSERT_EQUAL(libpool_recycle(pool, 1), 0);
    CU_ASSERT_TRUE(await_generation(pool));
}

static libpool_outfit with_name(const char *const environment[1])
{
    return (libpool_outfit){
        .size = sizeof(libpool_outfit), .environment = environment, .environment_count = 1};
}

/* The zygote was forked long before. */
TEST(outfit, a_new_one_is_worn_by_those_that_start_later)
{
    char entry[] = "LIBPOOL_TEST_1=second";
    const char *environment[] = {entry};
    libpool_outfit first = {.size = sizeof first, .directory = "/proc"};
    libpool_outfit second = with_name(environment);
    struct seen seen;
    int code;
    libpool *pool = open_in(&first, NULL, 1);
    CU_ASSERT_EQUAL(ask(pool, &seen, &code), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &second), 0);
    memset(entry, 'x', sizeof entry - 1);
    CU_ASSERT_EQUAL(ask(pool, &seen, &code), LIBPOOL_COMPLETED);
    CU_ASSERT_STRING_EQUAL(seen.directory, "/proc");
    CU_ASSERT_STRING_EQUAL(seen.one, "(unset)");
    recycle(pool);
    CU_ASSERT_EQUAL(ask(pool, &seen, &code), LIBPOOL_COMPLETED);
    CU_ASSERT_STRING_NOT_EQUAL(seen.directory, "/proc");
    CU_ASSERT_STRING_EQUAL(seen.one, "second");
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, NULL), 0);
    recycle(pool);
    CU_ASSERT_EQUAL(ask(pool, &seen, &code), LIBPOOL_COMPLETED);
    CU_ASSERT_STRING_EQUAL(seen.one, "(unset)");
    libpool_close(pool);
}

TEST(outfit, a_corrected_one_is_tried_without_the_pause_for_the_wrong_one)
{
    libpool_outfit wrong = {.size = sizeof wrong, .directory = "/nowhere"};
    libpool_outfit right = {.size = sizeof right, .directory = "/proc"};
    libpool_options options = {.size = sizeof options,
                               .max_workers = 1,
                               .initializer_failures = 1,
                               .backoff_min_ms = 3600000,
                               .backoff_max_ms = 3600000,
                               .outfit = &wrong};
    libpool *pool = NULL;
    struct seen seen;
    int code;
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    CU_ASSERT_EQUAL(ask(pool, &seen, &code), LIBPOOL_INIT_FAILED);
    CU_ASSERT_EQUAL(ask(pool, &seen, &code), LIBPOOL_INIT_FAILED);
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &right), 0);
    CU_ASSERT_EQUAL(ask(pool, &seen, &code), LIBPOOL_COMPLETED);
    CU_ASSERT_STRING_EQUAL(seen.directory, "/proc");
    libpool_close(pool);
}

TEST(outfit, a_new_one_has_room_for_256_kib_and_a_form)
{
    static char large[300 * 1024] = "LIBPOOL_TEST_1=";
    const char *environment[] = {large};
    memset(large + strlen(large), 'x', 255 * 1024);
    libpool_outfit outfit = with_name(environment);
    struct seen seen;
    int code;
    libpool *pool = open_in(NULL, NULL, 1);
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &outfit), 0);
    memset(large + strlen(large), 'x', 10 * 1024);
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &outfit), -E2BIG);
    outfit.directory = "relative";
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &outfit), -EINVAL);
    outfit = (libpool_outfit){.size = sizeof outfit, .stdio = {LIBPOOL_STDIO_INHERIT}};
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &outfit), -EINVAL);
    outfit = (libpool_outfit){.size = 2};
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &outfit), -EINVAL);
    recycle(pool);
    CU_ASSERT_EQUAL(ask(pool, &seen, &code), LIBPOOL_COMPLETED);
    CU_ASSERT_EQUAL(strlen(seen.one), 31); /* as much as it keeps of what is there */
    libpool_close(pool);
}

static int be_stuck(libpool_worker *worker, void *arg)
{
    (void)worker, (void)arg;
    const char *name = getenv("LIBPOOL_TEST_1");
    while (name && strcmp(name, "stuck") == 0)
        (void)pause();
    return 0;
}

/* Two places: the one before the last is looked into by somebody. */
TEST(outfit, a_new_one_has_to_wait_for_those_that_dress)
{
    static const char *const environment[] = {"LIBPOOL_TEST_1=stuck"};
    libpool_outfit stuck = with_name(environment), other = {.size = sizeof other};
    libpool_event event = {.size = sizeof event};
    libpool *pool = open_in(NULL, be_stuck, 2);
    while (libpool_event_next(pool, &event, 20000) == 0)
        if (event.kind == LIBPOOL_EVENT_WORKER_READY && event.slot == 1)
            break;
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &stuck), 0);
    CU_ASSERT_EQUAL(libpool_recycle(pool, 1), 0);
    while (libpool_event_next(pool, &event, 20000) == 0)
        if (event.kind == LIBPOOL_EVENT_WORKER_SPAWNED)
            break;
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &other), 0);
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &other), -EAGAIN);
    CU_ASSERT_EQUAL(kill(event.pid, SIGKILL), 0);
    CU_ASSERT_TRUE(await_generation(pool));
    CU_ASSERT_EQUAL(libpool_set_outfit(pool, &other), 0);
    libpool_close(pool);
}

static void kill_zygote(libpool *pool)
{
    libpool_event event = {.size = sizeof event};
    int error = libpool_event_next(pool, &event, 20000);
    while (!error && event.kind != LIBPOOL_EVENT_ZYGOTE_STARTED)
        error = libpool_event_next(pool, &event, 20000);
    CU_ASSERT_EQUAL_FATAL(error, 0);
    CU_ASSERT_EQUAL(kill(event.pid, SIGKILL), 0);
    while (!error && event.kind != LIBPOOL_EVENT_ZYGOTE_LOST)
        error = libpool_event_next(pool, &event, 20000);
    CU_ASSERT_EQUAL(error, 0);
}

/* The next zygote is a copy of what the application has by then. */
TEST(outfit, nothing_of_the_applications_is_needed_after_opening)
{
    char given[2][32] = {"LIBPOOL_TEST_1=kept", "/proc"};
    const char *environment[] = {given[0]};
    libpool_outfit *outfit = calloc(1, sizeof *outfit);
    CU_ASSERT_PTR_NOT_NULL_FATAL(outfit);
    *outfit = (libpool_outfit){.size = sizeof *outfit,
                               .directory = given[1],
                               .environment = environment,
                               .environment_count = 1};
    struct seen seen;
    int code;
    libpool *pool = NULL;
    libpool_options options = {
        .size = sizeof options, .max_workers = 1, .event_buffer = 16, .outfit = outfit};
    CU_ASSERT_EQUAL_FATAL(libpool_open(&pool, &options), 0);
    memset(given, 'x', sizeof given);
    environment[0] = NULL;
    memset(outfit, 'x', sizeof *outfit);
    free(outfit);
    kill_zygote(pool);
    CU_ASSERT_EQUAL(ask(pool, &seen, &code), LIBPOOL_COMPLETED);
    CU_ASSERT_STRING_EQUAL(seen.one, "kept");
    CU_ASSERT_STRING_EQUAL(seen.directory, "/proc");
    libpool_close(pool);
}

/* ---- what can't be had ---------------------------------------------------------------------- */

static int refuse_nice(int more)
{
    (void)more;
    return -EPERM;
}

static int refuse_null(int directory_fd, const char *path, int flags)
{
    return strcmp(path, "/dev/null") == 0 ? -ENFILE
                                          : lp_sys_kernel.openat(directory_fd, path, flags);
}

TEST(outfit, a_missing_directory_is_told)
{
    CU_ASSERT_EQUAL(failure((libpool_outfit){.directory = "/proc/none"}),
                    -(LIBPOOL_STEP_DIRECTORY + ENOENT));
}

TEST(outfit, missing_cpus_are_told)
{
    static const uint32_t cpus[] = {8191};
    CU_ASSERT_EQUAL(failure((libpool_outfit){.cpus = cpus, .cpus_count = 1}),
                    -(LIBPOOL_STEP_CPUS + EINVAL));
}

TEST(outfit, a_limit_that_is_too_high_is_told)
{
    static const libpool_limit limits[] = {{RLIMIT_CORE, 0, 0},
                                           {RLIMIT_NOFILE, LIBPOOL_UNLIMITED, LIBPOOL_UNLIMITED}};
    CU_ASSERT_EQUAL(failure((libpool_outfit){.limits = limits, .limits_count = 2}),
                    -(LIBPOOL_STEP_LIMITS + EPERM));
}

TEST(outfit, a_refused_niceness_is_told)
{
    lp_sys.nice = refuse_nice;
    CU_ASSERT_EQUAL(failure((libpool_outfit){.nice = -1}), -(LIBPOOL_STEP_NICE + EPERM));
    lp_sys = lp_sys_kernel;
}

TEST(outfit, a_stream_that_cant_be_replaced_is_told)
{
    lp_sys.openat = refuse_null;
    CU_ASSERT_EQUAL(failure((libpool_outfit){.stdio = {[1] = LIBPOOL_STDIO_NULL}}),
                    -(LIBPOOL_STEP_STDIO + ENFILE));
    lp_sys = lp_sys_kernel;
}

/* ---- what is refused ------------------------------------------------------------------------ */

static const char *const good_names[] = {"A=1"};
static const char *const no_name[] = {"=1"};
static const char *const empty_name[] = {""};
static const char *const null_name[] = {NULL};
static const libpool_limit upside_down[] = {{RLIMIT_CORE, 2, 1}};
static const libpool_limit unknown_low[] = {{-1, 1, 1}};
static const libpool_limit unknown_high[] = {{RLIM_NLIMITS, 1, 1}};
static const uint32_t too_many[4097];
static const uint32_t cpu_too_high[] = {0, 8192};

TEST(outfit, what_is_malformed_is_refused)
{
    const libpool_outfit wrong[] = {
        {.flags = 4},
        {.flags = LIBPOOL_DEAL_CPUS},
        {.umask = 022},
        {.flags = LIBPOOL_SET_UMASK, .umask = 01000},
        {.stdio = {0, 0, LIBPOOL_STDIO_TAIL + 1}},
        {.stdio = {LIBPOOL_STDIO_TAIL, 0, 0}},
        {.directory = "proc"},
        {.directory = ""},
        {.nice = 40},
        {.nice = -40},
        {.reserved = 1},
        {.environment_count = 1},
        {.environment = good_names},
        {.cpus = too_many, .cpus_count = COUNT(too_many)},
        {.environment = no_name, .environment_count = 1},
        {.environment = empty_name, .environment_count = 1},
        {.environment = null_name, .environment_count = 1},
        {.limits_count = 1},
        {.limits = upside_down, .limits_count = 1},
        {.limits = unknown_low, .limits_count = 1},
        {.limits = unknown_high, .limits_count = 1},
        {.cpus_count = 1},
        {.cpus = cpu_too_high, .cpus_count = 2},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        libpool_outfit outfit = wrong[i];
        outfit.size = sizeof outfit;
        libpool_options options = {.size = sizeof options, .outfit = &outfit};
        libpool *pool;
        int error = libpool_open(&pool, &options);
        CU_ASSERT_EQUAL(error, -EINVAL);
        if (error != -EINVAL)
            printf("not refused: %zu\n", i);
        libpool_close(pool);
    }
}

static int opens_in_a_bad_outfit(void *unused)
{
    (void)unused;
    const libpool_outfit outfit = {.size = sizeof outfit, .nice = 40};
    const libpool_options options = {.size = sizeof options, .outfit = &outfit};
    libpool *pool;
    if (fcntl(STDIN_FILENO, F_GETFD) < 0)
        (void)open("/dev/null", O_RDONLY);
    if (libpool_open(&pool, &options) != -EINVAL)
        return 1;
    return fcntl(STDIN_FILENO, F_GETFD) < 0 ? 2 : 0;
}

TEST(outfit, a_pool_that_never_began_to_open_closes_nothing)
{
    CU_ASSERT_EQUAL(hn_test_child(opens_in_a_bad_outfit, NULL, 20000), 0);
}

TEST(outfit, its_size_is_checked_as_all_are)
{
    struct {
        libpool_outfit outfit;
        uint64_t newer;
    } both = {.outfit.size = sizeof both, .newer = 1};
    libpool_options options = {.size = sizeof options, .outfit = &both.outfit};
    libpool *pool;
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -E2BIG);
    both.outfit.size = 0;
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), -EINVAL);
    both.newer = 0;
    both.outfit.size = sizeof both;
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    libpool_close(pool);
}

/* ---- memory --------------------------------------------------------------------------------- */

struct counted {
    _Atomic size_t taken, given_back; /* the pool has a thread of its own */
    bool refuses;
};

static void *take(void *context, size_t size)
{
    struct counted *counted = context;
    if (counted->refuses)
        return NULL;
    counted->taken += size;
    return malloc(size);
}

static void give_back(void *context, void *pointer, size_t size)
{
    struct counted *counted = context;
    counted->given_back += size;
    free(pointer);
}

TEST(outfit, memory_comes_from_the_allocator_and_goes_back)
{
    struct counted counted = {0};
    const libpool_allocator allocator = {&counted, take, give_back};
    const libpool_outfit outfit = {
        .size = sizeof outfit, .environment = good_names, .environment_count = 1};
    struct lp_outfit *copy = NULL;
    CU_ASSERT_EQUAL(lp_outfit_copy(&copy, &outfit, &allocator), 0);
    lp_outfit_release(copy, &allocator);
    CU_ASSERT_TRUE(counted.taken > sizeof outfit);
    CU_ASSERT_EQUAL(counted.taken, counted.given_back);
    counted.refuses = true;
    CU_ASSERT_EQUAL(lp_outfit_copy(&copy, &outfit, &allocator), -ENOMEM);
    CU_ASSERT_PTR_NULL(copy);
    CU_ASSERT_EQUAL(lp_outfit_copy(&copy, NULL, &allocator), 0);
    CU_ASSERT_PTR_NULL(copy);
    CU_ASSERT_EQUAL(lp_outfit_wear(copy, 0), 0);
    lp_outfit_release(copy, &allocator);
}

TEST(outfit, a_closed_pool_has_given_its_outfit_back)
{
    struct counted counted = {0};
    const libpool_allocator allocator = {&counted, take, give_back};
    const libpool_outfit outfit = {
        .size = sizeof outfit, .environment = good_names, .environment_count = 1};
    libpool_options options = {
        .size = sizeof options, .max_workers = 1, .allocator = &allocator, .outfit = &outfit};
    libpool *pool;
    CU_ASSERT_EQUAL(libpool_open(&pool, &options), 0);
    libpool_close(pool);
    CU_ASSERT_TRUE(counted.taken > 0);
    CU_ASSERT_EQUAL(counted.taken, counted.given_back);
}
