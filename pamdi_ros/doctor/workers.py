# SPDX-License-Identifier: Apache-2.0
"""Are the workers there that the fleet file names, and only these; who plans for them?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pamdi_ros.doctor.finding import fail, Finding, ok, warn
from pamdi_ros.doctor.fleet_facts import FleetFacts
from pamdi_ros.fleet import Fleet
from pamdi_ros.monitor.view import WorkerView

#: STATE_* of WorkerStatus.
UNCONFIGURED, LOADING, SERVING, DEGRADED = range(4)


def check_workers(
    expected: Fleet | None, seen: FleetFacts, here: Sequence[str] = ()
) -> Iterator[Finding]:
    """Judge the workers of a fleet.

    :param expected: None: whoever is seen is taken for right.
    :param here: workers whose executor runs on this machine.
    """
    names = list(seen.workers) if expected is None else list(expected.workers)
    for name in names:
        yield _worker(name, seen, name in here)
    for name in sorted(set(seen.workers) - set(names)):
        yield warn(
            f'worker {name}',
            f'is there, but not in the fleet file, which has {", ".join(names)}',
            'give all machines the same fleet.yaml, or end that executor',
        )
    yield _allocator(seen)
    yield from _epochs(seen)


def _worker(name: str, seen: FleetFacts, here: bool) -> Finding:
    check = f'worker {name}'
    if name in seen.doubled:
        return fail(
            check,
            'two executors run under this name',
            'end all but one, or give each its own name: parameter worker',
        )
    view = seen.workers.get(name)
    if view is None or view.heard_s is None:
        return _silent(name, bool(seen.topic(f'workers/{name}/status').publishers), here)
    if view.state == UNCONFIGURED:
        return fail(
            check,
            f'not configured{_because(view)}',
            f'its log says why; then ros2 lifecycle set {seen.prefix}/{name}/executor configure',
        )
    if view.state == DEGRADED:
        return warn(check, f'serves in part{_because(view)}', 'do as its message says')
    if view.state == LOADING:
        return warn(check, f'loads{_because(view)}', 'wait; ask again when it serves')
    held = ', '.join(f'{part.model}[{part.first}:{part.last})' for part in view.holds)
    return ok(check, f'serves on {view.device}, holds {held or "nothing"}')


def _silent(name: str, found: bool, here: bool) -> Finding:
    check = f'worker {name}'
    if found:
        return fail(
            check,
            'its topics are found, but no heartbeat of it comes',
            'was it killed just now? Start it again. Else: is it active (ros2 lifecycle get), is '
            'the network lossy, is its pamdi_ros of another version?',
        )
    if here:
        return fail(
            check,
            'its process runs on this machine, but nothing of it is seen',
            'it may still be starting: ask again; else the same ROS_DOMAIN_ID as its own',
        )
    return fail(
        check,
        'is not there',
        f'start it: ros2 launch pamdi_ros robot.launch.py worker:={name} fleet_file:=…; if it '
        'runs: the same ROS_DOMAIN_ID and --namespace, and discovery above',
    )


def _because(view: WorkerView) -> str:
    return f': {view.message}' if view.message else ''


def _allocator(seen: FleetFacts) -> Finding:
    check = 'allocator'
    publishers = seen.topic('assignment').publishers
    if len(publishers) > 1:
        return warn(
            check,
            f'{len(publishers)} are there: {", ".join(sorted(p.node for p in publishers))}',
            'end all but one, their plans would take turns (one that was killed is seen for '
            'another 20 s)',
        )
    start = 'ros2 launch pamdi_ros allocator.launch.py fleet_file:=…'
    if publishers and seen.plan is not None:
        return ok(check, f'epoch {seen.plan.epoch}, {seen.plan.policy}')
    if publishers:
        return warn(check, 'is there, but has no assignment yet', 'its log says what it waits for')
    if any(view.epoch for view in seen.workers.values()):
        return warn(
            check,
            'is not there: the fleet runs on, but nobody plans it anew',
            f'start it: {start}',
        )
    return fail(check, 'is not there, and no worker has an assignment', f'start it: {start}')


def _epochs(seen: FleetFacts) -> Iterator[Finding]:
    heard = {name: view.epoch for name, view in seen.workers.items() if view.heard_s is not None}
    newest = max([*heard.values(), seen.plan.epoch if seen.plan else 0], default=0)
    behind = sorted(name for name, epoch in heard.items() if epoch != newest)
    if behind:
        yield warn(
            'epoch',
            f'{", ".join(behind)} have not taken over assignment {newest}',
            'ask again in some seconds; if it stays, their logs say why they refuse it',
        )
