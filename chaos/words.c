/* SPDX-License-Identifier: MIT */
/*
 * The words of the language, family by family. The first sentence of a help text is what
 * `chaos explain` lists; order here is order there.
 */
#include <errno.h>
#include <signal.h>

#include "chaos/result.h"
#include "chaos/scenario.h"
#include "chaos/vocabulary.h"
#include "chaos/words.h"

static const struct ch_word statements[] = {
    {"chaos", CH_STATEMENT_CHAOS, 0, "chaos 1", NULL,
     "The first line: the version of the language."},
    {"scenario", CH_STATEMENT_SCENARIO, 0, "scenario \"one sentence: the property\"", NULL,
     "What has to hold, for people."},
    {"matrix", CH_STATEMENT_MATRIX, 0, "matrix NAME = VALUE | VALUE...", NULL,
     "Runs the scenario once with each value; $NAME stands for it in the lines below."},
    {"must-fail", CH_STATEMENT_MUST_FAIL, 0, "must-fail CHECKER [WORD]", NULL,
     "For `chaos must-fail`: this scenario has to be objected to, by this checker."},
    {"pool", CH_STATEMENT_POOL, 0, "pool NAME [KEY=VALUE...]", ch_keys_pool,
     "The pool under test."},
    {"host", CH_STATEMENT_HOST, 0, "host KEY=VALUE...", ch_keys_host,
     "How the application around the pool behaves."},
    {"load", CH_STATEMENT_LOAD, 0, "load", NULL, "The tasks; one submit a line below."},
    {"timeline", CH_STATEMENT_TIMELINE, 0, "timeline", NULL,
     "What happens to them; one \"TRIGGER : ACTION\" a line below."},
    {"expect", CH_STATEMENT_EXPECT, 0, "expect", NULL,
     "What has to hold in the end; one a line below. Trouble counters not named must be 0, and so "
     "must workers_ended.completed where no worker has a reason to leave."},
};

static const struct ch_word headings[] = {
    {"needs", CH_HEADING_NEEDS, 0, "needs CAPABILITY...", NULL,
     "What the machine must be able to do; else the scenario is skipped."},
    {"limit", CH_HEADING_LIMIT, 0, "limit 100ms..1h", NULL,
     "The watchdog of the whole run; 30s when not given."},
};

static const struct ch_word loads[] = {
    {"submit", CH_ACTION_SUBMIT, 0, "submit 1..65000 task=KIND [KEY=VALUE...] [as NAME]",
     ch_keys_submit, "Hands so many equal tasks to the pool."},
};

