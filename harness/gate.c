/* SPDX-License-Identifier: MIT */
/* gate: parking in shared memory; see the header. */
#include "harness/gate.h"

#include <errno.h>

#include "harness/clock.h"

int hn_gate_arm(struct hn_gates *gates, enum hn_kind kind, uint32_t group, uint32_t slot,
                uint32_t nth, uint64_t patience_ns)
{
    for (int i = 0; i < HN_GATES_MAX; i++) {
        struct hn_gate *gate = &gates->list[i];
        if (atomic_load(&gate->state) != HN_GATE_FREE)
            continue;
        gate->kind = (uint32_t)kind;
        gate->group = group;
        gate->slot = slot;
        gate->nth = nth;
        gate->patience_ns = patience_ns;
        atomic_store(&gate->state, HN_GATE_ARMED);
        return i;
    }
    return -ENOSPC;
}

bool hn_gate_release(struct hn_gates *gates, uint32_t index, enum hn_errand errand)
{
    struct hn_gate *gate = &gates->list[index];
    uint32_t state = atomic_load(&gate->state);
    while (state == HN_GATE_ARMED || state == HN_GATE_PARKED_AT) {
        atomic_store(&gate->errand, (uint32_t)errand);
        if (!atomic_compare_exchange_weak(&gate->state, &state, HN_GATE_RELEASED))
            continue;
        hn_futex_wake(&gate->state);
        return state == HN_GATE_PARKED_AT;
    }
    return false;
}

void hn_gates_open(struct hn_gates *gates)
{
    for (uint32_t i = 0; i < HN_GATES_MAX; i++) {
        uint32_t state = atomic_load(&gates->list[i].state);
        if (state == HN_GATE_ARMED || state == HN_GATE_PARKED_AT)
            hn_gate_release(gates, i, HN_ERRAND_NONE);
    }
}

static bool is_for(const struct hn_gate *gate, const struct hn_record *event)
{
    return gate->kind == event->kind && (gate->group == HN_NONE || gate->group == event->group) &&
           (gate->slot == HN_NONE || gate->slot == event->slot);
}

static void tell(struct hn_history *history, enum hn_kind kind, const struct hn_record *event,
                 uint64_t index, uint64_t number)
{
    struct hn_record record = *event;
    record.kind = (uint32_t)kind;
    record.time_ns = 0;
    record.a = index;
    record.b = number;
    hn_history_append(history, &record);
}

/* Held until released or out of patience. */
static enum hn_errand park(struct hn_gate *gate, uint32_t index, struct hn_history *history,
                           const struct hn_record *event, uint64_t number)
{
    uint32_t expected = HN_GATE_ARMED;
    uint64_t until_ns = hn_clock_ns() + gate->patience_ns;
    if (!atomic_compare_exchange_strong(&gate->state, &expected, HN_GATE_PARKED_AT))
        return HN_ERRAND_NONE;
    tell(history, HN_GATE_PARKED, event, index, number);
    while (atomic_load(&gate->state) == HN_GATE_PARKED_AT) {
        if (hn_futex_wait(&gate->state, HN_GATE_PARKED_AT, until_ns) != -ETIMEDOUT)
            continue;
        expected = HN_GATE_PARKED_AT;
        if (atomic_compare_exchange_strong(&gate->state, &expected, HN_GATE_EXPIRED_AT)) {
            tell(history, HN_GATE_EXPIRED, event, index, number);
            return HN_ERRAND_NONE;
        }
    }
    tell(history, HN_GATE_LEFT, event, index, number);
    return (enum hn_errand)atomic_load(&gate->errand);
}

/* Every gate counts the event before one may hold it: whoever is held may never come back. */
static uint64_t count_arrival(struct hn_gates *gates, const struct hn_record *event)
{
    uint64_t meant = 0; /* a bit a gate */
    for (uint32_t i = 0; i < HN_GATES_MAX; i++) {
        struct hn_gate *gate = &gates->list[i];
        if (atomic_load(&gate->state) != HN_GATE_ARMED || !is_for(gate, event))
            continue;
        if (atomic_fetch_add(&gate->arrivals, 1) + 1 == gate->nth)
            meant |= UINT64_C(1) << i;
    }
    return meant;
}

enum hn_errand hn_gate_pass(struct hn_gates *gates, struct hn_history *history,
                            const struct hn_record *event)
{
    _Static_assert(HN_GATES_MAX <= 64, "a bit a gate");
    enum hn_errand errand = HN_ERRAND_NONE;
    uint64_t number = hn_history_append(history, event);
    uint64_t meant = count_arrival(gates, event);
    for (uint32_t i = 0; i < HN_GATES_MAX; i++) {
        if (!(meant >> i & 1))
            continue;
        enum hn_errand asked = park(&gates->list[i], i, history, event, number);
        if (asked != HN_ERRAND_NONE)
            errand = asked;
    }
    return errand;
}
