# SPDX-License-Identifier: Apache-2.0
"""A view of a fleet as `pamdi top --json` writes it: times in ms, sizes in MB."""

from __future__ import annotations

import math
from typing import Any

from pamdi_ros.cli.top_state import source_state, worker_state
from pamdi_ros.monitor.view import FleetView, LinkView, SourceView, WorkerView


def outcome(view: FleetView) -> dict[str, Any]:
    """Return a view as plain data; what is unknown is null."""
    workers = view.workers.values()
    return {
        'fleet': view.name or None,
        'heard': any(worker.heard_s is not None for worker in workers),
        'epoch': view.epoch or None,
        'policy': view.policy or None,
        'priority_classes': list(view.classes),
        'sources': {name: _source(source, view) for name, source in view.sources.items()},
        'workers': {name: _worker(worker, view) for name, worker in view.workers.items()},
        'links': [_link(link) for worker in workers for link in worker.links],
        'alerts': [
            {
                'level': alert.level.name,
                'name': alert.name,
                'message': alert.message,
                'hardware_id': alert.hardware_id,
                'since_s': _round(view.now_s - alert.since_s),
            }
            for alert in view.alerts
        ],
    }


def _source(source: SourceView, view: FleetView) -> dict[str, Any]:
    _, word = source_state(source, view.now_s)
    return {
        'state': word or 'serves',
        'priority': source.priority_class or None,
        'worker': source.worker or None,
        'model': source.model or None,
        'reason': source.reason or None,
        'rate_hz': _round(source.rate_hz),
        'result_rate_hz': _round(source.result_rate_hz),
        'drop_rate_hz': _round(source.drop_rate_hz),
        'mean_ms': _ms(source.latency_mean_s),
        'p50_ms': _ms(source.latency_p50_s),
        'p95_ms': _ms(source.latency_p95_s),
        'solo_ms': _ms(source.solo_s),
        'inflation': _round(source.inflation) or None,
        'deadline_ms': _ms(source.deadline_s),
        'late_share': _round(source.late_share),
        'early_share': _round(source.early_share),
        'unheard': source.unheard,
        'accepted': source.accepted,
        'results': source.results,
        'in_flight': source.in_flight,
        'dropped': dict(source.drops),
    }


def _worker(worker: WorkerView, view: FleetView) -> dict[str, Any]:
    _, word = worker_state(worker, view.now_s)
    return {
        'state': word,
        'message': worker.message or None,
        'epoch': worker.epoch or None,
        'device': worker.device or None,
        'emulated': worker.emulated,
        'busy_share': _round(worker.busy),
        'memory_mb': _round(worker.memory / 1e6),
        'memory_limit_mb': _round(worker.memory_limit / 1e6) or None,
        'in_mb_per_s': _round(worker.rate_in / 1e6),
        'out_mb_per_s': _round(worker.rate_out / 1e6),
        'queues': dict(worker.queues),
        'backlog_ms': {name: _round(1e3 * value) for name, value in worker.backlog.items()},
        'units': [f'{part.model}[{part.first}:{part.last})' for part in worker.holds],
        'unit_drift': _round(worker.unit_drift) or None,
        'inversions': worker.inversions,
        'dropped': dict(worker.drops),
    }


def _link(link: LinkView) -> dict[str, Any]:
    return {
        'from': link.sender,
        'to': link.receiver,
        'busy_share': _round(link.busy),
        'mb_per_s': _round(link.rate / 1e6),
        'slowdown': _round(link.slowdown) or None,
    }


def _ms(seconds: float) -> float | None:
    return _round(1e3 * seconds) or None


def _round(value: float) -> float:
    """Three decimals; JSON has no infinity."""
    return round(float(value), 3) if math.isfinite(value) else 0.0
