# SPDX-License-Identifier: Apache-2.0
"""The choices of all tasks of a fleet as tables, to decide for many tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pamdi_ros.allocation.stages import Choice, Stage
from pamdi_ros.fleet import PolicyParameters

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tasks:
    """The tasks of one source.

    :param source: its name.
    :param rank: of its class.
    :param weight: γ of it.
    :param rate_hz: at which its items arrive [1/s].
    :param stages: where an item can come to.
    :param urgent_hz: Σ γ·λ of more urgent sources by home worker [1/s].
    """

    source: str
    rank: int
    weight: float
    rate_hz: float
    stages: tuple[Stage, ...]
    urgent_hz: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Options:
    """Stages of all sources one after the other, and the choices in each.

    By stage, shape (stages,):

    :param first: number of the first stage of each source, shape (sources,).
    :param source: number of its source.
    :param home: number of the worker where the task is.
    :param rank: of its class.
    :param weight: γ of it.
    :param asks: whether peers are asked before a task is sent (RTC).
    :param asks_s: time that this takes [s].
    :param missed: probability that a peer is not among those asked.

    By stage and choice, shape (stages, choices):

    :param worker: its number.
    :param away: whether the task must be sent there.
    :param latency_s: of the way there [s].
    :param wire_s: time of its tensors on the wire [s].
    :param service_s: of the stay [s].
    :param price_s: what the run-time policy adds to way and wait, infinite where there is no such
        choice [s].
    :param left_s: mean time left of a unit that runs [s].
    :param home_s: time of the answer's way home [s].
    :param after: number of the stage that follows; −1: the answer goes home.
    """

    first: Ints
    source: Ints
    home: Ints
    rank: Ints
    weight: Floats
    asks: Bools
    asks_s: Floats
    missed: Floats
    worker: Ints
    away: Bools
    latency_s: Floats
    wire_s: Floats
    service_s: Floats
    price_s: Floats
    left_s: Floats
    home_s: Floats
    after: Ints


def options_of(
    fleet: Sequence[Tasks], workers: Mapping[str, int], parameters: PolicyParameters
) -> Options:
    """Give the tables.

    :param fleet: tasks of every source.
    :param workers: number of each worker.
    """
    stages = [(tasks, stage) for tasks in fleet for stage in tasks.stages]
    counts = [len(tasks.stages) for tasks in fleet]
    first = np.cumsum([0, *counts])[:-1].astype(np.intp)
    most = max((len(stage.choices) for _, stage in stages), default=0)

    def table(read: Callable[[Tasks, Stage, Choice], float], missing: float = 0.0) -> Floats:
        rows = np.full((len(stages), most), missing)
        for row, (tasks, stage) in zip(rows, stages, strict=True):
            row[: len(stage.choices)] = [read(tasks, stage, choice) for choice in stage.choices]
        return rows

    def price_s(tasks: Tasks, stage: Stage, choice: Choice) -> float:
        total_s = choice.service_s + choice.rest_s + choice.rest_charge_s
        if parameters.externality:
            held_up = tasks.urgent_hz[choice.worker] * choice.unit_s / tasks.weight
            total_s += choice.service_s * held_up
        if choice.worker != stage.worker:
            total_s += parameters.charge_s(choice.wire_s)
        return total_s

    after = table(lambda _, __, choice: -1 if choice.after is None else choice.after, -1)
    asked = [_asked(tasks, stage, parameters) for tasks, stage in stages]
    return Options(
        first=first,
        source=np.repeat(np.arange(len(fleet)), counts),
        home=np.array([workers[stage.worker] for _, stage in stages], dtype=np.intp),
        rank=np.array([tasks.rank for tasks, _ in stages], dtype=np.intp),
        weight=np.array([tasks.weight for tasks, _ in stages]),
        asks=np.array([asks for asks, _, _ in asked]),
        asks_s=np.array([asks_s for _, asks_s, _ in asked]),
        missed=np.array([missed for _, _, missed in asked]),
        worker=table(lambda _, __, choice: workers[choice.worker]).astype(np.intp),
        away=table(lambda _, stage, choice: choice.worker != stage.worker) > 0,
        latency_s=table(lambda _, __, choice: choice.latency_s),
        wire_s=table(lambda _, __, choice: choice.wire_s),
        service_s=table(lambda _, __, choice: choice.service_s),
        price_s=table(price_s, np.inf),
        left_s=table(lambda _, __, choice: choice.left_s),
        home_s=table(lambda _, __, choice: choice.home_s),
        after=np.where(after >= 0, after + np.repeat(first, counts)[:, None], -1).astype(np.intp),
    )


def _asked(tasks: Tasks, stage: Stage, parameters: PolicyParameters) -> tuple[bool, float, float]:
    """Whether peers are asked, how long that takes [s], and how likely one is left out."""
    peers = [choice for choice in stage.choices if choice.worker != stage.worker]
    few = tasks.rank == 0 and len(peers) <= parameters.small_fleet
    if not peers or not parameters.rtc or few:
        return False, 0.0, 0.0
    among = parameters.asked_among(len(peers))
    missed = max(0.0, 1 - parameters.asked_peers / among)
    return True, 2 * max(choice.latency_s for choice in peers), missed
