# SPDX-License-Identifier: Apache-2.0
"""Any nested mapping as plain dicts and lists that JSON could hold, and what could not be."""

from __future__ import annotations

from collections.abc import Mapping
import math

from pamdi_ros.fleet.problems import ConfigProblem, join, shown

MAX_DEPTH = 32
MAX_VALUES = 200_000  # a fleet of 200 workers has a few thousand; YAML aliases can make billions
MAX_INTEGER = 2**53  # whole numbers beyond this lose digits as a float


class _Tidying:
    """One pass over a nested value that collects problems."""

    def __init__(self) -> None:
        self.problems: list[ConfigProblem] = []
        self._ancestors: set[int] = set()
        self._values = 0

    def to_plain(self, value: object, path: str) -> object:
        """Plain copy of value; what has no plain form is reported and left as it is."""
        self._values += 1
        if self._values > MAX_VALUES:
            if self._values == MAX_VALUES + 1:
                self.report(path, value, 'the description is too large', 'write fewer aliases')
            return None
        if isinstance(value, (Mapping, list, tuple)):
            if id(value) in self._ancestors or len(self._ancestors) >= MAX_DEPTH:
                self.report(path, '…', 'is nested too deeply', 'remove the recursion')
                return None
            self._ancestors.add(id(value))
            try:
                if isinstance(value, Mapping):
                    return self._tidy_mapping(value, path)
                return [self.to_plain(item, join(path, index)) for index, item in enumerate(value)]
            finally:
                self._ancestors.discard(id(value))
        return self._tidy_scalar(value, path)

    def _tidy_mapping(self, mapping: Mapping[object, object], path: str) -> dict[str, object]:
        plain: dict[str, object] = {}
        for key, item in mapping.items():
            name = key if isinstance(key, str) else str(key)
            where = join(path, name)
            if not isinstance(key, str):
                self.report(
                    where, key, f'the key {shown(key)} is not a text', f"quote it: '{name}'"
                )
            else:
                self._tidy_scalar(key, where)
            plain[name] = self.to_plain(item, where)
        return plain

    def _tidy_scalar(self, value: object, path: str) -> object:
        """Return the scalar; a 1 for a number that is none, so that it is told only once."""
        if isinstance(value, float) and not math.isfinite(value):
            self.report(path, value, f'{value} is not a finite number', 'write a finite number')
            return 1
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            # Not shown: Python refuses to print integers of more than 4300 digits.
            self.report(path, '…', 'the number is too large', f'write at most {MAX_INTEGER}')
            return 1
        if isinstance(value, str) and any(ord(letter) < 32 for letter in value):
            self.report(
                path, value, f'{shown(value)} holds a control character', 'write it on one line'
            )
        return value

    def report(self, path: str, value: object, message: str, remedy: str) -> None:
        """Note a problem."""
        self.problems.append(ConfigProblem(path=path, value=value, message=message, remedy=remedy))


def to_plain(mapping: object) -> tuple[dict[str, object], list[ConfigProblem]]:
    """Plain copy of a nested mapping, and the problems met on the way.

    :param mapping: as YAML or a program gives it; may hold tuples, dates, cycles, NaN
    :returns: dicts with text keys and lists; problems, empty when all of it was plain
    """
    tidying = _Tidying()
    plain = tidying.to_plain(mapping, '')
    if not isinstance(plain, dict):
        message = f'a fleet is a mapping, and this is of type {type(mapping).__name__}'
        tidying.report('', mapping, message, 'start from config/examples/minimal.yaml')
        return {}, tidying.problems
    return plain, tidying.problems
