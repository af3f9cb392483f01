# SPDX-License-Identifier: Apache-2.0
"""Open items survive the death of their home's process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import sqlite3
import subprocess
import sys
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from nodes.wire_cases import FLEET, task
from pamdi_ros.nodes.conversions.task_message import SensorHeader
from pamdi_ros.nodes.executor.journal import Journal, journal_file
from pamdi_ros.worker import ItemKey
import pytest
from sweep import cases

#: Accepts items and ends every other one until it is killed; tells each step.
VICTIM = """
import itertools, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from nodes.wire_cases import task
from pamdi_ros.nodes.executor.journal import Journal
from pamdi_ros.worker import ItemKey
journal = Journal(Path(sys.argv[1]), print)
for seq in itertools.count(1):
    key = ItemKey('eye', 7, seq)
    print('accept', seq, flush=True)
    journal.accept(task(key=key), 101.0)
    print('accepted', seq, flush=True)
    if seq % 2:
        journal.ended(key)
        print('ended', seq, flush=True)
"""


@pytest.fixture
def told() -> list[str]:
    """Return what the journal tells."""
    return []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the journal is."""
    return tmp_path / 'below' / 'duo.a.journal'


@pytest.fixture
def journal(file: Path, told: list[str]) -> Iterator[Journal]:
    """Yield an open journal."""
    opened = Journal(file, told.append)
    yield opened
    opened.close()


def seqs(journal: Journal) -> list[int]:
    """Numbers of the items of source `eye` that are open."""
    return [item.key.seq for item in journal.read(FLEET, 'a', 10.0)]


def test_an_item_comes_back_as_it_was_accepted(
    journal: Journal, file: Path, told: list[str]
) -> None:
    accepted = task(
        key=ItemKey('eye', 2**64 - 1, 3), lifespan_s=None, deadline_s=0.25, passes_left=4,
        header=SensorHeader(7, 8, 'häufig'),
    )  # fmt: skip
    journal.accept(accepted, now=101.5)
    journal.close()
    journal = Journal(file, told.append)
    (item,) = journal.read(FLEET, 'a', now=7.0)
    for name in ('key', 'home', 'model', 'priority_class', 'rank', 'lifespan_s', 'deadline_s',
                 'passes_left', 'header'):  # fmt: skip
        assert getattr(item, name) == getattr(accepted, name)
    assert item.raw
    assert item.payload is None
    assert 1.5 <= item.age_s(7.0) < 1.5 + 60  # rebased to another clock
    assert told == []
    journal.close()


def test_what_has_ended_does_not_come_back(journal: Journal) -> None:
    for seq in (1, 2, 3):
        journal.accept(task(key=ItemKey('eye', 5, seq)), 101.0)
    journal.ended(ItemKey('eye', 5, 2))
    journal.ended(ItemKey('eye', 5, 99))
    assert seqs(journal) == [1, 3]
    assert seqs(journal) == [1, 3]


@settings(max_examples=cases(20), deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6)), max_size=30))
def test_it_holds_what_a_set_would_hold(steps: list[tuple[bool, int]]) -> None:
    journal, model = Journal(Path(':memory:'), pytest.fail), set()
    for accepted, seq in steps:
        key = ItemKey('eye', 5, seq)
        if accepted:
            journal.accept(task(key=key), 101.0)
            model.add(seq)
        else:
            journal.ended(key)
            model.discard(seq)
    assert sorted(seqs(journal)) == sorted(model)
    journal.close()