static const struct ch_word tasks[] = {
    {"noop", CH_TASK_NOOP, 0, NULL, NULL, "Returns at once."},
    {"sleep", CH_TASK_SLEEP, 0, NULL, ch_keys_work, "Sleeps, then completes."},
    {"spin", CH_TASK_SPIN, 0, NULL, ch_keys_work, "Burns CPU, then completes."},
    {"fail", CH_TASK_FAIL, 0, NULL, ch_keys_code, "Returns an error code."},
    {"hog", CH_TASK_HOG, 0, NULL, ch_keys_hog, "Touches memory, holds it, frees it, completes."},
    {"echo", CH_TASK_ECHO, 0, NULL, ch_keys_echo,
     "Replies its input; the application compares every byte."},
    {"exit", CH_TASK_EXIT, 0, NULL, ch_keys_exit_code, "Calls exit()."},
    {"_exit", CH_TASK_EXIT_NOW, 0, NULL, ch_keys_exit_code, "Calls _exit()."},
    {"segv", CH_TASK_SEGV, 0, NULL, NULL, "Writes to an address that is not mapped."},
    {"abort", CH_TASK_ABORT, 0, NULL, NULL, "Calls abort()."},
    {"bus", CH_TASK_BUS, 0, NULL, NULL, "Touches a page beyond the end of its file."},
    {"fpe", CH_TASK_FPE, 0, NULL, NULL, "Divides by zero."},
    {"ill", CH_TASK_ILL, 0, NULL, NULL, "Executes an instruction that does not exist."},
    {"stack-overflow", CH_TASK_STACK_OVERFLOW, 0, NULL, NULL, "Recurses until the stack ends."},
    {"hang", CH_TASK_HANG, 0, NULL, NULL, "Sleeps for ever."},
    {"spin-forever", CH_TASK_SPIN_FOREVER, 0, NULL, NULL, "Burns CPU for ever, no system call."},
    {"stop-self", CH_TASK_STOP_SELF, 0, NULL, NULL, "Sends SIGSTOP to itself."},
    {"block-signals", CH_TASK_BLOCK_SIGNALS, 0, NULL, NULL,
     "Blocks every signal that can be, then sleeps for ever."},
    {"grandchild", CH_TASK_GRANDCHILD, 0, NULL, ch_keys_grandchild,
     "Starts descendants that live for ever."},
    {"leak-fds", CH_TASK_LEAK_FDS, 0, NULL, NULL,
     "Opens descriptors until EMFILE, leaves them open, completes."},
    {"die", CH_TASK_DIE, 0, NULL, ch_keys_die, "Raises a signal with its default action."},
    {"scribble", CH_TASK_SCRIBBLE, 0, NULL, NULL, "Writes garbage over its worker's channel."},
    {"kill-self", CH_TASK_KILL_SELF, 0, NULL, NULL, "Sends SIGKILL to itself."},
    {"hog-tree", CH_TASK_HOG_TREE, 0, NULL, ch_keys_hog_tree,
     "Its children do what a hog does; it waits for them, and fails if one is killed."},
    {"leak", CH_TASK_LEAK, 0, NULL, ch_keys_leak, "Touches memory, keeps it, completes."},
    {"heed", CH_TASK_HEED, 0, NULL, ch_keys_maybe_work,
     "Waits until it is asked to end, works for so long, completes."},
    {"beat", CH_TASK_BEAT, 0, NULL, ch_keys_work,
     "Gives signs of life for so long, then sleeps for ever."},
    {"emit", CH_TASK_EMIT, 0, NULL, ch_keys_emit,
     "Sends parts; the application looks that each comes, in order, byte for byte."},
    {"held", CH_TASK_HELD, 0, NULL, NULL,
     "Waits until the timeline releases its group, then completes."},
    {"trespass", CH_TASK_TRESPASS, 0, NULL, ch_keys_trespass,
     "Makes a system call that a sandbox may forbid; it dies of SIGSYS then, or completes."},
    {"call", CH_TASK_CALL, 0, NULL, ch_keys_call,
     "Has others of its pool work and waits for them; who may not wait works by itself."},
};

static const struct ch_word triggers[] = {
    {"at", CH_TRIGGER_AT, 0, "at T", NULL, "So long after the load began."},
    {"+T", CH_TRIGGER_THEN, 0, "+T", NULL, "So long after the step before took effect."},
    {"on", CH_TRIGGER_ON, 0, "on EVENT [KEY=VALUE...] [within T] [as NAME]", ch_keys_on,
     "When something happens; see `chaos explain event`."},
    {"every", CH_TRIGGER_EVERY, 0, "every T for T", NULL, "Again and again, for so long."},
    {"after", CH_TRIGGER_AFTER_LOAD, 0, "after load", NULL,
     "When all tasks submitted so far have ended."},
};

#define TASK_GATE (CH_EVENT_GATE | CH_EVENT_OF_TASKS | CH_EVENT_HAS_WORKER)
#define TASK_EVENT (CH_EVENT_OF_TASKS | CH_EVENT_HAS_WORKER)
#define WORKER_EVENT (CH_EVENT_OF_WORKER | CH_EVENT_HAS_WORKER)

