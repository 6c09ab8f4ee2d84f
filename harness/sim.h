/* SPDX-License-Identifier: MIT */
/*
 * sim: the policy of libpool under a virtual clock, with pretend workers and a pretend zygote.
 *
 * One schedule: a seed draws a pool's configuration, the faults that may happen (whole classes are
 * off), and the users' calls. The clock steps to the next earliest event; ties are broken so: what
 * the world says goes first, in the order in which it was sent, then the supervisor's timer. After
 * each step lp_pool_check() and the sim's own books (sim_books.h) have to be content. Then the
 * faults stop: everything has to end and the strength to return within a bound; then the pool is
 * shut down, with a bound, too. Memory and time are the only resources: a schedule takes 0.2 ms.
 */
#ifndef HARNESS_SIM_H
#define HARNESS_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/event.h"
#include "core/worker.h"

/* Situations worth having been in: listed with their counts, and by name when never met. */
#define HN_SOMETIMES(X)                                                      \
    X(TASK_RETURNED, "a task returned to the backlog")                       \
    X(RETURNED_TOO_OFTEN, "a task ended after its last return")              \
    X(RESULT_IN_KILL, "a result crossed a kill")                             \
    X(BEGUN_IN_KILL, "a task begun after the kill was sent")                 \
    X(CANCEL_UNSTARTED, "cancelled in the hands of a dying or dead worker")  \
    X(CANCEL_ENDED, "cancelled after its end, before its release")           \
    X(BACKLOG_FULL, "backlog full")                                          \
    X(TABLE_FULL, "task table full of ended tasks")                          \
    X(ROOM_AFTER_FULL, "room told to a waiting submitter")                   \
    X(SPARE_USED, "a replacement started beside a death")                    \
    X(KNOWN_EARLY, "a death was known before it was proven")                 \
    X(KNOWN_EARLY_QUEUE, "so it was, and what was sent ahead was recalled")  \
    X(KNOWN_FOR_LONG, "so it was, and the proof was long in coming")         \
    X(KNOWN_OVERRAN, "so it was, and its task's own time was up first")      \
    X(KNOWN_LOST, "so it was, and its task was given up as lost")            \
    X(KNOWN_UNBEGUN, "so it was, and what it had not begun went back")       \
    X(STATUS_LOST, "a death whose status never came")                        \
    X(STATUS_UNKNOWN, "an orphan's unknown death")                           \
    X(LATE_STATUS, "a status after it was given up")                         \
    X(LOST_SPAWNING, "zygote lost while spawning")                           \
    X(SPAWN_OVERRAN, "spawn never answered: zygote dropped")                 \
    X(PROOF_OVERRAN, "no death or empty tree told: zygote dropped")          \
    X(HELLO_OVERRAN, "zygote without a hello dropped")                       \
    X(ZYGOTE_RESTARTED, "a second zygote came up")                           \
    X(CLEANED, "a tree proven empty by the next zygote")                     \
    X(UNINITIALISABLE, "pending tasks failed: no worker can be initialised") \
    X(RECOVERED, "initialised again after that")                             \
    X(DOOMED_SPAWN, "killed as soon as spawned")                             \
    X(EARLY_WORD, "a worker's word overtook the report of its birth")        \
    X(STUCK_START, "a task never begun by its worker")                       \
    X(CORRUPT_BUSY, "corrupt while busy")                                    \
    X(CORRUPT_UNBEGUN, "corrupt, still in its last task")                    \
    X(SHUTDOWN_KILLED, "shutdown's deadline killed")                         \
    X(GAVE_UP, "down without the last proof")                                \
    X(DRAINED, "drained a backlog")                                          \
    X(SHUTDOWN_AGAIN, "shutdown hastened by another")                        \
    X(MANY_ENDED, "more ends than one step may tell")                        \
    X(QUEUE_TIMEOUT, "queue timeout")                                        \
    X(TIMEOUT, "run timeout")                                                \
    X(ASKED, "asked to end")                                                 \
    X(ASKED_RETURNED, "returned in its grace")                               \
    X(ASKED_KILLED, "killed after its grace")                                \
    X(ASKED_IN_TIME, "asked though it had ended in time, and told late")     \
    X(ASKED_UNBEGUN, "asked before it began, and not begun")                 \
    X(ASKED_DIED, "its worker died in its grace")                            \
    X(ASKED_OF_SIGNAL, "its worker died of the soft signal")                 \
    X(OF_SIGNAL_LATE, "so it did, and its task had been cancelled since")    \
    X(ASKED_AGAIN, "cancelled when it was asked already")                    \
    X(ASKED_AND_SHUTDOWN, "killed in its grace by a shutdown")               \
    X(SILENT, "silent for too long")                                         \
    X(SILENT_AFTER_BEATS, "silent for too long after signs of life")         \
    X(TIMEOUT_UNBELIEVED, "run timeout of one that lied about its start")    \
    X(OOM, "out of memory")                                                  \
    X(RECYCLED, "worker recycled")                                           \
    X(AGED_IDLE, "an idle worker left for its age")                          \
    X(AGED_BUSY, "a worker left for its age after its task")                 \
    X(STATUS_OVERRAN, "zygote long in telling of a death")                   \
    X(ASKED_TO_LEAVE, "worker asked to leave")                               \
    X(WEIGHED, "a tree weighed")                                             \
    X(HEAVY_TASK, "a task killed for its memory")                            \
    X(HEAVY_START, "an initializer killed for its memory")                   \
    X(HEAVY_FINAL, "a finalizer killed for its memory")                      \
    X(HEAVY_LATE, "a weight of a task that has ended: its worker leaves")    \
    X(HEAVY_LIMITED, "a task killed for a memory limit of its own")          \
    X(HEAVY_FORGIVEN, "a weight above the limit of a task that has ended")   \
    X(OUTGROWN, "a worker left for its memory")                              \
    X(RESIZED, "bounds changed")                                             \
    X(EXCESS_LEFT, "a worker beyond the new maximum left")                   \
    X(SHRUNK, "idle worker left")                                            \
    X(GROUP_CANCELLED, "several tasks of a group cancelled")                 \
    X(GROUP_BATCHES, "so many that it took more than one call")              \
    X(AGED, "a task went before one of a higher priority")                   \
    X(NUMBER_INHERITED, "a worker whose number is not that of its slot")     \
    X(OUTDATED_LEFT, "a worker of an older generation left")                 \
    X(OUTDATED_KEPT, "one was kept, because too many were missing")          \
    X(RECYCLED_AGAIN, "a recycle began while one was under way")             \
    X(FINAL_FAILED, "finalizer failed")                                      \
    X(EXCLUSIVE_WAIT, "exclusive: a replacement waited for a proof")         \
    X(UNKILLABLE, "an unkillable worker")                                    \
    X(SLOTS_EXHAUSTED, "no slot left")                                       \
    X(EVERYTHING_FAILS, "everything failed for seconds")                     \
    X(PREFETCHED, "a task sent ahead of time")                               \
    X(PREFETCHED_BESIDE_IDLE, "sent ahead although somebody is idle")        \
    X(QUEUE_LONG, "more than a hundred tasks ahead of time in one channel")  \
    X(PROMOTED, "the next of a queue is run")                                \
    X(PROMOTED_LEAVING, "a queue worked off by one that is to leave")        \
    X(BEGUN_AHEAD, "begun before the result of the one before was told")     \
    X(RECALLED, "recalled from a busy worker")                               \
    X(RECALLED_DYING, "recalled, and killed before that was told")           \
    X(RECALL_UNCLAIMED, "recalled so early that the first was sent again")   \
    X(RECALL_DRAINED, "a recall that came too late for all of the queue")    \
    X(STALE_DROPPED, "a recalled task met by its old worker, and dropped")   \
    X(PATIENCE, "patience with a worker ended")                              \
    X(DEATH_WITH_QUEUE, "died with tasks ahead of time in its channel")      \
    X(DEATH_IN_QUEUE, "died having begun one of those")                      \
    X(HOSTILE_START, "said it has begun what it has not")                    \
    X(CLAIMED_UNMARKED, "recalled or dead between claim and beginning")      \
    X(CANCEL_RECALL, "cancelled ahead of time: recalled, asked again")       \
    X(CANCEL_QUEUED_DEAD, "cancelled ahead of time in dying or dead hands")  \
    X(DOUBTED, "may have begun: one behind it was cancelled in dying hands") \
    X(GRACE_QUEUE, "a queue ended with the grace of a kill")                 \
    X(GAVE_UP_QUEUE, "a queue ended when the shutdown gave up")              \
    X(BATCH, "several results told before settling")                         \
    X(BATCH_FULL, "as many as may be told")                                  \
    X(UNSETTLED_CALL, "another call drew the conclusions")                   \
    X(SUBMITTED_MANY, "several tasks added before settling")                 \
    X(EXPRESS_SENT, "sent ahead, as a submit's answer said")                 \
    X(EXPRESS_MANY, "so was one that was added with others")                 \
    X(EXPRESS_ENDED, "ended, as the answer to a result said")                \
    X(RETRIED, "a failed run is followed by another")                        \
    X(RETRIED_LAST, "the last run that was allowed failed, too")             \
    X(RETRIED_WELL, "completed after a failed run")                          \
    X(RETRY_REFUSED, "no budget for another run")                            \
    X(RETRY_AT_ONCE, "another run before the old worker was proven gone")    \
    X(RETRY_DRAINING, "retried while a shutdown drains")                     \
    X(ALL_PAUSED, "all that is left is in a pause")                          \
    X(RETRIED_ASKED, "one that was asked to end in vain is run again")       \
    X(RETRIED_RETURNED, "one that returned when asked to is run again")      \
    X(RETRY_CANCELLED, "a cancel keeps one that was asked from a retry")     \
    X(CANCEL_PAUSED, "cancelled in a pause")                                 \
    X(GROUP_PAUSED, "cancelled in a pause, with its group")                  \
    X(SHUTDOWN_PAUSED, "a shutdown ended one in a pause")                    \
    X(KIND_HELD, "a kind of tasks is held")                                  \
    X(KIND_REFUSED, "a task of a held kind is refused")                      \
    X(KIND_ENDED, "a pending task of a held kind ended")                     \
    X(KIND_TRIED, "the time of a held kind is up")                           \
    X(KIND_PARDONED, "a held kind was pardoned")                             \
    X(PLACE_WANTED, "places wanted of a governor")                           \
    X(PLACE_AWAITED, "workers missing, no place for them")                   \
    X(PLACE_GIVEN, "places given back")                                      \
    X(PLACE_SHARED, "no more than its share, because others wait")           \
    X(YIELDED, "an idle worker left for another pool")                       \
    X(ADMISSION_CLOSED, "tasks wait for memory")                             \
    X(ADMISSION_ONE, "one was started all the same: nothing ran")            \
    X(ADMISSION_STALE, "tasks wait for an answer, the last is too old")      \
    X(ADMISSION_OPENED, "memory is there again")                             \
    X(THREAD_SHUTDOWN, "a thread's task was asked to end by a shutdown")     \
    X(THREAD_NEXT, "so was the next of its queue when its turn came")        \
    X(THREAD_OUTLIVED, "a thread's task went on after the shutdown's end")   \
    X(THREAD_DEAF, "a thread's task was asked, and went on for seconds")     \
    X(THREAD_LATE_INIT, "a thread finalized after a late initializer")       \
    X(THREAD_STARVED, "a thread was long in beginning its task")             \
    X(THREAD_SLOW_ZYGOTE, "threads were started or proven gone very late")   \
    X(WAITS, "a task waits for others that it has submitted")                \
    X(WAIT_REFUSED, "one too many wanted to wait")                           \
    X(WAIT_NESTED, "one that is waited for waits")                           \
    X(WAIT_ALONE, "a backlog, and all that run wait")                        \
    X(WAIT_SURPLUS, "more run than may, because a wait has ended")           \
    X(WAIT_DIED, "a worker died while its task waited")                      \
    X(WAIT_LEFT, "what it waited for was cancelled")                         \
    X(WAIT_HUNG_UP, "a task waits no longer, and what is left is cancelled") \
    X(WAIT_ASKED, "one that waits is asked to end")                          \
    X(WAIT_DRAINING, "a task is waited for while a shutdown drains")         \
    X(DRESSED_HOPELESS, "a new outfit when nobody could be initialised")     \
    X(UNDRESSED_FAILED, "one failed in an outfit that was changed since")    \
    X(PROBED, "a probe task completed after the faults")

