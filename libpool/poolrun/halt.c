/* SPDX-License-Identifier: MIT */
/* halt: a rule over the jobs that have ended for good, that is, after their last retry. */
#include "halt.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 3 /* so many have to be hit before a percentage counts */

/* Past the word if the text begins with it, else NULL. */
static const char *after(const char *text, const char *word)
{
    size_t n = strlen(word);
    return strncmp(text, word, n) == 0 ? text + n : NULL;
}

static int parse_number(const char *text, struct pr_halt *halt)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    bool is_percent = *end == '%';
    if (errno || !number || end[is_percent] || (is_percent && number > 100))
        return -EINVAL;
    if (is_percent)
        halt->percent = (uint32_t)number;
    else
        halt->count = number;
    return 0;
}

int pr_halt_parse(const char *text, struct pr_halt *halt)
{
    static const char *const when[] = {NULL, "soon,", "now,"};
    static const char *const what[] = {"fail=", "success=", "done="};
    *halt = (struct pr_halt){.when = PR_HALT_NEVER};
    for (unsigned i = PR_HALT_SOON; i <= PR_HALT_NOW; i++) {
        const char *rest = after(text, when[i]);
        for (unsigned j = 0; rest && j <= PR_HALT_DONE; j++) {
            const char *number = after(rest, what[j]);
            if (!number)
                continue;
            halt->when = (enum pr_halt_when)i;
            halt->what = (enum pr_halt_what)j;
            return parse_number(number, halt);
        }
    }
    return -EINVAL;
}

bool pr_halt_is_reached(const struct pr_halt *halt, uint64_t succeeded, uint64_t failed)
{
    uint64_t all = succeeded + failed;
    uint64_t hits = halt->what == PR_HALT_FAIL ? failed
                                               : (halt->what == PR_HALT_SUCCESS ? succeeded : all);
    if (halt->when == PR_HALT_NEVER)
        return false;
    if (halt->count)
        return hits >= halt->count;
    return hits >= LEAST && hits * 100 >= all * halt->percent;
}
