/* SPDX-License-Identifier: MIT */
/* deny: one filter, one rule a call; see the header. */
#include "harness/deny.h"

#include <errno.h>
#include <seccomp.h>
#include <stdint.h>

static int add_rule(scmp_filter_ctx filter, const struct hn_denial *denial)
{
    int number = seccomp_syscall_resolve_name(denial->call);
    if (number == __NR_SCMP_ERROR)
        return -ENOENT;
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)denial->error), number, 0);
}

int hn_deny(const struct hn_denial *denials, size_t count)
{
    int rc = 0;
    if (count == 0)
        return 0;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return -ENOMEM;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = add_rule(filter, &denials[i]);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc;
}