static const struct ch_word events[] = {
    {"task-start", CH_EVENT_TASK_START, TASK_GATE, NULL, NULL,
     "In the worker, before the task's own code; a gate: the task waits until the action holds."},
    {"task-end", CH_EVENT_TASK_END, TASK_EVENT, NULL, NULL,
     "In the worker, after the task's own code."},
    {"worker-init", CH_EVENT_WORKER_INIT, CH_EVENT_GATE | WORKER_EVENT, NULL, NULL,
     "In the initializer; a gate."},
    {"worker-final", CH_EVENT_WORKER_FINAL, CH_EVENT_GATE | WORKER_EVENT, NULL, NULL,
     "In the finalizer; a gate."},
    {"task-received", CH_EVENT_TASK_RECEIVED, CH_EVENT_OF_TASKS, NULL, NULL,
     "The pool has taken a task."},
    {"task-launched", CH_EVENT_TASK_LAUNCHED, TASK_EVENT, NULL, NULL,
     "The pool has handed a task to a worker."},
    {"task-returned", CH_EVENT_TASK_RETURNED, TASK_EVENT, NULL, NULL,
     "A task is back in the backlog: its worker died before the start."},
    {"task-retried", CH_EVENT_TASK_RETRIED, TASK_EVENT, NULL, NULL,
     "A run of a task has failed, another will follow."},
    {"kind-quarantined", CH_EVENT_KIND_QUARANTINED, TASK_EVENT, NULL, NULL,
     "Too many workers have died of a family of tasks."},
    {"task-ended", CH_EVENT_TASK_ENDED, TASK_EVENT, NULL, NULL, "A future has ended."},
    {"worker-spawned", CH_EVENT_WORKER_SPAWNED, WORKER_EVENT, NULL, NULL, "A worker was forked."},
    {"worker-ready", CH_EVENT_WORKER_READY, WORKER_EVENT, NULL, NULL, "A worker takes tasks."},
    {"worker-retired", CH_EVENT_WORKER_RETIRED, WORKER_EVENT, NULL, NULL,
     "A worker was told to leave."},
    {"worker-killed", CH_EVENT_WORKER_KILLED, WORKER_EVENT, NULL, NULL,
     "The pool has killed a worker."},
    {"worker-exited", CH_EVENT_WORKER_EXITED, WORKER_EVENT, NULL, NULL, "A worker is dead."},
    {"admission-paused", CH_EVENT_ADMISSION_PAUSED, 0, NULL, NULL,
     "There is no memory left: tasks start one at a time."},
    {"admission-resumed", CH_EVENT_ADMISSION_RESUMED, 0, NULL, NULL, "There is memory again."},
    {"spawn-failed", CH_EVENT_SPAWN_FAILED, 0, NULL, NULL, "The kernel refused a fork."},
    {"init-failed", CH_EVENT_INIT_FAILED, CH_EVENT_HAS_WORKER, NULL, NULL,
     "An initializer has failed."},
    {"zygote-started", CH_EVENT_ZYGOTE_STARTED, 0, NULL, NULL, "A zygote is up."},
    {"zygote-lost", CH_EVENT_ZYGOTE_LOST, 0, NULL, NULL, "The zygote is dead."},
    {"shutdown-begun", CH_EVENT_SHUTDOWN_BEGUN, CH_EVENT_OF_SHUTDOWN, NULL, NULL,
     "The pool goes down."},
    {"shutdown-done", CH_EVENT_SHUTDOWN_DONE, CH_EVENT_OF_SHUTDOWN, NULL, NULL,
     "The pool is down."},
    {"task-asked", CH_EVENT_TASK_ASKED, TASK_EVENT, NULL, NULL,
     "A task was asked to end; its grace begins."},
    {"recycle-begun", CH_EVENT_RECYCLE_BEGUN, 0, NULL, NULL, "All workers are to be replaced."},
    {"drained", CH_EVENT_DRAINED, 0, NULL, NULL, "The last task that was left has ended."},
    {"part-taken", CH_EVENT_PART_TAKEN, CH_EVENT_OF_TASKS, NULL, NULL,
     "The application has taken a part that a task has sent."},
    {"task-refused", CH_EVENT_TASK_REFUSED, CH_EVENT_OF_TASKS, NULL, NULL,
     "libpool_submit has refused a task."},
    {"task-submitted", CH_EVENT_TASK_SUBMITTED, CH_EVENT_OF_TASKS, NULL, NULL,
     "libpool_submit, or a client's libpool_remote_submit, has taken a task."},
    {"pool-closed", CH_EVENT_POOL_CLOSED, 0, NULL, NULL, "libpool_close has returned."},
};

#define UNDONE (CH_ACTION_FAULT | CH_ACTION_UNDONE)

