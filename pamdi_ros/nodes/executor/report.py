# SPDX-License-Identifier: Apache-2.0
"""What an executor tells about itself: WorkerStatus, SourceStats, /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from pamdi_ros.fleet.shortest_paths import ShortestPaths
from pamdi_ros.monitor.view import Level, STATES
from pamdi_ros.msg import SourceStats, WorkerStatus
from pamdi_ros.nodes.conversions import heartbeat_message as heartbeat_message
from pamdi_ros.nodes.executor.meters import Activity, split
from pamdi_ros.worker import WorkerMachine
from pamdi_ros.worker.activity import WorkerActivity


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """How an executor is.

    :param state: STATE_* of WorkerStatus.
    :param message: what is wrong and what to do; empty: nothing.
    """

    state: int
    message: str = ''


def fill_status(
    message: WorkerStatus,
    machine: WorkerMachine,
    ways: ShortestPaths,
    health: Health,
    activity: Activity,
    now: float,
) -> None:
    """Write what the state machine knows into a status; called under its lock.

    :param ways: of the fleet, whose links were declared.
    :param activity: of the last second.
    """
    heartbeat, fleet = machine.heartbeat(now), ways.fleet
    heartbeat_message.fill(message, heartbeat, fleet)
    message.units_loaded, message.units_wanted = machine.store.progress
    message.state = health.state
    message.message = health.message
    message.emulated = fleet.workers[machine.name].emulate
    message.memory_limit_bytes = fleet.workers[machine.name].memory_bytes or 0
    message.drop_reasons, message.drop_counts = split(machine.drops)
    message.refused_senders, message.refused_counts = split(machine.refused)
    _fill_computing(message, machine.activity())
    _fill_rates(message, heartbeat.slowdown, activity, ways)


def _fill_computing(message: WorkerStatus, doing: WorkerActivity) -> None:
    message.tasks_run = doing.tasks_run
    message.inversions = doing.inversions
    message.unit_drift = doing.unit_drift
    if doing.item is not None:
        message.running_source = doing.item.source
        message.running_seq = doing.item.seq
        message.running_unit = doing.unit


def _fill_rates(
    message: WorkerStatus, slowdown: Mapping[str, float], activity: Activity, ways: ShortestPaths
) -> None:
    """Write rates; links are those that were measured and those that something was sent over.

    How long bytes are on the wire follows from the declared bandwidth and the measured slowdown.
    """
    message.busy_share = activity.busy_share
    message.bytes_in_rate = activity.in_rate
    message.bytes_out_rate = activity.out_rate
    peers = list(dict.fromkeys((*slowdown, *activity.to_rates)))
    message.link_peers = peers
    message.link_slowdown = [slowdown.get(peer, 1.0) for peer in peers]
    message.link_rate = [activity.to_rates.get(peer, 0.0) for peer in peers]
    message.link_busy = [
        min(1.0, rate * factor * (way.s_per_byte if way is not None else 0.0))
        for rate, factor, way in (
            (activity.to_rates.get(peer, 0.0), slowdown.get(peer, 1.0),
             ways.between(message.worker, peer))
            for peer in peers
        )
    ]  # fmt: skip


LEVELS = {
    WorkerStatus.STATE_UNCONFIGURED: DiagnosticStatus.ERROR,
    WorkerStatus.STATE_LOADING: DiagnosticStatus.WARN,
    WorkerStatus.STATE_SERVING: DiagnosticStatus.OK,
    WorkerStatus.STATE_DEGRADED: DiagnosticStatus.WARN,
}
SOURCE_LEVELS = {
    Level.OK: DiagnosticStatus.OK,
    Level.WARN: DiagnosticStatus.WARN,
    Level.ERROR: DiagnosticStatus.ERROR,
}


def diagnostics(
    stamp: Time,
    prefix: str,
    status: WorkerStatus,
    stats: Sequence[SourceStats],
    problems: Mapping[str, str],
    facts: Mapping[str, object],
    *,
    error: str = '',
    lost: Mapping[str, tuple[Level, str]] = MappingProxyType({}),
) -> DiagnosticArray:
    """One status for the worker and one for each source whose home it is.

    :param problems: what is wrong with a source, by name; empty texts for none.
    :param facts: more about the worker.
    :param error: what makes its worker an error; empty: nothing.
    :param lost: how grave it is, and why, that no item of a source was answered, by name.
    """
    array = DiagnosticArray()
    array.header.stamp = stamp
    worker = DiagnosticStatus(
        name=f'{prefix}: worker {status.worker}',
        hardware_id=status.worker,
        level=DiagnosticStatus.ERROR if error else _level(status),
        message=error or status.message or STATES[status.state],
        values=_values(
            {
                'epoch': status.epoch,
                'device': status.device + (' (emulated)' if status.emulated else ''),
                'busy share [0..1]': f'{status.busy_share:.2f}',
                'weights held [MB]': f'{status.memory_bytes / 1e6:.1f}',
                'tensors received [MB]': f'{status.bytes_in / 1e6:.2f}',
                'tensors sent [MB]': f'{status.bytes_out / 1e6:.2f}',
                'receives [MB/s]': f'{status.bytes_in_rate / 1e6:.2f}',
                'sends [MB/s]': f'{status.bytes_out_rate / 1e6:.2f}',
                'tasks run': status.tasks_run,
                'priority inversions': status.inversions,
                'unit time, measured over declared [1]': _known(status.unit_drift, '.2f'),
                'processor clock [% of highest]': _known(100 * status.clock_share, '.0f'),
                'temperature [deg C]': _known(status.temperature_c, '.0f'),
                **facts,
                **_prefixed('waiting ', status.priority_classes, status.queue_lengths),
                **_prefixed('dropped ', status.drop_reasons, status.drop_counts),
                **_prefixed('refused from ', status.refused_senders, status.refused_counts),
            }
        ),
    )
    array.status.append(worker)
    for source in stats:
        problem = problems.get(source.source, '')
        level, loss = lost.get(source.source, (Level.WARN if problem else Level.OK, ''))
        array.status.append(
            DiagnosticStatus(
                name=f'{prefix}: source {source.source}',
                hardware_id=status.worker,
                level=SOURCE_LEVELS[level],
                message='; '.join(filter(None, (loss, problem))) or 'open',
                values=_values(
                    {
                        'priority class': source.priority_class,
                        'emulated': source.emulated,
                        'rate [1/s]': f'{source.rate_hz:.2f}',
                        'results [1/s]': f'{source.result_rate_hz:.2f}',
                        'latency p50 [ms]': f'{1e3 * source.latency_p50_s:.1f}',
                        'latency p95 [ms]': f'{1e3 * source.latency_p95_s:.1f}',
                        'latency alone, predicted [ms]': _known(1e3 * source.solo_s, '.1f'),
                        'p95 over alone [1]': _known(source.inflation, '.2f'),
                        'late [%]': f'{100 * source.late_share:.1f}',
                        'early exits [%]': f'{100 * source.early_share:.1f}',
                        'dropped [1/s]': f'{source.drop_rate_hz:.2f}',
                        'sent but not heard': source.unheard,
                        'accepted': source.accepted,
                        'answered': source.results,
                        'answered late': source.late,
                        'answered by early exits': source.early_exits,
                        'in flight': source.in_flight,
                        **_prefixed('dropped ', source.drop_reasons, source.drop_counts),
                    }
                ),
            )
        )
    return array


def _level(status: WorkerStatus) -> bytes:
    serves_with_trouble = status.state == WorkerStatus.STATE_SERVING and status.message
    level: bytes = DiagnosticStatus.WARN if serves_with_trouble else LEVELS[status.state]
    return level


def _values(pairs: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=str(value)) for key, value in pairs.items()]


def _known(value: float, form: str) -> str:
    """Return a figure that is 0 where it is not known."""
    return format(value, form) if value else 'unknown'


def _prefixed(prefix: str, names: Sequence[str], values: Sequence[object]) -> dict[str, object]:
    return {prefix + name: value for name, value in zip(names, values, strict=True)}
