# SPDX-License-Identifier: Apache-2.0
"""The plan on disk: there and back, and files that hold something else."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs, digest, plan_for, read_record, Record, write_record
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet.policy import POLICIES
import pytest

EXITS = {
    'accuracy': 0.76,
    'exits': [{'unit': 1, 'accuracy': 0.5}, {'unit': 3, 'accuracy': 0.6, 'threshold': 0.8}],
}


def plan(policy: str = 'pa_mdi_plus') -> Plan:
    """Return a plan with everything in it: two models, a cut, exits, a source without a route."""
    fleet = fleet_of(
        {'a': {'memory_mb': 31}, 'b': {'memory_mb': 31}},
        {'s': ('a', 'net', 'critical', 1), 't': ('b', 'huge', 'background', 1)},
        models={'net': EXITS},
    )
    tables = {'net': table('net', [(1, 10)] * 4), 'huge': table('huge', [(1, 99)])}
    return plan_for(policy, Costs(fleet=fleet, tables=tables), epoch=2**53)


@pytest.mark.parametrize('policy', POLICIES)
def test_a_plan_survives_the_disk(tmp_path: Path, policy: str) -> None:
    record = Record(fleet_digest='abc', plan=plan(policy))
    path = tmp_path / 'new' / 'one.json'
    write_record(path, record)
    write_record(path, record)
    assert read_record(path) == record
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_holds_something_else_is_no_record(tmp_path: Path) -> None:
    path = tmp_path / 'one.json'
    assert read_record(path) is None
    write_record(path, Record(fleet_digest='abc', plan=plan()))
    whole = path.read_text()
    plain = json.loads(whole)
    texts = ['', '[]', 'null', '\x00\xff', whole[:-9], '[' * 5000]
    for key in plain['plan']:
        texts += [json.dumps({**plain, 'plan': {**plain['plan'], key: 7.5}})] * (key != 'epoch')
        texts.append(json.dumps({**plain, 'plan': {**plain['plan'], key: [{'x': 1}]}}))
    for text in texts:
        path.write_text(text)
        record = read_record(path)
        # a policy may be read as anything; whoever uses the plan checks what it names
        assert record is None or record.plan.policy != plan().policy, text


def test_a_record_of_a_version_without_allocators_is_read(tmp_path: Path) -> None:
    path = tmp_path / 'one.json'
    write_record(path, Record(fleet_digest='abc', plan=replace(plan(), allocator=2**63 - 1)))
    record = read_record(path)
    assert record is not None and record.plan.allocator == 2**63 - 1
    plain = json.loads(path.read_text())
    del plain['plan']['allocator']
    path.write_text(json.dumps(plain))
    assert read_record(path) == Record(fleet_digest='abc', plan=plan())


def test_what_cannot_be_written_leaves_the_old_record(tmp_path: Path) -> None:
    path = tmp_path / 'one.json'
    path.mkdir()
    with pytest.raises(OSError, match='directory'):
        write_record(path, Record(fleet_digest='abc', plan=plan()))
    assert list(tmp_path.iterdir()) == [path]


def test_the_digest_is_the_content_s(tmp_path: Path) -> None:
    for name, text in (('a', 'fleet: x'), ('b', 'fleet: x'), ('c', 'fleet: y')):
        (tmp_path / name).write_text(text)
    assert digest(tmp_path / 'a') == digest(str(tmp_path / 'b')) != digest(tmp_path / 'c')
