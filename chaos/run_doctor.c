/* SPDX-License-Identifier: MIT */
/* run_doctor: capabilities in the words of scenario files. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "chaos/run.h"
#include "harness/doctor.h"

static int probe_root(char *why, size_t why_size)
{
    snprintf(why, why_size, "uid %d", (int)getuid());
    return getuid() == 0 ? 0 : -EPERM;
}

static int probe_user(char *why, size_t why_size)
{
    snprintf(why, why_size, "uid %d", (int)getuid());
    return getuid() != 0 ? 0 : -EPERM;
}

int ch_capability_probe(enum ch_capability capability, char *why, size_t why_size)
{
    switch (capability) {
    case CH_NEEDS_MEMCG: return hn_doctor_probe(HN_CAN_MEMCG, why, why_size);
    case CH_NEEDS_PIDS_CGROUP: return hn_doctor_probe(HN_CAN_PIDS_CGROUP, why, why_size);
    case CH_NEEDS_CGROUP_KILL: return hn_doctor_probe(HN_CAN_CGROUP_KILL, why, why_size);
    case CH_NEEDS_FREEZER: return hn_doctor_probe(HN_CAN_FREEZER, why, why_size);
    case CH_NEEDS_ROOT: return probe_root(why, why_size);
    case CH_NEEDS_USER: return probe_user(why, why_size);
    case CH_NEEDS_STRESS_NG: return hn_doctor_probe(HN_CAN_STRESS_NG, why, why_size);
    case CH_NEEDS_SECCOMP: return hn_doctor_probe(HN_CAN_SECCOMP, why, why_size);
    case CH_CAPABILITIES: break;
    }
    snprintf(why, why_size, "not a capability");
    return -EINVAL;
}

static int print(FILE *out, const char *name, int rc, const char *why)
{
    return fprintf(out, "%-12s %-4s %s\n", name, rc == 0 ? "yes" : "no", why) < 0 ? -EIO : 0;
}

int ch_doctor(FILE *out)
{
    static const char *const names[CH_CAPABILITIES] = {
        [CH_NEEDS_MEMCG] = "memcg",
        [CH_NEEDS_PIDS_CGROUP] = "pids-cgroup",
        [CH_NEEDS_CGROUP_KILL] = "cgroup-kill",
        [CH_NEEDS_FREEZER] = "freezer",
        [CH_NEEDS_ROOT] = "root",
        [CH_NEEDS_USER] = "user",
        [CH_NEEDS_STRESS_NG] = "stress-ng",
        [CH_NEEDS_SECCOMP] = "seccomp",
    };
    char why[256];
    int rc = 0;
    for (int i = 0; i < CH_CAPABILITIES && rc == 0; i++) {
        int can = ch_capability_probe((enum ch_capability)i, why, sizeof why);
        rc = print(out, names[i], can, why);
    }
    int can = hn_doctor_probe(HN_CAN_PTRACE, why, sizeof why);
    return rc ? rc : print(out, "ptrace", can, why);
}
