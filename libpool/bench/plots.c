/* SPDX-License-Identifier: MIT */
/* Only numbers of one unit stand in one plot; all axes are logarithmic. */
#include "plots.h"

const struct bench_bars bench_bars[] = {
    {"No-op tasks a second, 1,024 in flight",
     {"noop_throughput", "noop_patient_throughput", "noop_batch_throughput",
      "noop_4_threads_throughput", "floor_rings_throughput", "floor_rings_batch_throughput",
      "condition_throughput", "libuv_throughput", "glib_throughput", "onetbb_throughput",
      "futures_throughput", "pebble_throughput", "loky_throughput", "fork_per_task",
      "spawn_per_task"}},
    {"One no-op task after the other: round trip, &micro;s",
     {"noop_roundtrip_p50", "floor_rings_roundtrip_p50", "floor_futex_p50", "floor_eventfd_p50",
      "condition_roundtrip_p50", "libuv_roundtrip_p50", "glib_roundtrip_p50",
      "futures_roundtrip_p50", "pebble_roundtrip_p50", "loky_roundtrip_p50",
      "floor_fork_wait_p50"}},
    {"The same after 1 ms of sleep, &micro;s",
     {"noop_asleep_p50", "floor_futex_asleep_p50", "noop_asleep_one_core_p50",
      "floor_futex_asleep_one_core_p50", "noop_asleep_two_cores_p50",
      "floor_futex_asleep_two_cores_p50", "condition_asleep_p50", "libuv_asleep_p50",
      "glib_asleep_p50", "futures_asleep_p50", "pebble_asleep_p50", "loky_asleep_p50"}},
    {"Payload, GB/s",
     {"payload_64mib_gbps", "payload_64mib_back_gbps", "payload_1gib_gbps",
      "payload_1gib_back_gbps", "floor_ring_64mib_gbps", "floor_ring_64mib_fresh_gbps",
      "floor_ring_1gib_gbps", "floor_ring_1gib_fresh_gbps", "floor_memcpy_gbps",
      "floor_memcpy_fresh_gbps"}},
    {"From the death of a worker to its replacement's first result, &micro;s",
     {"recovery_p50", "recovery_1gib_p50", "recovery_spare_p50", "floor_recovery_overlapped_p50",
      "floor_recovery_told_p50", "floor_recovery_spare_p50", "floor_kill_to_pidfd_p50",
      "floor_zygote_answer_p50"}},
};

const size_t bench_bars_count = sizeof bench_bars / sizeof *bench_bars;

const struct bench_line bench_lines[] = {
    {"A task's cost as workers grow, &micro;s",
     "workers",
     {{2, "task_2_workers_us"},
      {10, "task_10_workers_us"},
      {100, "task_100_workers_us"},
      {1000, "task_1000_workers_us"}}},
    {"A lone task's round trip as workers grow, &micro;s",
     "workers",
     {{2, "lone_task_2_workers_us"},
      {10, "lone_task_10_workers_us"},
      {100, "lone_task_100_workers_us"},
      {1000, "lone_task_1000_workers_us"}}},
    {"A task's cost as the backlog grows, &micro;s",
     "pending",
     {{10, "task_10_pending_us"},
      {1000, "task_1000_pending_us"},
      {100000, "task_100000_pending_us"},
      {1000000, "task_1000000_pending_us"}}},
    {"An echo as the payload grows, &micro;s",
     "bytes (the first: none)",
     {{1, "echo_0_us"},
      {64, "echo_64_us"},
      {4096, "echo_4096_us"},
      {65536, "echo_65536_us"},
      {1048576, "echo_1048576_us"},
      {16777216, "echo_16777216_us"}}},
};

const size_t bench_lines_count = sizeof bench_lines / sizeof *bench_lines;
