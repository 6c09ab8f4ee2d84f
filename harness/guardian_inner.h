/* SPDX-License-Identifier: MIT */
/* guardian_inner: what the files of the guardian share; see guardian.h. */
#ifndef HARNESS_GUARDIAN_INNER_H
#define HARNESS_GUARDIAN_INNER_H

#include "harness/guardian.h"

enum hn_request_kind {
    HN_REQUEST_MEMORY = 1,
    HN_REQUEST_PIDS,
    HN_REQUEST_PRESSURE,
    HN_REQUEST_UNDO,
    HN_REQUEST_COUNT,
    HN_REQUEST_CENSUS,
    HN_REQUEST_FOREIGN,
    HN_REQUEST_FINISH,
    HN_REQUESTS
};

struct hn_request {
    uint32_t kind;
    uint32_t step;
    uint64_t number;
    uint32_t cpu_workers, vm_workers;
    char path[HN_PATH_MAX];
};

struct hn_answer {
    int32_t code;
    char text[HN_PATH_MAX];
};

/* How to take one fault back. */
enum hn_undo_kind {
    HN_UNDO_NONE = 0,
    HN_UNDO_MEMORY,
    HN_UNDO_PIDS,
    HN_UNDO_PRESSURE
};

struct hn_undo {
    enum hn_undo_kind kind;
    uint32_t step;
    char path[HN_PATH_MAX];
    uint64_t old_limit;
    uint64_t kills_before, kills_seen; /* of that cgroup */
    int event_fd;                      /* tells of OOM in it; -1: none */
    pid_t pid;                         /* PRESSURE: stress-ng */
    struct hn_cgroups cgroups;         /* PRESSURE: where it runs */
};

#define HN_UNDOS_MAX 64

/* The faults in force, and what they counted. */
struct hn_faults {
    struct hn_world *world;
    const char *target_pids; /* v1 pids, or v2 with the controller; "" when there is none */
    const char *pool;        /* above the workers' cgroups in v2 with controllers; else "" */
    pid_t judge;
    const char *name;
    uint64_t pids_before; /* refusals counted before the first limit */
    struct hn_undo list[HN_UNDOS_MAX];
    uint64_t kills_undone; /* of those already taken back */
};

int hn_faults_limit_memory(struct hn_faults *faults, const struct hn_request *request);
int hn_faults_limit_pids(struct hn_faults *faults, const struct hn_request *request);
int hn_faults_press(struct hn_faults *faults, const struct hn_request *request);
int hn_faults_undo(struct hn_faults *faults, uint32_t step);
void hn_faults_undo_all(struct hn_faults *faults);
int hn_faults_count(struct hn_faults *faults);
/* stress-ng's session, whose processes are no residue; 0: none. */
pid_t hn_faults_pressure_session(const struct hn_faults *faults, pid_t session);

#endif