static const struct ch_word actions[] = {
    {"kill", CH_ACTION_KILL, CH_ACTION_FAULT, "kill worker=SEL|zygote|host|client=N signal=NAME",
     ch_keys_kill, "Sends a signal. It fires when the process has died, stopped or gone on of it."},
    {"stop", CH_ACTION_STOP, CH_ACTION_FAULT, "stop worker=SEL|zygote|client=N", ch_keys_stop,
     "Sends SIGSTOP."},
    {"cont", CH_ACTION_CONT, CH_ACTION_FAULT, "cont worker=SEL|zygote|client=N", ch_keys_stop,
     "Sends SIGCONT."},
    {"memcg", CH_ACTION_MEMCG, UNDONE, NULL, ch_keys_memcg,
     "Sets a hard memory limit: the kernel's OOM killer does the rest."},
    {"pids", CH_ACTION_PIDS, UNDONE, NULL, ch_keys_pids,
     "Limits the target's processes: forks fail with EAGAIN."},
    {"fill-fds", CH_ACTION_FILL_FDS, UNDONE, NULL, ch_keys_fill_fds,
     "Fills a descriptor table to its limit, from inside."},
    {"pressure", CH_ACTION_PRESSURE, UNDONE, NULL, ch_keys_pressure,
     "Runs stress-ng beside the target."},
    {"undo", CH_ACTION_UNDO, 0, "undo NAME|memcg|pids|fill-fds|pressure", NULL,
     "Takes a fault back: a named one, or all of a kind. Waits for one that is under way."},
    {"cancel", CH_ACTION_CANCEL, 0, "cancel NAME [nth=N|at-once=yes]", ch_keys_cancel,
     "Cancels tasks of a group. It has to find one that has not ended."},
    {"shutdown", CH_ACTION_SHUTDOWN, 0, NULL, ch_keys_shutdown, "Calls libpool_shutdown."},
    {"submit", CH_ACTION_SUBMIT, 0, "submit 1..65000 task=KIND [KEY=VALUE...] [as NAME]",
     ch_keys_submit, "Hands tasks to the pool, as in the load."},
    {"close", CH_ACTION_CLOSE, 0, NULL, NULL,
     "Calls libpool_close. The counters that are judged in the end are those just before it."},
    {"expect", CH_ACTION_EXPECT, 0, "expect FIELD=VALUE... | expect counter NAME == N", NULL,
     "Looks at the event that triggered it, or at a counter, now."},
    {"settle", CH_ACTION_SETTLE, 0, NULL, ch_keys_settle,
     "Waits until nothing is pending, running or starting and the pool has the strength it wants."},
    {"recycle", CH_ACTION_RECYCLE, 0, NULL, ch_keys_recycle,
     "Calls libpool_recycle: every worker is replaced."},
    {"dress", CH_ACTION_DRESS, 0, NULL, NULL,
     "Calls libpool_set_outfit: workers that start later wear something else; see wears=N."},
    {"drain", CH_ACTION_DRAIN, 0, NULL, ch_keys_settle,
     "Calls libpool_drain: waits until nothing is pending or running."},
    {"release", CH_ACTION_RELEASE, 0, "release NAME", NULL, "Lets held tasks of a group go on."},
    {"unserve", CH_ACTION_UNSERVE, 0, NULL, ch_keys_shutdown,
     "Calls libpool_remote_server_close: the clients' tasks end, the pool stays."},
    {"noise", CH_ACTION_NOISE, CH_ACTION_FAULT, NULL, ch_keys_noise,
     "Connects to where the pool is served and sends random bytes. It fires when the server has "
     "ended it."},
    {"note", CH_ACTION_NOTE, 0, "note \"text\"", NULL, "Writes a line into the history."},
};

static const struct ch_word fields[] = {
    {"cause", CH_CHECK_CAUSE, 0, "cause=CAUSE", NULL, "Why the task or worker ended."},
    {"signal", CH_CHECK_SIGNAL, 0, "signal=NAME", NULL, "The signal that the worker died of."},
    {"code", CH_CHECK_CODE, 0, "code=N", NULL, "What the task returned, or the exit code."},
    {"errno", CH_CHECK_ERRNO, 0, "errno=NAME", NULL,
     "Of spawn-failed and shutdown-done: the error; none: there is none."},
    {"pid", CH_CHECK_PID, 0, "pid=NAME.pid", NULL, "The worker's pid, compared with another's."},
    {"slot", CH_CHECK_SLOT, 0, "slot=N|NAME.slot", NULL, "The worker's slot."},
    {"counter", CH_CHECK_COUNTER, 0, "counter NAME == N | counter NAME in A..B because \"...\"",
     NULL, "A counter of the pool at this moment."},
};

