# SPDX-License-Identifier: Apache-2.0
"""Has each source a publisher of the right type, a listener, and a way to an answer?"""

from __future__ import annotations

from collections.abc import Iterator

from pamdi_ros.assignment import held_end, Partition
from pamdi_ros.doctor.finding import fail, Finding, ok, warn
from pamdi_ros.doctor.fleet_facts import Endpoint, FleetFacts, TopicFacts
from pamdi_ros.doctor.workers import LOADING, SERVING
from pamdi_ros.fleet import Fleet, resolve_topic, Source


def check_sources(fleet: Fleet, seen: FleetFacts) -> Iterator[Finding]:
    """Judge the topics that a fleet's sources read."""
    for source in fleet.sources.values():
        topic = resolve_topic(seen.prefix, source)
        yield _source(source, topic, seen.topic(topic), seen)


def _source(source: Source, name: str, topic: TopicFacts, seen: FleetFacts) -> Finding:
    check = f'source {source.name}'
    home = f'{seen.prefix}/{source.worker}/'
    strangers = sorted({end.type for end in topic.publishers} - {source.type})
    if strangers:
        return fail(
            check,
            f'{name} is published as {", ".join(strangers)} by {_nodes(topic.publishers)}; '
            f'fleet.yaml says {source.type}',
            f'correct sources.{source.name}.type, or what is published',
        )
    hole = _hole(source.model, seen)
    if hole is not None:
        return fail(
            check,
            f'no worker that is heard holds unit {hole} of {source.model}: nothing is answered',
            'start the missing workers, or wait until the allocator has planned anew',
        )
    view = seen.workers.get(source.worker)
    serves = view is not None and view.heard_s is not None and view.state in (LOADING, SERVING)
    if not any(end.node.startswith(home) for end in topic.subscriptions):
        why = 'it waits for a way through the model' if serves else 'it does not serve'
        return fail(
            check,
            f'{source.worker} does not listen to {name}: {why}',
            f"see worker {source.worker} above, and its source's line in /diagnostics",
        )
    if not topic.publishers:
        return warn(
            check,
            f'nobody publishes {name}',
            'start the sensor, or correct the topic: a relative one lies under '
            f'{seen.prefix}/{source.worker}',
        )
    return ok(check, f'{name}: {_nodes(topic.publishers)} to {source.worker}')


def _hole(model: str, seen: FleetFacts) -> int | None:
    """First unit of a model that nobody holds; None: there is none, or nothing is known."""
    count = seen.plan.unit_counts.get(model, 0) if seen.plan is not None else 0
    if not count:
        return None
    held = [
        Partition(part.model, part.first, part.last)
        for view in seen.workers.values()
        if view.heard_s is not None
        for part in view.holds
    ]
    reached = held_end(sorted(held), model, 0)
    return None if reached >= count else reached


def _nodes(ends: tuple[Endpoint, ...]) -> str:
    return ', '.join(sorted({end.node for end in ends}))
