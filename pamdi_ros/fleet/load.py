# SPDX-License-Identifier: Apache-2.0
"""From fleet.yaml to a Fleet: read, check against schema and cross-checks, build."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import os
from pathlib import Path

from pamdi_ros.fleet.build import build_fleet
from pamdi_ros.fleet.checks import cross_problems
from pamdi_ros.fleet.document import Document
from pamdi_ros.fleet.plain import to_plain
from pamdi_ros.fleet.problems import ConfigProblem, FleetError
from pamdi_ros.fleet.schema import schema_problems
from pamdi_ros.fleet.types import Fleet
from pamdi_ros.fleet.yaml_file import read_yaml


def load_fleet(path: str | os.PathLike[str]) -> Fleet:
    """Fleet that a YAML file describes.

    :param path: the file; weights and labels files in it are relative to its directory
    :raises FleetError: with all problems of the file, in the order of their lines
    """
    file_path = Path(path).expanduser()
    file = read_yaml(file_path)
    mapping, problems = _checked(file.mapping)
    located = [
        dataclasses.replace(problem, line=file.line_of(problem.path)) for problem in problems
    ]
    located += file.duplicates
    if located:
        raise FleetError(sorted(located, key=lambda p: (p.line is None, p.line)), str(file_path))
    return build_fleet(mapping, file_path.resolve().parent)


def parse_fleet(mapping: Mapping[str, object]) -> Fleet:
    """Fleet that a mapping describes, with the keys and units of fleet.yaml.

    :raises FleetError: with all problems of the mapping
    """
    plain, problems = _checked(mapping)
    if problems:
        raise FleetError(problems)
    return build_fleet(plain)


def _checked(mapping: object) -> tuple[dict[str, object], list[ConfigProblem]]:
    """Plain form of a mapping and everything that is wrong with it."""
    plain, problems = to_plain(mapping)
    if plain or not problems:
        problems += schema_problems(plain)
        problems += cross_problems(Document(plain))
    return plain, problems
