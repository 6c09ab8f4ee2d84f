/* SPDX-License-Identifier: MIT */
#include "replace.h"

#include <string.h>

#include "harness/test.h"

static const struct pr_job_values values = {"a b{}'$x", 17, 3};

static bool words_are(char *const *words, const char *expected, size_t n)
{
    struct pr_text text = {.data = NULL};
    pr_replace_words(&text, words, &values);
    bool same = text.n == n && memcmp(text.data, expected, n) == 0;
    pr_text_free(&text);
    return same;
}

TEST(poolrun_replace, puts_a_line_where_the_braces_are)
{
    CU_ASSERT(words_are((char *[]){"x", "-{}-", NULL}, "x\0-a b{}'$x-", 13));
    CU_ASSERT(words_are((char *[]){"{}{}", NULL}, "a b{}'$xa b{}'$x", 17));
    CU_ASSERT(words_are((char *[]){"{#}", "j{%}j", NULL}, "17\0j3j", 7));
    CU_ASSERT(words_are((char *[]){"{", "{x}", "{#", "}{}", NULL}, "{\0{x}\0{#\0}a b{}'$x", 19));
}

TEST(poolrun_replace, appends_a_line_when_there_are_no_braces)
{
    CU_ASSERT(words_are((char *[]){"x", NULL}, "x\0a b{}'$x", 11));
    CU_ASSERT(words_are((char *[]){NULL}, "sh\0-c\0a b{}'$x", 15));
}

TEST(poolrun_replace, quotes_for_a_shell_what_it_would_take_apart)
{
    struct pr_text text = {.data = NULL};
    pr_replace_command(&text, (char *[]){"x", "-y=1", "", NULL}, &values);
    CU_ASSERT_STRING_EQUAL(text.data, "x -y=1 '' 'a b{}'\\''$x'");
    pr_text_clear(&text);
    pr_replace_command(&text, (char *[]){NULL}, &values);
    CU_ASSERT_STRING_EQUAL(text.data, "a b{}'$x");
    pr_text_free(&text);
}
