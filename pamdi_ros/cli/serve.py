# SPDX-License-Identifier: Apache-2.0
"""Runs a fleet on this machine and shows it: what `pamdi up` and `pamdi demo` share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
import os
from pathlib import Path
import shutil
import signal
import sys
import time
from typing import Any, TYPE_CHECKING

from pamdi_ros.cli.summary import source_table, summarise, worker_table
from pamdi_ros.fleet import Fleet, fleet_nodes
from pamdi_ros.parent_death_signal import ask_for_signal_at_parents_death
from pamdi_ros.supervisor import Child, node_child, Supervisor
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from pamdi_ros.monitor.run_tally import RunTally
    from pamdi_ros.nodes.monitor.fleet_observer import RunObserver

REFRESH_S = 0.5
#: Without a terminal to redraw, one line for each phase, and then now and then [s].
LINE_PERIOD_S = 5.0
#: Characters of a line where no terminal says how wide it is.
LOG_WIDTH = 120
#: Building a model's weights for the first time takes a while [s].
START_PATIENCE_S = 300.0


class CannotStart(Exception):  # noqa: N818 - it says what cannot be done
    """The fleet did not come up; the text says who waits for what."""


@dataclass(kw_only=True, slots=True)
class ServedRun:
    """One run of a fleet.

    :param fleet: the fleet.
    :param fleet_file: its file.
    :param seconds: how long it serves once it is up [s]; None: until Ctrl-C.
    :param respawn: nodes that die are started again.
    :param monitor: run the monitor node, too.
    :param log_directory: logs of the processes.
    :param sensors: processes that publish sensor data, started when the fleet is up.
    :param solo_items: see :func:`pamdi_ros.cli.summary.summarise`.
    :param record: file that what the fleet says is written to; None: nowhere.
    :param console: where a person reads.
    """

    fleet: Fleet
    fleet_file: str
    seconds: float | None
    log_directory: Path
    console: Console
    respawn: bool = False
    monitor: bool = True
    sensors: Sequence[Child] = ()
    solo_items: int = 0
    record: Path | None = None
    stopped: list[int] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def serve(self) -> tuple[dict[str, Any], RunTally]:
        """Start, serve, drain, stop.

        :returns: the summary, and the tally with all results.
        :raises CannotStart: the fleet did not come up.
        """
        from pamdi_ros.nodes.monitor.fleet_observer import RunObserver
        from pamdi_ros.shared_memory import remove_stale_segments

        remove_stale_segments()
        nodes = fleet_nodes(
            self.fleet,
            fleet_file=self.fleet_file,
            use_respawn=self.respawn,
            monitor=self.monitor,
        )
        os.environ.update(nodes[-1].environment)  # this command listens through the same profile
        observer = RunObserver(self.fleet)
        tally = observer.tally
        try:
            with (
                self._signals(),
                Supervisor(self.log_directory, self._tell) as processes,
                self._live() as live,
            ):
                processes.start(map(node_child, nodes))
                self._until_up(observer, processes, live)
                tally.started_s = time.monotonic()
                with self._recorded(tally):
                    processes.start(self.sensors)
                    self._until_over(observer, processes, live)
                    if self.sensors:
                        processes.stop(self.sensors)
                        self._drain(observer, processes, live)
        finally:
            observer.close()
        return summarise(self.fleet, tally, self.solo_items), tally

    # --- phases ---------------------------------------------------------------------------------

    def _until_up(self, observer: RunObserver, processes: Supervisor, live: Live) -> None:
        give_up_s = time.monotonic() + START_PATIENCE_S
        while waiting := observer.tally.not_serving():
            if self.stopped:
                return
            self._step(observer, processes, live, 'starting')
            if self.gone:
                raise CannotStart(f'{", ".join(self.gone)} died while starting')
            if time.monotonic() > give_up_s:
                reasons = '; '.join(f'{name}: {why}' for name, why in waiting.items())
                raise CannotStart(f'not up after {START_PATIENCE_S:.0f} s: {reasons}')

    def _until_over(self, observer: RunObserver, processes: Supervisor, live: Live) -> None:
        end_s = None if self.seconds is None else time.monotonic() + self.seconds
        while not self.stopped and (end_s is None or time.monotonic() < end_s):
            if self.solo_items and end_s is not None and not self._solo_done(observer.tally):
                end_s = time.monotonic() + (self.seconds or 0.0)
                self._step(observer, processes, live, 'measuring each source alone')
            else:
                self._step(observer, processes, live, 'serving')

    def _solo_done(self, tally: RunTally) -> bool:
        if time.monotonic() - tally.started_s > START_PATIENCE_S:
            return True
        return all(
            view.results and max(message.seq for _, message in view.results) >= self.solo_items
            for view in tally.sources.values()
        )

    def _drain(self, observer: RunObserver, processes: Supervisor, live: Live) -> None:
        """Wait until every item has ended; its lifespan bounds that."""
        longest_s = max(source.lifespan_s for source in self.fleet.sources.values())
        end_s = time.monotonic() + longest_s + 2.0
        settle_s = time.monotonic() + 2.5  # statistics come once a second
        while not self.stopped and time.monotonic() < end_s:
            self._step(observer, processes, live, 'draining')
            if time.monotonic() > settle_s and not observer.tally.in_flight():
                return

    def _step(self, observer: RunObserver, processes: Supervisor, live: Live, phase: str) -> None:
        observer.spin(REFRESH_S)
        self.gone = processes.watch()
        if self.console.is_terminal:
            live.update(self._picture(observer.tally, phase), refresh=True)
        elif phase != self._told_phase or time.monotonic() - self._told_s > LINE_PERIOD_S:
            self._told_phase, self._told_s = phase, time.monotonic()
            self.console.print(_line(observer.tally, phase))

    _told_phase: str = ''
    _told_s: float = 0.0

    @contextmanager
    def _recorded(self, tally: RunTally) -> Iterator[None]:
        """Write what is heard meanwhile to the file that was asked for."""
        if self.record is None:
            yield
            return
        from pamdi_ros.recording.lines import LineWriter

        with self.record.open('w', encoding='utf-8') as stream:
            writer = LineWriter(stream, self.fleet.name, self.solo_items)
            if tally.newest_assignment is not None:  # it came before
                writer.write(tally.newest_assignment)
            tally.on_message = writer.write
            try:
                yield
            finally:
                tally.on_message = None

    # --- what a person sees ---------------------------------------------------------------------

    def _live(self) -> Live:
        return Live(console=self.console, auto_refresh=False, transient=True)

    def _picture(self, tally: RunTally, phase: str) -> Group:
        summary = summarise(self.fleet, tally, self.solo_items)
        elapsed_s = time.monotonic() - tally.started_s
        waiting = tally.not_serving()
        allocator = waiting.pop('the allocator', '')
        told = f'; allocator: {allocator}' if allocator else ''
        title = Text(f'{self.fleet.name}: {phase}, {elapsed_s:.0f} s{told}', style='bold')
        return Group(title, source_table(summary), worker_table(summary['workers'], waiting))

    def _tell(self, text: str) -> None:
        self.console.print(text, style='yellow', markup=False, highlight=False)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn Ctrl-C and SIGTERM into an orderly end; a second one is not needed."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            signal.signal(number, lambda received, _: self.stopped.append(received))
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _line(tally: RunTally, phase: str) -> str:
    waiting = tally.not_serving()
    if waiting:
        return f'{phase}: ' + '; '.join(f'{name}: {why}' for name, why in waiting.items())
    sources = ', '.join(
        f'{name} {view.stats.results}/{view.stats.accepted}'
        for name, view in tally.sources.items()
        if view.stats is not None
    )
    return f'{phase}: results/items: {sources}'


def die_with_parent() -> None:
    """End this command, and so its nodes, when the shell or script that started it dies."""
    ask_for_signal_at_parents_death(os.getppid())


def make_console(json_target: str | None) -> Console:
    """Console for a person; standard error where standard output carries the JSON."""
    stream = sys.stderr if json_target == '-' else sys.stdout
    # A log file or a pipe has no width: leave the tables room, unless COLUMNS says otherwise.
    width = None if stream.isatty() else shutil.get_terminal_size((LOG_WIDTH, 24)).columns
    return Console(file=stream, width=width)