static const struct ch_word expectations[] = {
    {"fired", CH_EXPECT_FIRED, 0, "fired ACTION|NAME == N | fired ... in A..B because \"...\"",
     NULL, "How often a fault took effect; that each did at all is implied."},
    {"kernel", CH_EXPECT_KERNEL, 0, "kernel COUNTER == N | kernel ... in A..B because \"...\"",
     NULL, "The cgroup's own counter, not ours."},
    {"counter", CH_EXPECT_COUNTER, 0, "counter NAME == N | counter ... in A..B because \"...\"",
     NULL,
     "A counter of the pool, once it has settled. With a `close` in the timeline, just before it; "
     "of "
     "an application that is killed, in its last sample, and only `in A..B`."},
    {"task", CH_EXPECT_TASK, 0, "task NAME cause=CAUSE [KEY=VALUE...] [late <= T]", ch_keys_task,
     "How the tasks of a group end."},
    {"recovery", CH_EXPECT_RECOVERY, 0, "recovery <= T", NULL,
     "From the last fault's end to full strength and a probe task's result."},
    {"host", CH_EXPECT_HOST, 0, "host alive|dead", NULL,
     "Whether the application lives in the end; alive when not said."},
    {"invariant", CH_EXPECT_INVARIANT, 0, "invariant all [except I1..I11... because \"...\"]", NULL,
     "The never-broken invariant; checked even when not said."},
};

static const struct ch_word counters[] = {
    {"tasks_received", CH_TASKS_RECEIVED, 0, NULL, NULL, "Tasks that the pool has taken."},
    {"tasks_launched", CH_TASKS_LAUNCHED, 0, NULL, NULL, "Handed to a worker at least once."},
    {"tasks_failed", CH_TASKS_FAILED, 0, NULL, NULL,
     "Ended neither completed, cancelled nor by shutdown."},
    {"tasks_pending", CH_TASKS_PENDING, 0, NULL, NULL, "In the backlog now."},
    {"tasks_running", CH_TASKS_RUNNING, 0, NULL, NULL, "With a worker now."},
    {"tasks_rejected", CH_TASKS_REJECTED, 0, NULL, NULL, "Refused by submit."},
    {"tasks_returned", CH_TASKS_RETURNED, 0, NULL, NULL,
     "Put back into the backlog: their worker died before the start."},
    {"tasks_retried", CH_TASKS_RETRIED, 0, NULL, NULL,
     "Runs that failed and were followed by another."},
    {"kinds_held", CH_KINDS_HELD, 0, NULL, NULL, "Quarantines that have begun."},
    {"admission_pauses", CH_ADMISSION_PAUSES, 0, NULL, NULL,
     "Times that there was no memory left to start tasks."},
    {"ended", CH_TASKS_ENDED, CH_COUNTER_BY_CAUSE, "ended.CAUSE", NULL, "Tasks by how they ended."},
    {"worker_processes_created", CH_WORKER_PROCESSES_CREATED, 0, NULL, NULL, "Workers ever."},
    {"worker_processes_still_alive", CH_WORKER_PROCESSES_STILL_ALIVE, 0, NULL, NULL,
     "Workers now."},
    {"worker_processes_idle", CH_WORKER_PROCESSES_IDLE, 0, NULL, NULL, "Without a task now."},
    {"worker_processes_busy", CH_WORKER_PROCESSES_BUSY, 0, NULL, NULL, "With a task now."},
    {"max_workers_busy_concurrently", CH_MAX_WORKERS_BUSY_CONCURRENTLY, 0, NULL, NULL,
     "The most that were ever busy at once."},
    {"workers_ended", CH_WORKERS_ENDED, CH_COUNTER_BY_CAUSE, "workers_ended.CAUSE", NULL,
     "Workers by how they ended."},
    {"spawns_failed", CH_SPAWNS_FAILED, 0, NULL, NULL, "Forks refused by the kernel."},
    {"initializers_failed", CH_INITIALIZERS_FAILED, 0, NULL, NULL,
     "Initializers that failed, died or overran."},
    {"finalizers_started", CH_FINALIZERS_STARTED, 0, NULL, NULL, "Finalizers that began."},
    {"finalizers_ok", CH_FINALIZERS_OK, 0, NULL, NULL, "Finalizers that returned."},
    {"finalizers_failed", CH_FINALIZERS_FAILED, 0, NULL, NULL, "Finalizers that died or overran."},
    {"zygotes_started", CH_ZYGOTES_STARTED, 0, NULL, NULL, "Zygotes ever."},
    {"zygotes_lost", CH_ZYGOTES_LOST, 0, NULL, NULL, "Zygotes that died unasked."},
    {"workers_outgrown", CH_WORKERS_OUTGROWN, 0, NULL, NULL,
     "Workers that were told to leave for their memory."},
    {"degraded", CH_DEGRADED, 0, NULL, NULL, "1 while the pool can't reach the strength it wants."},
    {"tasks_asked", CH_TASKS_ASKED, 0, NULL, NULL, "Asked to end, before a kill."},
    {"sessions_accepted", CH_SESSIONS_ACCEPTED, 0, NULL, NULL, "Connections to the pool's server."},
    {"sessions_left", CH_SESSIONS_LEFT, 0, NULL, NULL, "Of them, closed by the other end."},
    {"sessions_malformed", CH_SESSIONS_MALFORMED, 0, NULL, NULL, "Ended for nonsense."},
    {"sessions_stalled", CH_SESSIONS_STALLED, 0, NULL, NULL, "Ended for they took nothing."},
    {"tasks_served", CH_TASKS_SERVED, 0, NULL, NULL, "Tasks that the server has had of clients."},
    {"results_dropped", CH_RESULTS_DROPPED, 0, NULL, NULL,
     "Of tasks whose client was gone when they ended."},
};