#define HN_SOMETIMES_ENUM(name, text) HN_##name,
enum hn_sometimes {
    HN_SOMETIMES(HN_SOMETIMES_ENUM) HN_SOMETIMES_N
};

struct hn_sim_coverage {
    uint64_t cells[LP_WORKER_STATES][LP_WORKER_EVENTS];
    uint64_t sometimes[HN_SOMETIMES_N];
    uint64_t calls; /* into the policy */
    uint64_t virtual_ns;
    uint32_t most_actions, most_actions_of; /* of one call, and the room there was for them */
};

struct hn_sim_options {
    uint64_t seed;
    uint32_t steps; /* users' calls and faults in one schedule; 0: drawn */
    bool trace;     /* keep the transcript */
    bool verbose;   /* and print it as it grows */
};

struct hn_sim;

struct hn_sim *hn_sim_new(void); /* NULL: no memory */
void hn_sim_free(struct hn_sim *sim);
/* Runs one schedule; adds to *coverage. NULL: all held, else the property that did not. */
const char *hn_sim_run(struct hn_sim *sim, const struct hn_sim_options *options,
                       struct hn_sim_coverage *coverage);
/* The last lines of the last run's transcript. */
void hn_sim_print_tail(const struct hn_sim *sim);

const char *hn_sim_event_name(enum lp_event_kind kind);
/* Can a worker in that state be told this by an honest supervisor? */
bool hn_sim_reachable(enum lp_worker_state state, enum lp_event_kind event);

#endif
