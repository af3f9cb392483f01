# SPDX-License-Identifier: Apache-2.0
"""From messages to views. Duck-typed: whatever has the fields of msg/*.msg will do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat, zip_longest
from typing import Any

from pamdi_ros.monitor.view import HeldPartition, HopView, ItemView, LinkView, WorkerView


def stamp_s(header: Any) -> float:
    """Return a header's stamp [s]."""
    return float(header.stamp.sec + 1e-9 * header.stamp.nanosec)


def worker_view(message: Any, heard_s: float, clock_offset_s: float | None) -> WorkerView:
    """Read a WorkerStatus.

    :param heard_s: when it came, monotonic [s].
    :param clock_offset_s: of the worker [s]; None: unknown.
    """
    classes = list(message.priority_classes)
    return WorkerView(
        name=message.worker,
        heard_s=heard_s,
        incarnation=message.incarnation,
        state=message.state,
        message=message.message,
        epoch=message.epoch,
        device=message.device,
        emulated=message.emulated,
        busy=message.busy_share,
        memory=message.memory_bytes,
        memory_limit=message.memory_limit_bytes,
        rate_in=message.bytes_in_rate,
        rate_out=message.bytes_out_rate,
        queues=dict(zip(classes, message.queue_lengths, strict=False)),
        backlog=dict(zip(classes, message.backlog_s, strict=False)),
        holds=tuple(
            HeldPartition(model=part.model, first=part.first_unit, last=part.last_unit)
            for part in message.placements
        ),
        links=_links(message),
        drops=dict(zip(message.drop_reasons, message.drop_counts, strict=False)),
        tasks_run=message.tasks_run,
        inversions=message.inversions,
        unit_drift=message.unit_drift,
        clock_share=message.clock_share,
        temperature_c=message.temperature_c,
        clock_offset_s=clock_offset_s,
        running=(
            (message.running_source, message.running_seq, message.running_unit)
            if message.running_source
            else None
        ),
    )


def _links(message: Any) -> tuple[LinkView, ...]:
    """Read the links; a sender that fills one of their arrays only is understood, too."""
    told = zip_longest(message.link_rate, message.link_busy, message.link_slowdown, fillvalue=0.0)
    links = []
    for peer, (rate, busy, slowdown) in zip(
        message.link_peers, chain(told, repeat((0.0, 0.0, 0.0))), strict=False
    ):
        links.append(
            LinkView(sender=message.worker, receiver=peer, rate=rate, busy=busy, slowdown=slowdown)
        )
    return tuple(links)


def statistics(message: Any) -> dict[str, Any]:
    """Read a SourceStats as the fields of a SourceView that it tells."""
    return {
        'incarnation': message.incarnation,
        'emulated': message.emulated,
        'rate_hz': message.rate_hz,
        'result_rate_hz': message.result_rate_hz,
        'drop_rate_hz': message.drop_rate_hz,
        'latency_mean_s': message.latency_mean_s,
        'latency_p50_s': message.latency_p50_s,
        'latency_p95_s': message.latency_p95_s,
        'inflation': message.inflation,
        'deadline_s': message.deadline_s,
        'late_share': message.late_share,
        'early_share': message.early_share,
        'accuracy': message.accuracy,
        'unheard': message.unheard,
        'accepted': message.accepted,
        'results': message.results,
        'late': message.late,
        'in_flight': message.in_flight,
        'drops': dict(zip(message.drop_reasons, message.drop_counts, strict=False)),
    }


def item_view(message: Any) -> ItemView:
    """Read an InferenceResult; its outputs are left alone."""
    return ItemView(
        source=message.source,
        seq=message.seq,
        incarnation=message.incarnation,
        status=message.status,
        reason=message.reason,
        priority_class=message.priority_class,
        latency_s=message.latency_s,
        exit_unit=message.exit_unit,
        answer=_answer(message.text, message.labels, message.class_ids, message.scores),
        stays=tuple(
            HopView(
                worker=hop.worker,
                first=hop.first_unit,
                last=hop.last_unit,
                transfer_s=hop.transfer_s,
                queue_s=hop.queue_s,
                compute_s=hop.compute_s,
                bytes_in=hop.bytes_in,
            )
            for hop in message.hops
        ),
    )


def _answer(
    text: str, labels: Sequence[str], class_ids: Sequence[int], scores: Sequence[float]
) -> str:
    """Return an answer in one line: the text, or the best class and its score."""
    if text:
        return text
    if not class_ids:
        return ''
    name = labels[0] if labels else f'class {class_ids[0]}'
    return f'{name} ({100 * scores[0]:.0f} %)' if scores else name
