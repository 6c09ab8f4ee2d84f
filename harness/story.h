/* SPDX-License-Identifier: MIT */
/*
 * story: what the history says of each task, and what was done to whom and when.
 *
 * hn_check_tasks holds it against what the futures say. It is put together from what the workers
 * wrote, what the target's calls returned, what the judge did, and the pool's own events; each of
 * them may be the one that lies.
 */
#ifndef HARNESS_STORY_H
#define HARNESS_STORY_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/world.h"

/* One task. */
struct hn_story {
    uint32_t starts, ends; /* that its workers wrote */
    int32_t pid, end_code;
    uint32_t slot;
    uint64_t start_ns;
    bool cancelled; /* a cancel said that it had ended it */
    bool asked;     /* or that it was asked to end */
    uint32_t told;  /* ends that the pool's events tell */
    int32_t told_cause;
    uint64_t told_ns;
    uint32_t retried; /* runs that its events tell to have failed and to be followed by another */
};

/* What was done to a process. */
struct hn_deed {
    int32_t pid;
    uint32_t slot;
    int32_t signal; /* 0: a limit on its memory, or another lack */
};

/* From the blow that a zygote got until the next one was up, or it went on. */
struct hn_absence {
    uint64_t from_ns, to_ns;
};

#define HN_DEEDS_MAX 4096
#define HN_ABSENCES_MAX 256

struct hn_stories {
    struct hn_story *list; /* by row */
    uint32_t count;
    struct hn_deed deeds[HN_DEEDS_MAX];
    uint32_t deeds_count;
    struct hn_absence absences[HN_ABSENCES_MAX];
    uint32_t absences_count;
    int32_t zygote;       /* the last that was told of */
    bool held;            /* some kind of tasks was, by the pool's word */
    uint64_t unserved_ns; /* its server's close was called; UINT64_MAX: it was not */
    uint64_t shut_ns;     /* the first shutdown or close was called; UINT64_MAX: none was */
};

/* NULL: no memory. */
struct hn_stories *hn_stories_read(const struct hn_world *world);
void hn_stories_free(struct hn_stories *stories);

bool hn_story_was_hit(const struct hn_stories *stories, int32_t pid, int signal);
/* The memory of some worker: any that is started later may inherit its cgroup. */
bool hn_story_one_was_limited(const struct hn_stories *stories);

/* When it ended, and whether it was with a worker while a zygote was missing. */
uint64_t hn_story_ended_ns(const struct hn_story *story, const struct hn_row *row);
bool hn_story_was_orphaned(const struct hn_stories *stories, const struct hn_story *story,
                           const struct hn_row *row);

#endif
