# SPDX-License-Identifier: Apache-2.0
"""One line of the doctor's report. What is not well always comes with its remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Verdict(IntEnum):
    """How something looked at is, the worse the higher."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check came to.

    :param check: what was looked at, such as 'kernel buffers'.
    :param message: what was found.
    :param remedy: what to do; empty where all is well.
    """

    check: str
    verdict: Verdict
    message: str
    remedy: str = ''


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check=check, verdict=Verdict.OK, message=message)


def warn(check: str, message: str, remedy: str) -> Finding:
    """It works, but worse than it could, or not for long."""
    return Finding(check=check, verdict=Verdict.WARN, message=message, remedy=remedy)


def fail(check: str, message: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check=check, verdict=Verdict.FAIL, message=message, remedy=remedy)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict; OK where nothing was found."""
    return max((finding.verdict for finding in findings), default=Verdict.OK)
