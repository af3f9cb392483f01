# SPDX-License-Identifier: Apache-2.0
"""The run-time policies by name, and every constant of theirs as a documented parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

#: Name of each policy and what it does.
POLICIES = {
    'local': 'every item is computed at its home, first come first served',
    'static_chain': 'every source has one fixed route, the best for it alone; class order',
    'ar_mdi': 'each source cuts its model over a chain of equal stage times, blind to the others',
    'ms_mdi': 'each partition goes where it would be done first; no priority',
    'ms_mdi_plus': 'as ms_mdi, looking ahead over the whole rest of the model',
    'pa_mdi': 'as ms_mdi_plus, in priority order, counting only the work that is served before',
    'pa_mdi_plus': 'pa_mdi with preemption after every unit, externalities, RTC/CTC and chunks',
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyParameters:
    """Constants of the run-time policy; `policy_parameters` of fleet.yaml sets them by name.

    Switches take an ingredient of pa_mdi_plus away (ablation).

    :param preemption: the most urgent task is chosen anew after every unit.
    :param priority_backlog: a task counts only the work that would be served before its own.
    :param externality: a task pays for the work that it pushes back.
    :param rtc: peers are asked for their estimate (RTC/CTC) before a task is sent.
    :param aging: waiting raises a task above more urgent ones in time; never above the top class.
    :param chunked_wire: large tensors are cut into chunks, interleaved by priority.
    :param admission: an item that cannot be done within its lifespan is refused at once.
    :param exits: items leave by the early exits of their models where that is worth it.
    :param reconsider: a waiting task moves when a peer would have it done clearly sooner.
    :param quantum_s: units longer than this on a worker of declared speed are cut finer [s].
    :param aging_s: time by which a task must be older to go before one of double weight [s].
    :param best_peers: peers with the best estimates of which some are asked.
    :param best_share: or this part of those that could take the task, where that is more.
    :param asked_peers: how many of those are asked, at random.
    :param small_fleet: up to so many candidates, the top class sends without asking.
    :param answer_timeout_s: longest wait for clearances, beyond the round trip [s].
    :param reservation_s: for which a reservation stands, beyond the time on the way [s].
    :param transfer_charge_s: what any transfer is charged, so that ties stay local [s].
    :param transfer_charge_share: part of the time on the wire that is charged besides.
    :param hysteresis: share by which a move of a waiting task must lower its cost.
    :param least_gain_s: and the time by which it must come sooner [s].
    :param reconsider_period_s: between two askings for the same waiting task [s].
    :param reconsidered_tasks: waiting tasks that are reconsidered at a time.
    :param lease_s: a peer silent for longer is taken for lost [s].
    :param retransmit_s: silence after which a transfer is sent again, beyond its own time [s].
    :param attempts: sendings to one peer before another is chosen.
    :param retention_bytes: bound on boundary tensors kept until their items end [byte].
    :param chunk_airtime_s: time on the link of one chunk [s].
    :param least_chunk_bytes: smallest chunk [byte].
    :param most_chunk_bytes: largest chunk [byte].
    :param most_credit: most chunks in flight to one peer.
    :param ewma_weight: weight of the newest measurement in unit times and link slowdown.
    :param failures_in_a_row: of a model's unit, after which a worker withdraws the model.
    :param overdue_factor: a unit that takes so many times its usual time is overdue: its model is
        withdrawn, too.
    :param overdue_least_s: but never sooner than after this time [s].
    :param hang_s: an overdue unit that goes on for so long ends the process, to be restarted [s].
    :param reload_pause_s: before a withdrawn model, or a load that failed, is tried again; it
        doubles with every failure [s].
    :param longest_reload_pause_s: but is never longer [s].
    """

    preemption: bool = True
    priority_backlog: bool = True
    externality: bool = True
    rtc: bool = True
    aging: bool = True
    chunked_wire: bool = True
    admission: bool = True
    exits: bool = True
    reconsider: bool = True
    quantum_s: float = 0.008
    aging_s: float = 4.0
    best_peers: int = 9
    # Were they few in a large fleet, all homes would ask the same ones until a heartbeat tells of
    # it: of 100 workers, half gives background 1.5 times its solo latency, nine 2.3, all 1.6.
    best_share: float = 0.5
    asked_peers: int = 3
    small_fleet: int = 8
    answer_timeout_s: float = 0.02
    reservation_s: float = 0.03
    transfer_charge_s: float = 0.001
    transfer_charge_share: float = 0.5
    hysteresis: float = 0.1
    least_gain_s: float = 0.005
    reconsider_period_s: float = 0.05
    reconsidered_tasks: int = 4
    lease_s: float = 0.3
    retransmit_s: float = 0.25
    attempts: int = 3
    retention_bytes: int = 256_000_000
    chunk_airtime_s: float = 0.0025
    least_chunk_bytes: int = 4_096
    # Fills two UDP datagrams; one costs a picture of 602 KB 2 ms more at 1 Gbit/s (measured).
    most_chunk_bytes: int = 128_000
    most_credit: int = 32
    ewma_weight: float = 0.2
    failures_in_a_row: int = 3
    overdue_factor: float = 20.0
    overdue_least_s: float = 2.0
    hang_s: float = 3.0
    reload_pause_s: float = 0.5
    longest_reload_pause_s: float = 5.0

    def asked_among(self, peers: int) -> int:
        """How many of so many peers are good enough to be asked, the best by their heartbeats."""
        return min(peers, max(self.best_peers, round(self.best_share * peers)))

    def charge_s(self, wire_s: float) -> float:
        """What a transfer of tensors is charged besides the time that it takes [s].

        :param wire_s: its time on the wire [s].
        """
        return self.transfer_charge_s + self.transfer_charge_share * wire_s


def policy_parameters(mapping: Mapping[str, object]) -> PolicyParameters:
    """Read `policy_parameters` of fleet.yaml; absent ones keep their defaults.

    :param mapping: by name; checked by :mod:`pamdi_ros.fleet.checks` before.
    :raises ValueError: an unknown name, or a value of another type or sign.
    """
    known = {field.name: field for field in fields(PolicyParameters)}
    values: dict[str, object] = {}
    for name, value in mapping.items():
        if name not in known:
            raise ValueError(f'{name}: no such parameter; there are {", ".join(known)}')
        default = known[name].default
        kind = type(default)
        fits = isinstance(value, kind) and isinstance(value, bool) == isinstance(default, bool)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value, fits = float(value), True
        if not fits:
            raise ValueError(f'{name}: {value!r} is no {kind.__name__}')
        if not isinstance(value, bool) and value < 0:  # type: ignore[operator]
            raise ValueError(f'{name}: {value!r} is negative')
        values[name] = value
    return PolicyParameters(**values)  # type: ignore[arg-type]