def test_kill_9_loses_nothing(file: Path, told: list[str]) -> None:
    file.parent.mkdir()
    test = str(Path(__file__).resolve().parents[1])
    victim = subprocess.Popen(
        [sys.executable, '-c', VICTIM, str(file), test],
        cwd=file.parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert victim.stdout is not None
    while (line := victim.stdout.readline()) and line != 'ended 301\n':
        pass
    victim.kill()
    # The kill may have cut the last line short.
    whole = [line for line in victim.stdout.read().splitlines(True) if line.endswith('\n')]
    lines = [line.split() for line in whole]
    victim.wait()
    begun = max((int(seq) for *_, seq in lines), default=302)
    journal = Journal(file, told.append)
    assert told == []
    found = seqs(journal)
    steps = {(word, int(seq)) for word, seq in lines}
    # What was being written at the moment of the kill may be there or not.
    doubtful = {begun} if ('accepted', begun) not in steps or begun % 2 else set()
    wanted = {seq for seq in range(1, begun + 1) if seq % 2 == 0}
    assert set(found) ^ wanted <= doubtful
    assert {2, 150, 300} <= set(found)
    journal.close()


def test_two_runs_never_share_a_number(
    journal: Journal, file: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = journal.next_incarnation()
    assert abs(first - time.time_ns()) < 60e9
    journal.close()
    monkeypatch.setattr(time, 'time_ns', lambda: 5)  # a clock without a battery, after a restart
    journal = Journal(file, told.append)
    assert journal.next_incarnation() == first + 1
    assert journal.next_incarnation() == first + 2
    journal.close()


@pytest.mark.parametrize('damage', ['text', 'cut', 'foreign', 'version', 'pages'])
def test_a_damaged_file_is_moved_aside(
    journal: Journal, file: Path, told: list[str], damage: str
) -> None:
    for seq in range(1, 500):
        journal.accept(task(key=ItemKey('eye', 5, seq)), 101.0)
    journal.close()
    data = file.read_bytes()
    if damage == 'text':
        file.write_text('not a database, but long enough to be taken for one' * 100)
    elif damage == 'cut':
        file.write_bytes(data[: len(data) // 2])
    elif damage == 'pages':
        file.write_bytes(data[:4096] + b'\xff' * (len(data) - 4096))
    else:
        file.unlink()
        with sqlite3.connect(file) as other:
            number = 1 if damage == 'foreign' else 99
            other.execute('create table other (x)')
            other.execute(f'pragma user_version = {number}')
        other.close()
    journal = Journal(file, told.append)
    assert journal.works
    assert len(told) == 1
    assert 'is damaged' in told[0]
    assert file.with_name('duo.a.journal.damaged').exists()
    journal.accept(task(), 101.0)
    assert seqs(journal) == [1]
    journal.close()


def test_a_journal_in_use_is_left_alone(journal: Journal, file: Path, told: list[str]) -> None:
    journal.accept(task(), 101.0)
    second = Journal(file, told.append)
    assert not second.works
    assert len(told) == 1
    assert 'Is another executor of this worker running' in told[0]
    second.accept(task(key=ItemKey('eye', 5, 2)), 101.0)  # goes nowhere, and costs nothing
    assert second.read(FLEET, 'a', 10.0) == ()
    assert second.next_incarnation() > 0
    assert seqs(journal) == [1]
    assert len(told) == 1


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, told: list[str]) -> None:
    (tmp_path / 'file').write_text('in the way')
    journal = Journal(tmp_path / 'file' / 'duo.a.journal', told.append)
    assert not journal.works
    assert len(told) == 1
    journal.accept(task(), 101.0)


def test_trouble_while_it_runs_is_told_once(journal: Journal, told: list[str]) -> None:
    assert journal._connection is not None
    journal._connection.execute('drop table open')
    for _ in range(3):
        journal.accept(task(), 101.0)
    assert not journal.works
    assert len(told) == 1


def test_what_ends_after_the_disk_was_full_is_not_told_lost(
    journal: Journal, file: Path, told: list[str]
) -> None:
    assert journal._connection is not None
    journal.accept(task(), 101.0)
    journal._connection.execute('pragma max_page_count = 1')
    keys = [ItemKey('eye', 5, number) for number in range(2, 1000)]
    for key in keys:
        journal.accept(task(key=key), 101.0)
    assert not journal.works
    for key in (task().key, *keys):
        journal.ended(key)
    journal.close()
    following = Journal(file, told.append)
    assert following.works
    assert following.read(FLEET, 'a', 10.0) == ()
    following.close()


def test_items_of_a_source_that_moved_away_are_struck_out(
    journal: Journal, told: list[str]
) -> None:
    journal.accept(task(), 101.0)
    assert journal.read(FLEET, 'b', 10.0) == ()
    assert told == ['eye item 1 was left open, but is no item of b now']
    assert seqs(journal) == []


def test_each_worker_of_each_fleet_has_a_file_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv('ROS_HOME', str(tmp_path))
    assert journal_file('/site/duo', 'a') == tmp_path / 'pamdi_ros' / 'site.duo.a.journal'
