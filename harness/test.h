/* SPDX-License-Identifier: MIT */
/*
 * The front of the unit tests: CUnit's assertions, our own registration and verdict.
 *
 *     TEST(backoff, doubles_until_the_longest_pause)
 *     {
 *         CU_ASSERT_EQUAL(lp_backoff_next(&backoff), 20);
 *     }
 *
 * A test registers itself, so that none can be forgotten in a list; the first word is its suite.
 * harness/test_main.c runs them, each with a time limit; a test that hangs, crashes, asserts
 * nothing or leaves a process behind has failed. `build/unit -v backoff/` runs one suite aloud,
 * `build/unit -j4` four tests at a time, each in a process of its own.
 *
 * An assertion must run in the process of the test: one that fails in a forked child is lost, and
 * a FATAL one there would go on with the suite inside the child. So a child ends with a code or by
 * a signal, and its parent asserts on that:
 *
 *     TEST_IN_CHILD(death, abort_is_a_signal, 5000, TEST_SIGNAL(SIGABRT)) { abort(); }
 *     TEST_IN_CHILD(child, closes_all, 5000, TEST_EXIT(0)) { return fcntl(7, F_GETFD) != -1; }
 */
#ifndef HARNESS_TEST_H
#define HARNESS_TEST_H

#include <CUnit/CUnit.h>

#define HN_TEST_LIMIT_MS 30000

struct hn_test {
    const char *suite;
    const char *name;
    void (*body)(void);
    int limit_ms;
    struct hn_test *next;
};

/* Called by the constructors that TEST makes; the struct stays with the list for ever. */
void hn_test_register(struct hn_test *test);

/* As TEST_ALONE says; name NULL: the whole suite. */
struct hn_alone {
    const char *suite;
    const char *name;
    const struct hn_alone *next;
};

void hn_test_alone(struct hn_alone *alone);

/* Ends the running test as skipped; why is printed and must be a literal. Returns to its caller. */
void hn_test_skip(const char *why);

/* At file level: this test, or the whole SUITE_ALONE, can't bear another beside it; says why. */
#define TEST_ALONE(suite_, name_, why_) ALONE_(suite_, suite_##_##name_, #name_)
#define SUITE_ALONE(suite_, why_) ALONE_(suite_, suite_, NULL)
#define ALONE_(suite_, tag_, name_)                             \
    __attribute__((constructor)) static void alone_##tag_(void) \
    {                                                           \
        static struct hn_alone alone = {#suite_, name_, NULL};  \
        hn_test_alone(&alone);                                  \
    }

/* How a child has to end, in the form of a wait status without the core bit. */
#define TEST_EXIT(code) ((code) << 8)
#define TEST_SIGNAL(signal) (signal)

/*
 * Runs body(arg) in a forked child, which ends with what body returns as its exit code. Returns
 * TEST_EXIT(...) or TEST_SIGNAL(...); -ETIMEDOUT when it was killed after limit_ms, or another
 * negated errno when there was no child. Descendants of the child are not waited for.
 */
int hn_test_child(int (*body)(void *arg), void *arg, int limit_ms);

/* The same, with the assertion that it ended as expected. */
void hn_test_child_ends(int (*body)(void *arg), void *arg, int limit_ms, int expected,
                        const char *file, unsigned line);

#define TEST_WITHIN(suite_, name_, limit_ms_)                                                     \
    static void test_##suite_##_##name_(void);                                                    \
    __attribute__((constructor)) static void register_##suite_##_##name_(void)                    \
    {                                                                                             \
        static struct hn_test test = {#suite_, #name_, test_##suite_##_##name_, limit_ms_, NULL}; \
        hn_test_register(&test);                                                                  \
    }                                                                                             \
    static void test_##suite_##_##name_(void)

#define TEST(suite_, name_) TEST_WITHIN(suite_, name_, HN_TEST_LIMIT_MS)

/* The body runs in the child and returns its exit code. */
#define TEST_IN_CHILD(suite_, name_, limit_ms_, end_)                                            \
    static int child_##suite_##_##name_(void *unused);                                           \
    TEST_WITHIN(suite_, name_, (limit_ms_) + HN_TEST_LIMIT_MS)                                   \
    {                                                                                            \
        hn_test_child_ends(child_##suite_##_##name_, NULL, limit_ms_, end_, __FILE__, __LINE__); \
    }                                                                                            \
    static int child_##suite_##_##name_(void *unused __attribute__((unused)))

/* Whether this is a build with that sanitizer, whose own memory and stacks some tests can't bear. */
#if defined(__has_feature)
#define TEST_HAS_FEATURE(feature_) __has_feature(feature_)
#else
#define TEST_HAS_FEATURE(feature_) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || TEST_HAS_FEATURE(address_sanitizer)
#define TEST_ADDRESS_SANITIZER 1
#else
#define TEST_ADDRESS_SANITIZER 0
#endif
#if defined(__SANITIZE_THREAD__) || TEST_HAS_FEATURE(thread_sanitizer)
#define TEST_THREAD_SANITIZER 1
#else
#define TEST_THREAD_SANITIZER 0
#endif

/* Leaves the test as skipped: for what this machine cannot do, never for what fails. */
#define TEST_SKIP(why_)     \
    do {                    \
        hn_test_skip(why_); \
        return;             \
    } while (0)

#endif
