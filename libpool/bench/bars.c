/* SPDX-License-Identifier: MIT */
/*
 * What is held to what. A row without a bar is there to be read: it explains one that has a bar, or says
 * what a promise costs. Bars are never lowered to what is reached; a row that is missed says so in each
 * run, and PERFORMANCE.md says why.
 */
#include "bench.h"

#define AT_MOST(value_)                          \
    {                                            \
        .kind = BENCH_AT_MOST, .value = (value_) \
    }
#define AT_LEAST(value_)                          \
    {                                             \
        .kind = BENCH_AT_LEAST, .value = (value_) \
    }

const struct bench_ratio bench_ratios[] = {
    /* 1,024 tasks in flight, one submit a task, a future each */
    {"noop_throughput", {"libuv_throughput"}, AT_LEAST(1.5)},
    {"noop_throughput", {"onetbb_throughput"}, AT_LEAST(1.5)},
    {"noop_throughput", {"onetbb_wide_throughput"}, AT_LEAST(1.5)},
    {"noop_throughput", {"condition_throughput"}, AT_LEAST(8)},
    {"noop_throughput", {"floor_rings_throughput"}, AT_LEAST(0.5)},
    {"noop_throughput", {"fork_per_task"}, AT_LEAST(500)},
    {"noop_throughput", {"spawn_per_task"}, {0}},
    {"noop_throughput", {"glib_throughput"}, {0}},
    {"noop_throughput", {"futures_throughput"}, {0}},
    {"noop_patient_throughput", {"libuv_patient_throughput"}, {0}},
    {"noop_batch_throughput", {"floor_rings_batch_throughput"}, AT_LEAST(0.5)},
    {"noop_4_threads_throughput", {"noop_throughput"}, AT_LEAST(1)},
    {"noop_64_threads_throughput", {"noop_throughput"}, {0}},
    {"noop_throughput_2", {"floor_rings_throughput_2"}, {0}},

    /* one task at a time */
    {"noop_asleep_p50", {"floor_futex_asleep_p50"}, AT_MOST(1.3)},
    {"noop_asleep_one_core_p50", {"floor_futex_asleep_one_core_p50"}, AT_MOST(1.3)},
    {"noop_asleep_two_cores_p50", {"floor_futex_asleep_two_cores_p50"}, AT_MOST(1.3)},
    {"noop_roundtrip_p50", {"floor_rings_roundtrip_p50"}, AT_MOST(2)},
    {"noop_roundtrip_one_core_p50", {"floor_rings_one_core_p50"}, AT_MOST(2)},
    {"noop_roundtrip_two_cores_p50", {"floor_rings_two_cores_p50"}, AT_MOST(2)},
    {"noop_roundtrip_p50", {"libuv_roundtrip_p50"}, AT_MOST(0.2)},
    {"noop_roundtrip_p50", {"floor_futex_p50"}, {0}},
    {"noop_roundtrip_p99", {"floor_rings_roundtrip_p99"}, {0}},
    {"noop_asleep_p50", {"libuv_asleep_p50"}, {0}},

    /* payload, one way */
    {"payload_64mib_gbps", {"floor_ring_64mib_gbps"}, AT_LEAST(0.85)},
    {"payload_64mib_back_gbps", {"floor_ring_64mib_gbps"}, AT_LEAST(0.85)},
    {"payload_1gib_gbps", {"floor_ring_1gib_gbps"}, AT_LEAST(0.85)},
    {"payload_1gib_back_gbps", {"floor_ring_1gib_gbps"}, AT_LEAST(0.85)},
    {"payload_64mib_back_fresh_gbps", {"floor_ring_64mib_fresh_gbps"}, {0}},
    {"payload_1gib_back_gbps", {"floor_ring_1gib_fresh_gbps"}, {0}},
    {"memfd_1gib_us", {"memfd_64kib_us"}, AT_MOST(1.5)},

    /* deaths and deadlines */
    {"recovery_p50", {"floor_recovery_overlapped_p50"}, AT_MOST(1.5)},
    {"recovery_p50", {"floor_recovery_told_p50"}, {0}},
    {"recovery_spare_p50", {"floor_recovery_spare_p50"}, AT_MOST(2)},
    {"recovery_1gib_p50", {NULL}, AT_MOST(1000)},
    {"recovery_1gib_p50", {"recovery_p50"}, {0}},
    {"timeout_late_p99", {"floor_timerfd_late_p99"}, AT_MOST(2)},
    {"timeout_late_p50", {"floor_timerfd_late_p50"}, {0}},

    /* workers */
    {"spawn_p50", {"floor_zygote_answer_p50"}, AT_MOST(1.5)},
    {"workers_1000_up_ms", {NULL}, AT_MOST(300)},
    {"workers_1000_killed_ms", {NULL}, AT_MOST(300)},
    {"workers_1000_up_ms", {"floor_1000_up_ms"}, {0}},
    {"workers_1000_killed_ms", {"floor_1000_killed_ms"}, {0}},
    {"idle_worker_pss", {"floor_forked_pss"}, AT_MOST(1.5)},
    {"idle_worker_private", {"floor_forked_private"}, {0}},
    {"idle_wakeups", {NULL}, AT_MOST(0)},
    {"idle_cpu", {NULL}, {0}},

    /* scale */
    {"task_1000_workers_us", {"task_2_workers_us"}, AT_MOST(1.5)},
    {"lone_task_1000_workers_us", {"lone_task_2_workers_us"}, AT_MOST(1.5)},
    {"task_1000000_pending_us", {"task_10_pending_us"}, AT_MOST(1.5)},
    {"task_1000000_prioritised_us", {"task_1000000_pending_us"}, {0}},
    {"descriptors_held", {"descriptors_allowed"}, AT_MOST(1)},
    {"descriptors_held", {"descriptors_by_formula"}, AT_MOST(1)},
    {"descriptors_grown", {NULL}, AT_MOST(0)},
};

const size_t bench_ratio_count = sizeof bench_ratios / sizeof *bench_ratios;
