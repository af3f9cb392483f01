# SPDX-License-Identifier: Apache-2.0
"""Cross-checks of a fleet mapping: what a JSON Schema cannot say, one module a section."""

from __future__ import annotations

from pamdi_ros.fleet.checks import classes, events, links, models, policy, sources, workers
from pamdi_ros.fleet.document import Document
from pamdi_ros.fleet.problems import ConfigProblem

__all__ = ['cross_problems']

_CHECKS = (
    policy.problems,
    classes.problems,
    models.problems,
    workers.problems,
    links.problems,
    sources.problems,
    events.problems,
)


def cross_problems(document: Document) -> list[ConfigProblem]:
    """Every contradiction between parts of a fleet mapping, in the order of the sections."""
    return [problem for check in _CHECKS for problem in check(document)]
