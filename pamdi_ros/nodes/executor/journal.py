# SPDX-License-Identifier: Apache-2.0
"""The open items of a home worker on disk, so that none vanishes when its process is killed.

An item is written when it is accepted and struck out when it ends; what the next run finds it ends
as `failed(home_lost)`. The journal survives the death of the process, not that of the machine:
nothing waits for the disk (synchronous = OFF), so that an entry costs some ten microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import os
from pathlib import Path
import sqlite3
import threading
import time
from typing import Any

from pamdi_ros.fleet import Fleet
from pamdi_ros.nodes.conversions.task_message import SensorHeader
from pamdi_ros.worker import ItemKey, Task

VERSION = 1
SCHEMA = """
create table open (
  source text not null, incarnation text not null, seq integer not null, model text not null,
  priority_class text not null, accepted_at real not null, lifespan_s real, deadline_s real,
  passes_left integer not null,
  stamp_sec integer not null, stamp_nanosec integer not null, frame_id text not null,
  primary key (source, incarnation, seq)
) without rowid;
create table run (incarnation text not null);
pragma user_version = 1;
"""
INSERT = f'insert or replace into open values ({", ".join("?" * 12)})'
DELETE = 'delete from open where source = ? and incarnation = ? and seq = ?'


def journal_file(prefix: str, worker: str) -> Path:
    """File of a worker's journal: below $ROS_HOME, else ~/.ros.

    :param prefix: absolute namespace of the fleet.
    """
    home = Path(os.environ.get('ROS_HOME') or Path.home() / '.ros')
    return home / 'pamdi_ros' / f'{prefix.strip("/").replace("/", ".")}.{worker}.journal'


class Journal:
    """Open items of one worker. Any trouble is told once; the worker goes on without a journal.

    May be used from any thread.

    :param path: the file; made where it is absent, moved aside where it is damaged.
    :param tell: told of trouble, for a person.
    """

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self._path = path
        self._tell = tell
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._begun = False  # it holds items of this run
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open_or_replace()
        except (OSError, sqlite3.Error) as error:
            self._trouble(error)

    @property
    def works(self) -> bool:
        """Whether items are being written down."""
        return self._connection is not None

    def next_incarnation(self) -> int:
        """Return a number for this run of the worker, larger than that of every run before.

        The time, unless the machine's clock has been set back, as without a battery it is at each
        start.
        """
        incarnation = time.time_ns()
        rows = self._execute('select incarnation from run')
        incarnation = max([incarnation, *(int(row[0]) + 1 for row in rows)])
        self._execute('delete from run')
        self._execute('insert into run values (?)', str(incarnation))  # beyond SQL's 63 bits
        return incarnation

    def accept(self, task: Task, now: float) -> None:
        """Write down an accepted item.

        :param now: time on the clock of the task's stamps [s].
        """
        header = task.header if isinstance(task.header, SensorHeader) else SensorHeader()
        key = task.key
        self._begun = True
        self._execute(
            INSERT,
            *(key.source, str(key.incarnation), key.seq, task.model, task.priority_class),
            *(time.time() - task.age_s(now), task.lifespan_s, task.deadline_s, task.passes_left),
            *header,
        )

    def ended(self, key: ItemKey) -> None:
        """Strike out an item; to be called just before its end is published."""
        self._execute(DELETE, key.source, str(key.incarnation), key.seq)

    def read(self, fleet: Fleet, worker: str, now: float) -> tuple[Task, ...]:
        """Return the items that an earlier run left open, oldest first; they stay in the journal.

        Items of sources that are no longer this worker's are struck out.

        :param now: time on the clock of the tasks' stamps [s].
        """
        tasks = []
        for row in self._execute('select * from open order by accepted_at, source, seq'):
            source, incarnation, seq = row[:3]
            known = fleet.sources.get(source)
            if known is not None and known.worker == worker:
                tasks.append(_task(row, fleet, worker, now))
            else:
                self._tell(f'{source} item {seq} was left open, but is no item of {worker} now')
                self.ended(ItemKey(source, incarnation, seq))
        return tuple(tasks)

    def close(self) -> None:
        """Close the file; nothing is written down any more."""
        with self._lock:
            if self._connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.close()
                self._connection = None

    def _execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._connection is None:
                return []
            try:
                return self._connection.execute(statement, values).fetchall()
            except (sqlite3.Error, OverflowError) as error:
                self._connection.close()
                self._connection = None
                if self._begun:
                    self._remove()
                self._trouble(error)
                return []

    def _remove(self) -> None:
        """Delete the file: what it holds ends in this run, and can be struck out no more."""
        for suffix in ('', '-wal', '-shm'):
            with contextlib.suppress(OSError):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _open_or_replace(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.OperationalError:
            raise  # held by another process, or the disk is full: not the file's fault
        except sqlite3.DatabaseError as error:
            aside = self._path.with_name(self._path.name + '.damaged')
            self._path.replace(aside)
            for suffix in ('-wal', '-shm'):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._tell(f'{self._path} is damaged ({error}); moved to {aside}, begun anew')
            return self._open()

    def _open(self) -> sqlite3.Connection:
        # No transaction but the statement's own: each is there when the call returns.
        connection = sqlite3.connect(
            self._path, timeout=0.5, isolation_level=None, check_same_thread=False
        )
        try:
            # Two executors of one worker would end each other's items.
            connection.execute('pragma locking_mode = exclusive')
            connection.execute('pragma journal_mode = wal')
            connection.execute('pragma synchronous = off')
            version = connection.execute('pragma user_version').fetchone()[0]
            if version == 0:
                connection.executescript(f'begin exclusive; {SCHEMA} commit')
            elif version != VERSION:
                raise sqlite3.DatabaseError(f'version {version}, this is {VERSION}')
            if (sound := connection.execute('pragma quick_check').fetchone()[0]) != 'ok':
                raise sqlite3.DatabaseError(sound)
            tables = connection.execute("select name from sqlite_master where type = 'table'")
            if {name for (name,) in tables} != {'open', 'run'}:
                raise sqlite3.DatabaseError('it holds something else')
        except BaseException:
            connection.close()
            raise
        return connection

    def _trouble(self, error: Exception) -> None:
        self._tell(
            f'{self._path}: {error}; items that are open when this process is killed will not be '
            'reported as lost. Is another executor of this worker running, is the disk full?'
        )


def _task(row: tuple[Any, ...], fleet: Fleet, worker: str, now: float) -> Task:
    """Return the item of a row of the table."""
    source, incarnation, seq, model, name, at, lifespan_s, deadline_s, passes_left = row[:9]
    ranks = {priority.name: priority.rank for priority in fleet.priority_classes}
    arrived_s = now - max(0.0, time.time() - at)
    return Task(
        key=ItemKey(source, int(incarnation), seq),
        home=worker,
        model=model,
        priority_class=name,
        rank=ranks.get(name, len(ranks) - 1),
        arrived_s=arrived_s,
        received_s=arrived_s,
        lifespan_s=lifespan_s,
        deadline_s=deadline_s,
        passes_left=passes_left,
        raw=True,
        header=SensorHeader(*row[9:]),
    )
