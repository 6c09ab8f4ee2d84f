/* SPDX-License-Identifier: MIT */
#include "os/cgroup.h"
void lp_cgroup_open(struct lp_cgroup *cgroup, const struct lp_zygote_options *options,
                    pid_t host_pid)
{
    (void)options;
    (void)host_pid;
    *cgroup = LP_CGROUP_NULL;
}
void lp_cgroup_close(struct lp_cgroup *cgroup, uint32_t slots, bool remove)
{
    (void)cgroup;
    (void)slots;
    (void)remove;
}
void lp_cgroup_prepare(const struct lp_cgroup *cgroup, uint32_t slot)
{
    (void)cgroup;
    (void)slot;
}
void lp_cgroup_enter(const struct lp_cgroup *cgroup, uint32_t slot)
{
    (void)cgroup;
    (void)slot;
}
bool lp_cgroup_kill(const struct lp_cgroup *cgroup, uint32_t slot)
{
    (void)cgroup;
    (void)slot;
    return false;
}
bool lp_cgroup_kill_all(const struct lp_cgroup *cgroup)
{
    (void)cgroup;
    return false;
}
bool lp_cgroup_is_populated(const struct lp_cgroup *cgroup, uint32_t slot)
{
    (void)cgroup;
    (void)slot;
    return false;
}
bool lp_cgroup_is_any_populated(const struct lp_cgroup *cgroup)
{
    (void)cgroup;
    return false;
}
int lp_cgroup_watch(const struct lp_cgroup *cgroup, uint32_t slot)
{
    (void)cgroup;
    (void)slot;
    return -1;
}
uint64_t lp_cgroup_oom_kills(const struct lp_cgroup *cgroup, uint32_t slot)
{
    (void)cgroup;
    (void)slot;
    return 0;
}
bool lp_cgroup_holds(const struct lp_cgroup *cgroup, pid_t pid)
{
    (void)cgroup;
    (void)pid;
    return false;
}
