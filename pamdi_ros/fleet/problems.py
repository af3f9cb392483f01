# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a fleet file: one Problem each, all of them in one FleetError."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import difflib


class _Missing:
    """The value of a key that is not there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return 'nothing'

    def __reduce__(self) -> str:
        return 'MISSING'


MISSING = _Missing()


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigProblem:
    """One mistake in a fleet file.

    :param path: where, such as ``sources.front_camera.model``; empty: the whole file
    :param value: what stands there; MISSING where a key is absent
    :param message: what is wrong with it
    :param remedy: what to write instead
    :param line: line in the file, from 1; None where there is no file
    """

    path: str
    value: object
    message: str
    remedy: str
    line: int | None = None

    def __str__(self) -> str:
        """Return the problem in two lines: where and what, then the remedy."""
        where = self.path or 'the file'
        if self.line is not None:
            where += f' (line {self.line})'
        text = f'{where}: {self.message}'
        if self.value is not MISSING and shown(self.value) not in self.message:
            text += f' [value: {shown(self.value)}]'
        return f'{text}\n     remedy: {self.remedy}'


class FleetError(ValueError):
    """A fleet description that cannot be used.

    :param problems: everything that is wrong, at least one problem
    :param source: the file's name, for the message
    """

    def __init__(self, problems: Iterable[ConfigProblem], source: str = 'fleet') -> None:
        self.problems: tuple[ConfigProblem, ...] = tuple(problems)
        self.source = source
        super().__init__(self.problems, source)

    def __str__(self) -> str:
        """Return all problems, numbered."""
        count = len(self.problems)
        lines = [f'{self.source}: {count} problem{"" if count == 1 else "s"}']
        lines += [f'{number:3d}. {problem}' for number, problem in enumerate(self.problems, 1)]
        return '\n'.join(lines)


def shown(value: object, limit: int = 60) -> str:
    """Value as a message shows it, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= limit else f'{text[: limit - 1]}…'


def join(path: str, *keys: str | int) -> str:
    """Return the path of a key below a path, such as links.pairs, 0, between."""
    for key in keys:
        if isinstance(key, int):
            path += f'[{key}]'
        else:
            path += f'.{key}' if path else key
    return path


def suggestion(word: object, known: Sequence[str], kind: str) -> str:
    """Remedy for a name that is not known: the closest known name, else all of them.

    :param known: the names that would be right
    :param kind: what the names are, such as ``worker``
    """
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    if close:
        return f'did you mean {close[0]!r}?'
    if not known:
        return f'declare a {kind} of that name first'
    names = ', '.join(known[:12]) + (', …' if len(known) > 12 else '')
    return f'use a known {kind}: {names}'