static const struct ch_word kernel_counters[] = {
    {"oom_kill", CH_KERNEL_OOM_KILL, 0, NULL, NULL,
     "Processes that the OOM killer took from the workers' memory cgroups."},
    {"pids_max", CH_KERNEL_PIDS_MAX, 0, NULL, NULL, "Forks that the pids cgroup refused."},
};

/* libpool_cause_name() says the same; a test holds them together. */
static const struct ch_word causes[] = {
    {"completed", LIBPOOL_COMPLETED, 0, NULL, NULL,
     "Task: returned 0. Worker: left in order when told to."},
    {"error", LIBPOOL_ERROR, 0, NULL, NULL, "Returned another value."},
    {"crash", LIBPOOL_CRASH, 0, NULL, NULL, "Died of a fault signal: SEGV, BUS, FPE, ABRT..."},
    {"exit", LIBPOOL_EXIT, 0, NULL, NULL, "Left without a result, whatever the exit code."},
    {"oom", LIBPOOL_OOM, 0, NULL, NULL, "Killed by the kernel's OOM killer."},
    {"timeout", LIBPOOL_TIMEOUT, 0, NULL, NULL,
     "Overran its run timeout, or gave no sign of life."},
    {"queue-timeout", LIBPOOL_QUEUE_TIMEOUT, 0, NULL, NULL, "Waited too long, never started."},
    {"cancelled", LIBPOOL_CANCELLED, 0, NULL, NULL, "Cancelled."},
    {"killed", LIBPOOL_KILLED, 0, NULL, NULL, "Killed from outside."},
    {"init-failed", LIBPOOL_INIT_FAILED, 0, NULL, NULL,
     "Worker: its initializer failed. Task: no worker could be initialised."},
    {"final-failed", LIBPOOL_FINAL_FAILED, 0, NULL, NULL, "The finalizer failed."},
    {"shutdown", LIBPOOL_SHUTDOWN, 0, NULL, NULL, "Ended by the pool's shutdown."},
    {"corrupt", LIBPOOL_CORRUPT, 0, NULL, NULL, "Wrote nonsense into its channel."},
    {"lost", LIBPOOL_LOST, 0, NULL, NULL, "Dead, and nobody was left who could tell why."},
    {"memory", LIBPOOL_MEMORY, 0, NULL, NULL, "Killed by the pool: seen above memory-limit."},
    {"quarantined", LIBPOOL_QUARANTINED, 0, NULL, NULL,
     "Not run: too many workers had died of its family."},
};

static const struct ch_word selectors[] = {
    {"one", CH_WORKER_ONE, 0, NULL, NULL, "Any worker, drawn from the seed."},
    {"all", CH_WORKER_ALL, 0, NULL, NULL, "Every worker."},
    {"busy", CH_WORKER_BUSY, 0, NULL, NULL, "A worker that runs a task."},
    {"idle", CH_WORKER_IDLE, 0, NULL, NULL, "A worker without a task."},
    {"starting", CH_WORKER_STARTING, 0, NULL, NULL, "A worker that is not ready yet."},
    {"retiring", CH_WORKER_RETIRING, 0, NULL, NULL, "A worker that was told to leave."},
    {"oldest", CH_WORKER_OLDEST, 0, NULL, NULL, "The worker that lives longest."},
    {"slot:N", CH_WORKER_SLOT, 0, NULL, NULL, "The worker in slot N."},
    {"N%", CH_WORKER_PERCENT, 0, NULL, NULL, "So many of them, drawn from the seed."},
    {"NAME", CH_WORKER_NAME, 0, NULL, NULL,
     "The worker that a name stands for; of a group of tasks, those that run them."},
};

