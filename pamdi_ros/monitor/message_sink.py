# SPDX-License-Identifier: Apache-2.0
"""Where an observer of a fleet enters what it hears."""

from __future__ import annotations

from typing import Any, Protocol


class MessageSink(Protocol):
    """Takes the messages of one fleet, each with when it came, on one monotonic clock [s].

    :class:`~pamdi_ros.monitor.collector.Collector` keeps the newest and reads them when somebody
    asks for a view; :class:`~pamdi_ros.monitor.run_tally.RunTally` counts all of them.
    """

    @property
    def newest_assignment(self) -> Any:
        """The Assignment that counts; None: none was heard."""

    def status(self, message: Any, now_s: float, wall_s: float | None = None) -> None:
        """Take a WorkerStatus.

        :param wall_s: when it came on the clock that stamps are compared with [s]; None: unknown.
        """

    def stats(self, message: Any, now_s: float) -> None:
        """Take a SourceStats."""

    def assignment(self, message: Any, now_s: float) -> None:
        """Take an Assignment, or a worker's copy of one."""

    def result(self, message: Any, now_s: float) -> None:
        """Take an InferenceResult."""

    def diagnostics(self, array: Any, now_s: float) -> None:
        """Take a DiagnosticArray, perhaps of another fleet."""
