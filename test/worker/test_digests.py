# SPDX-License-Identifier: Apache-2.0
"""Workers that cut a model into other units: nobody sends them its tasks."""

from __future__ import annotations

from pamdi_ros.worker import LoadUnit, WorkerMachine
import pytest
from worker.cases import EVERYTHING, free_plan, heartbeat, item, make_fleet

OWN, OTHER = 'aaaaaaaaaaaa', 'bbbbbbbbbbbb'


def worker_with(digest: str) -> WorkerMachine:
    """Return worker a, which holds nothing yet but has opened the model."""
    machine = WorkerMachine('a', make_fleet(), incarnation=7)
    commands = machine.opened(0.0) + machine.assigned(free_plan(), 0.0)
    while loads := [command for command in commands if isinstance(command, LoadUnit)]:
        commands = machine.unit_loaded('net', loads[0].unit, 0.0, 0.02, digest=digest)
    return machine


@pytest.mark.parametrize(('theirs', 'goes'), [(OWN, True), ('', True), (OTHER, False)])
def test_a_task_goes_only_where_the_units_are_the_same(theirs: str, goes: bool) -> None:
    machine = worker_with(OWN)
    digests = {'net': theirs} if theirs else {}
    for peer in ('b', 'c'):
        machine.heartbeat_heard(heartbeat(peer, epoch=1, digests=digests), 0.1)
    assert machine.heartbeat(0.1).digests == {'net': OWN}
    assert machine._holdings.stage_end('b', 'net', 0) == (4 if goes else 0)
    machine.item_arrived(item(machine, 'camera', 0.2), 0.2)
    assert (machine._backlog.queue.first() is None) is goes  # b is faster, if it may have it


def test_it_is_said_once_with_both_named() -> None:
    machine = worker_with(OWN)
    for beat in range(5):
        machine.heartbeat_heard(heartbeat('b', epoch=1, digests={'net': OTHER}), 0.1 * beat)
    (complaint,) = machine.take_complaints()
    assert complaint.startswith(
        f'other_units: net is cut otherwise at b ({OTHER}) than at a ({OWN})'
    )
    assert machine.drops['other_units'] == 1
    assert heartbeat('b').held == EVERYTHING
    machine.heartbeat_heard(heartbeat('b', epoch=1, digests={'net': OWN}), 0.6)
    assert machine._holdings.stage_end('b', 'net', 0) == 4