static const struct ch_word capabilities[] = {
    {"memcg", CH_NEEDS_MEMCG, 0, NULL, NULL, "A memory cgroup of our own."},
    {"pids-cgroup", CH_NEEDS_PIDS_CGROUP, 0, NULL, NULL, "A pids cgroup of our own."},
    {"cgroup-kill", CH_NEEDS_CGROUP_KILL, 0, NULL, NULL, "cgroup.kill."},
    {"freezer", CH_NEEDS_FREEZER, 0, NULL, NULL, "A freezer cgroup of our own."},
    {"root", CH_NEEDS_ROOT, 0, NULL, NULL, "To be root."},
    {"user", CH_NEEDS_USER, 0, NULL, NULL, "Not to be root."},
    {"stress-ng", CH_NEEDS_STRESS_NG, 0, NULL, NULL, "The stress-ng command."},
    {"seccomp", CH_NEEDS_SECCOMP, 0, NULL, NULL, "A seccomp rule that answers a system call."},
};

static const struct ch_word checkers[] = {
    {"I1", 1, 0, NULL, NULL, "Resolution: every accepted task ends once, with the true cause."},
    {"I2", 2, 0, NULL, NULL, "Books: every snapshot balances, no counter goes back."},
    {"I3", 3, 0, NULL, NULL, "Liveness: the pool settles and a probe task completes."},
    {"I4", 4, 0, NULL, NULL, "No residue: no process, descriptor, mapping, cgroup is left."},
    {"I5", 5, 0, NULL, NULL, "Isolation: other tasks complete, byte-exact."},
    {"I6", 6, 0, NULL, NULL, "Bounded: no call outlives its bound."},
    {"I7", 7, 0, NULL, NULL, "Certainty: nothing runs twice; not started leaves no trace."},
    {"I8", 8, 0, NULL, NULL, "Own processes only: a process beside the target is never touched."},
    {"I9", 9, 0, NULL, NULL, "Containment: corrupt shared memory costs that worker only."},
    {"I10", 10, 0, NULL, NULL, "Finalizer: at most once a worker, bounded."},
    {"I11", 11, 0, NULL, NULL, "Host unharmed: signals, children, descriptors as before."},
    {"counter", 0, CH_CHECKER_MORE, "counter [NAME]", NULL, "An expected counter."},
    {"fired", 0, 0, NULL, NULL, "A fault's count, or its absence."},
    {"kernel", 0, CH_CHECKER_MORE, "kernel [COUNTER]", NULL, "The cgroup's own counter."},
    {"task", 0, CH_CHECKER_MORE, "task [NAME|late]", NULL,
     "How a group of tasks ended, or how long after their timeout."},
    {"recovery", 0, 0, NULL, NULL, "The time to full strength."},
    {"host", 0, 0, NULL, NULL, "Whether the application lives."},
    {"expect", 0, CH_CHECKER_MORE, "expect [FIELD]", NULL, "An expect in the timeline."},
    {"within", 0, 0, NULL, NULL,
     "A trigger that came too late, or not at all. One of a fault: inconclusive."},
    {"settle", 0, 0, NULL, NULL, "A settle that took too long."},
    {"timeline", 0, 0, NULL, NULL, "A step that could not be done, or showed nothing."},
    {"numbers", 0, 0, NULL, NULL, "Counters and times that nobody could read."},
    {"limit", 0, 0, NULL, NULL, "The scenario's watchdog."},
};

#define SIGNAL(name, text)                    \
    {                                         \
#name, SIG##name, 0, NULL, NULL, text \
    }

