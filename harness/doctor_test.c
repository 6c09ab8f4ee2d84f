/* SPDX-License-Identifier: MIT */
#include "harness/doctor.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness/cgroups.h"
#include "harness/deny.h"
#include "harness/test.h"

TEST(doctor, every_capability_is_there_or_says_why_not)
{
    for (int i = 0; i < HN_CAPABILITIES; i++) {
        char why[160] = "";
        int rc = hn_doctor_probe((enum hn_capability)i, why, sizeof why);
        CU_ASSERT(rc <= 0);
        CU_ASSERT(strlen(why) > 0);
        CU_ASSERT(rc == 0 ? strcmp(why, "done") == 0 : strcmp(why, "done") != 0);
    }
    CU_ASSERT_EQUAL(hn_cgroups_sweep(), 0);
}

TEST_IN_CHILD(deny, answers_with_the_errno_it_was_told, 5000, TEST_EXIT(0))
{
    struct hn_denial denials[] = {{"getppid", ENOSYS}, {"getpgid", EPERM}};
    if (hn_deny(denials, 2))
        return 1;
    if (syscall(SYS_getppid) != -1 || errno != ENOSYS)
        return 2;
    return syscall(SYS_getpgid, 0) == -1 && errno == EPERM ? 0 : 3;
}

TEST_IN_CHILD(deny, refuses_a_call_that_does_not_exist, 5000, TEST_EXIT(0))
{
    struct hn_denial denial = {"fork_twice", ENOSYS};
    return hn_deny(&denial, 1) == -ENOENT ? 0 : 1;
}
