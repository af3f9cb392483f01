# SPDX-License-Identifier: Apache-2.0
"""A YAML file as a mapping, with the line of every key and the keys that stand twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
import re

from pamdi_ros.fleet.problems import ConfigProblem, FleetError, join, MISSING, shown
import yaml

MAX_BYTES = 4_000_000


class _FleetLoader(yaml.SafeLoader):
    """SafeLoader that reads 1e3 and 1.5e3 as numbers; YAML 1.1 wants 1.0e+3."""


_FleetLoader.add_implicit_resolver(
    'tag:yaml.org,2002:float',
    re.compile(r'^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$'),
    list('-+0123456789.'),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class YamlFile:
    """What a YAML file says.

    :param mapping: the document
    :param lines: line of a path such as ``workers.robot1``, from 1
    :param duplicates: a problem for each key that stands twice in one mapping
    """

    mapping: Mapping[object, object]
    lines: Mapping[str, int]
    duplicates: tuple[ConfigProblem, ...]

    def line_of(self, path: str) -> int | None:
        """Line of a path, or of the nearest one above it; None for the whole file."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = re.sub(r'(^|\.)[^.\[\]]*$|\[\d+\]$', '', path)
        return None


def read_yaml(path: Path) -> YamlFile:
    """Content of a YAML file whose document is a mapping.

    :raises FleetError: missing, unreadable, empty, not YAML, or not a mapping
    """
    try:
        with path.open('rb') as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise _failure(
            path, f'cannot be read: {reason}', 'check the path and its rights'
        ) from None
    if len(content) > MAX_BYTES:
        raise _failure(path, f'is larger than {MAX_BYTES} bytes', 'give a fleet file')
    try:
        # The constructor checks the encoding already.
        loader = _FleetLoader(content)
        node = loader.get_single_node()
        # First: the construction merges << keys into the nodes.
        lines, duplicates = _survey(node)
        document = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        raise _syntax_failure(path, error) from None
    except RecursionError:
        raise _failure(path, 'is nested too deeply', 'give a fleet file') from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        # PyYAML's constructors let these through, for a date 2026-13-45 or !!bool perhaps.
        raise _failure(path, f'holds a value that YAML cannot read: {error}', 'quote it') from None
    if document is None:
        raise _failure(path, 'is empty', 'start from config/examples/minimal.yaml')
    if not isinstance(document, dict):
        message = f'holds {shown(document)} instead of a mapping'
        raise _failure(path, message, 'start from config/examples/minimal.yaml')
    return YamlFile(mapping=document, lines=lines, duplicates=tuple(duplicates))


def _survey(root: yaml.Node | None) -> tuple[dict[str, int], list[ConfigProblem]]:
    """Line of every path below a node, and the keys that stand twice."""
    lines: dict[str, int] = {}
    duplicates: list[ConfigProblem] = []
    waiting = deque([('', root)] if root is not None else [])
    surveyed: set[int] = set()
    while waiting:
        path, node = waiting.popleft()
        lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in surveyed:
            continue  # an alias; aliases within aliases can make the walk endless
        surveyed.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend((join(path, index), item) for index, item in enumerate(node.value))
        elif isinstance(node, yaml.MappingNode):
            first: dict[tuple[str, str], int] = {}
            for key, item in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                where, line = join(path, str(key.value)), key.start_mark.line + 1
                lines[where] = line
                if (key.tag, key.value) in first:
                    before = first[key.tag, key.value]
                    duplicates.append(_duplicate(where, str(key.value), before, line))
                first.setdefault((key.tag, key.value), line)
                waiting.append((where, item))
    return lines, duplicates


def _duplicate(path: str, key: str, before: int, line: int) -> ConfigProblem:
    return ConfigProblem(
        path=path,
        value=key,
        message=f'the key {key!r} stands twice, on lines {before} and {line}',
        remedy='rename or remove one of them',
        line=line,
    )


def _failure(path: Path, message: str, remedy: str, line: int | None = None) -> FleetError:
    problem = ConfigProblem(path='', value=MISSING, message=message, remedy=remedy, line=line)
    return FleetError([problem], str(path))


def _syntax_failure(path: Path, error: yaml.YAMLError) -> FleetError:
    mark = getattr(error, 'problem_mark', None)
    reason = getattr(error, 'problem', None) or str(error).splitlines()[0]
    if mark is None:
        return _failure(path, f'is not YAML: {reason}', 'save it as UTF-8 text')
    message = f'is not YAML: line {mark.line + 1}, column {mark.column + 1}: {reason}'
    remedy = 'check indentation, colons, brackets and quotes there'
    return _failure(path, message, remedy, line=mark.line + 1)