static const struct ch_word signals[] = {
    SIGNAL(KILL, "Can't be caught."),
    SIGNAL(TERM, "Asks to end."),
    SIGNAL(INT, "Ctrl-C."),
    SIGNAL(HUP, "Terminal gone."),
    SIGNAL(QUIT, "Ctrl-\\."),
    SIGNAL(SEGV, "Bad address."),
    SIGNAL(ABRT, "abort()."),
    SIGNAL(BUS, "Bad page."),
    SIGNAL(FPE, "Bad arithmetic."),
    SIGNAL(ILL, "Bad instruction."),
    SIGNAL(TRAP, "Breakpoint."),
    SIGNAL(SYS, "Bad system call."),
    SIGNAL(XCPU, "CPU limit."),
    SIGNAL(XFSZ, "File size limit."),
    SIGNAL(USR1, "The application's own."),
    SIGNAL(USR2, "The application's own."),
    SIGNAL(PIPE, "No reader."),
    SIGNAL(ALRM, "Timer."),
    SIGNAL(CHLD, "A child changed."),
    SIGNAL(STOP, "Stops; can't be caught."),
    SIGNAL(CONT, "Goes on."),
    SIGNAL(TSTP, "Ctrl-Z."),
};

#define ERRNO(name, text)                \
    {                                    \
#name, name, 0, NULL, NULL, text \
    }

static const struct ch_word errnos[] = {
    {"none", 0, 0, NULL, NULL, "No error."},
    ERRNO(EAGAIN, "Try again: a limit on processes."),
    ERRNO(EMFILE, "Descriptor table full."),
    ERRNO(ENFILE, "File table full."),
    ERRNO(ENOMEM, "No memory."),
    ERRNO(ETIME, "Deadline over."),
    ERRNO(ETIMEDOUT, "Timed out."),
    ERRNO(ESHUTDOWN, "Shut down."),
    ERRNO(EDEADLK, "Would wait for itself."),
    ERRNO(EPERM, "Not permitted."),
    ERRNO(EPIPE, "Nobody at the other end."),
};

static const struct ch_word time_units[] = {
    {"us", 1, 0, NULL, NULL, "Microseconds."},
    {"ms", 1000, 0, NULL, NULL, "Milliseconds."},
    {"s", 1000000, 0, NULL, NULL, "Seconds."},
    {"min", 60000000, 0, NULL, NULL, "Minutes."},
};

static const struct ch_word size_units[] = {
    {"KiB", 1 << 10, 0, NULL, NULL, "1024 bytes."},
    {"MiB", 1 << 20, 0, NULL, NULL, "1024 KiB."},
    {"GiB", 1 << 30, 0, NULL, NULL, "1024 MiB."},
    {"B", 1, 0, NULL, NULL, "Bytes."},
};

#define FAMILY(list) list, sizeof(list) / sizeof((list)[0])

const struct ch_words ch_words[CH_FAMILIES] = {
    [CH_FAMILY_STATEMENT] = {"statement", "a statement", FAMILY(statements)},
    [CH_FAMILY_HEADING] = {"heading", "a line of 'scenario'", FAMILY(headings)},
    [CH_FAMILY_LOAD] = {"load", "a line of 'load'", FAMILY(loads)},
    [CH_FAMILY_TASK] = {"task", "a kind of task", FAMILY(tasks)},
    [CH_FAMILY_TRIGGER] = {"trigger", "a trigger", FAMILY(triggers)},
    [CH_FAMILY_EVENT] = {"event", "an event", FAMILY(events)},
    [CH_FAMILY_ACTION] = {"action", "an action", FAMILY(actions)},
    [CH_FAMILY_FIELD] = {"field", "something 'expect' can look at", FAMILY(fields)},
    [CH_FAMILY_EXPECTATION] = {"expectation", "an expectation", FAMILY(expectations)},
    [CH_FAMILY_COUNTER] = {"counter", "a counter", FAMILY(counters)},
    [CH_FAMILY_KERNEL] = {"kernel", "a kernel counter", FAMILY(kernel_counters)},
    [CH_FAMILY_CAUSE] = {"cause", "a cause", FAMILY(causes)},
    [CH_FAMILY_SELECTOR] = {"worker", "a choice of workers", FAMILY(selectors)},
    [CH_FAMILY_CAPABILITY] = {"capability", "a capability", FAMILY(capabilities)},
    [CH_FAMILY_CHECKER] = {"checker", "a checker", FAMILY(checkers)},
    [CH_FAMILY_SIGNAL] = {"signal", "a signal", FAMILY(signals)},
    [CH_FAMILY_ERRNO] = {"errno", "an error", FAMILY(errnos)},
    [CH_FAMILY_TIME_UNIT] = {"time", "a unit of time", FAMILY(time_units)},
    [CH_FAMILY_SIZE_UNIT] = {"size", "a unit of size", FAMILY(size_units)},
};
