# SPDX-License-Identifier: Apache-2.0
"""One combination of factors of an experiment: what is to be run, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from pamdi_ros.experiments.fleets import Document
from pamdi_ros.simulation.setup import Setup

Factors: TypeAlias = Mapping[str, str | float]
T = TypeVar('T')


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination of factors, to be run.

    :param factors: what tells it from the others.
    :param setups: its runs, one a seed.
    :param document: content of the fleet file of real processes; None: it is simulated.
    :param networked: every worker of real processes has a host of its own.
    """

    factors: Factors
    setups: tuple[Setup, ...]
    document: Document | None = None
    networked: bool = False


@dataclass(frozen=True, kw_only=True)
class CellResult(Generic[T]):
    """One combination of factors, run.

    :param factors: what tells it from the others.
    :param seeds: of the runs.
    :param runs: what each run says, in the order of the seeds.
    :param real: real processes were run.
    """

    factors: Factors
    seeds: tuple[int, ...]
    runs: tuple[T, ...]
    real: bool = False
