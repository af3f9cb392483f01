# SPDX-License-Identifier: Apache-2.0
"""All checks, in the order in which a person would go through them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pamdi_ros.doctor.clocks import check_clocks
from pamdi_ros.doctor.compute import check_compute
from pamdi_ros.doctor.discovery import check_discovery, spans_hosts
from pamdi_ros.doctor.finding import fail, Finding, ok, warn
from pamdi_ros.doctor.fleet_facts import FleetFacts, NetworkFacts
from pamdi_ros.doctor.host_facts import HostFacts
from pamdi_ros.doctor.kernel import check_kernel
from pamdi_ros.doctor.matching import check_matching
from pamdi_ros.doctor.memory import check_memory_for_plan, Load
from pamdi_ros.doctor.middleware import check_middleware
from pamdi_ros.doctor.packages import check_packages, ROS
from pamdi_ros.doctor.sources import check_sources
from pamdi_ros.doctor.weights import Weights
from pamdi_ros.doctor.workers import check_workers
from pamdi_ros.fleet import Fleet

#: Other fleets that are told of by name.
MOST_NAMES = 5


def examine_host(
    host: HostFacts, fleet: Fleet | None, workers: Sequence[str]
) -> Iterator[Finding]:
    """Judge this machine.

    :param fleet: tells what is needed here; None: any fleet.
    :param workers: of the fleet that run here, or will.
    """
    own = [] if fleet is None else [fleet.workers[name] for name in workers]
    yield from check_packages(host.packages, fleet)
    onnxruntime = host.packages.get('onnxruntime')
    yield from check_compute(host.torch, host.board, own, onnxruntime)
    yield from check_kernel(host.kernel, spans_hosts(host.environment))
    yield from check_middleware(host)
    yield from check_discovery(host)


def examine_memory(
    host: HostFacts,
    fleet: Fleet | None,
    workers: Sequence[str],
    seen: FleetFacts | None,
    weights: Weights,
) -> Iterator[Finding]:
    """Judge free memory against the plan's part for this machine.

    :param workers: of the fleet that run here, or will.
    :param seen: the fleet as it is seen; None: it was not looked at.
    """
    own = [] if fleet is None else [fleet.workers[name] for name in workers]
    loads = []
    for worker in own:
        running = seen is not None and (seen.prefix, worker.name) in host.local_workers
        view = seen.workers.get(worker.name) if seen is not None and running else None
        loads.append(
            Load(
                worker=worker,
                planned=weights.placed.get(worker.name),
                held=0 if view is None else view.memory,
                running=running,
            )
        )
    yield from check_memory_for_plan(host, loads, weights.models)


def examine_fleet(
    fleet: Fleet, seen: FleetFacts, network: NetworkFacts, host: HostFacts
) -> Iterator[Finding]:
    """Judge a fleet that was asked for."""
    here = [name for name in fleet.workers if (seen.prefix, name) in host.local_workers]
    if not seen.workers and not seen.topic('assignment').publishers and not here:
        yield _nothing(fleet, seen, network)
        return
    yield from check_workers(fleet, seen, here)
    yield from check_sources(fleet, seen)
    yield from check_matching(seen)
    yield from check_clocks(seen.workers)


def _nothing(fleet: Fleet, seen: FleetFacts, network: NetworkFacts) -> Finding:
    """Tell of a fleet of which nothing is there, in one line."""
    others = [prefix for prefix in network.fleets if prefix != seen.prefix]
    told = f'; seen there: {_some(others)}' if others else ''
    return fail(
        'workers and allocator',
        f'none of {_some(list(fleet.workers))} and no allocator of {seen.prefix} is in ROS domain '
        f'{network.domain}{told}',
        'start them: pamdi up FLEET, or ros2 launch on each robot (docs/launch.md). If they run: '
        'the same ROS_DOMAIN_ID, fleet file and --namespace, and discovery above',
    )


def examine_strangers(network: NetworkFacts) -> Iterator[Finding]:
    """Judge whatever fleets are seen, where none was asked for."""
    if not network.fleets:
        yield ok(
            'fleets',
            f'none seen in domain {network.domain} within {network.listened_s:.0f} s; give a '
            'FLEET to be told what is missing',
        )
    for prefix, seen in network.fleets.items():
        yield ok('fleets', f'{prefix} with {len(seen.workers)} workers')
        yield from check_workers(None, seen)
        yield from check_matching(seen)
        yield from check_clocks(seen.workers)


def not_looked(why: str, fleet: Fleet | None) -> Finding:
    """Tell that the network could not be looked at, and why."""
    told = f'not looked at: {why}'
    remedy = f'put right what fails above, or {ROS}'
    return (
        warn('fleets', told, remedy)
        if fleet is None
        else fail(f'fleet {fleet.name}', told, remedy)
    )


def _some(names: Sequence[str]) -> str:
    rest = len(names) - MOST_NAMES
    return ', '.join(names[:MOST_NAMES]) + (f' and {rest} more' if rest > 0 else '')
