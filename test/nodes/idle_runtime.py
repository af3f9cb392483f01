# SPDX-License-Identifier: Apache-2.0
"""Worker a's state machine in a real runtime that computes nothing, and what it wanted done."""

from __future__ import annotations

from nodes.wire_cases import FLEET
from pamdi_ros.nodes.executor.runtime import Runtime
from pamdi_ros.worker import Command, ComputeUnit, SendChunk, UnitResult, WorkerMachine


class IdleRuntime:
    """Its threads are not started: each event is carried out by who tells it."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.frames: list[SendChunk] = []
        self.machine = WorkerMachine('a', FLEET, incarnation=9)
        self.runtime = Runtime(self.machine, self, self)

    def execute(self, command: Command) -> None:
        """Keep a command."""
        self.commands.append(command)

    def send(self, frame: SendChunk, now: float) -> str:
        """Keep a frame."""
        self.frames.append(frame)
        return ''

    def use_threads(self, threads: int) -> None:
        """Take what there is."""

    def rested(self) -> None:
        """Go on resting."""

    def run(self, work: ComputeUnit) -> UnitResult:
        """Compute nothing: no thread asks for it."""
        raise AssertionError('the compute thread is not started')
