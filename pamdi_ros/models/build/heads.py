# SPDX-License-Identifier: Apache-2.0
"""Heads of a model's exits on disk: asked for, found or made once, and counted. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
import hashlib
import json
import os
from pathlib import Path
import re
from typing import Any

from pamdi_ros.models.build.cache import Built, damaged, make_entry, read_json, run_builder
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.build.request import ModelRequest, source_digest
from pamdi_ros.models.units import UnitTable

DEFAULT_HEAD = 'pamdi_ros.models.build.exits:pooled_linear'
HEADS_FILE = 'heads.json'
FORMAT = 2  # of an entry of the cache


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadRequest:
    """What defines the head of one exit.

    :param unit: units [0, unit) are run when it answers.
    :param head: ``package.module:function``; None: :data:`DEFAULT_HEAD`.
    """

    unit: int
    head: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltHead:
    """One head in the cache.

    :param flops: floating point operations.
    :param sizes: (tensor name, size [byte]), named as in a model's weights file.
    :param tensors: name in the head -> [file, key, dtype]; a relative file lies in the entry.
    :param program: its operations, as :class:`pamdi_ros.models.graph.program.Program` has them.
    """

    flops: int
    sizes: tuple[tuple[str, int], ...]
    tensors: Mapping[str, tuple[str, str, str]]
    program: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltHeads:
    """The heads of one model.

    :param directory: where their files lie.
    :param heads: by unit.
    """

    directory: Path
    heads: Mapping[int, BuiltHead]


BuildHeads = Callable[[ModelRequest, Built, Sequence[HeadRequest], Path], None]


def read_heads(mapping: Mapping[str, object]) -> tuple[HeadRequest, ...]:
    """Return the heads that a model's mapping of fleet.yaml asks for.

    :raises ModelError: for one of a text model, or a field of a wrong type.
    """
    exits = mapping.get('exits') or ()
    if not isinstance(exits, Sequence) or isinstance(exits, str):
        raise ModelError('exits', exits, 'must be a list')
    heads = []
    for entry in exits:
        unit = entry.get('unit') if isinstance(entry, Mapping) else None
        head = entry.get('head') if isinstance(entry, Mapping) else None
        if isinstance(unit, bool) or not isinstance(unit, int) or unit < 1:
            raise ModelError('exits', unit, 'an exit needs a unit of 1 or more')
        if head is not None and not (
            isinstance(head, str) and re.fullmatch(r'[\w.]+:[A-Za-z_][\w.]*', head)
        ):
            raise ModelError('exits', head, 'a head must read package.module:function')
        heads.append(HeadRequest(unit=unit, head=head))
    return tuple(heads)


def ensure_heads(
    request: ModelRequest,
    built: Built,
    heads: Sequence[HeadRequest],
    build: BuildHeads | None = None,
) -> BuiltHeads | None:
    """Return the heads of a model's exits; where they are absent, a builder process makes them.

    :param build: fills a directory in place of that process.
    :returns: None for a model without exits.
    :raises ModelError: with the builder's own message.
    """
    if not heads:
        return None
    parts = [
        FORMAT,
        request.unit_flops,
        [[*asdict(head).values(), source_digest(_module(head))] for head in heads],
    ]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    entry = built.directory.with_name(f'{built.directory.name}-heads-{digest}')
    fill = build or _build_in_subprocess
    make_entry(entry, HEADS_FILE, lambda work: fill(request, built, heads, work))
    return read_built_heads(entry)


def read_built_heads(entry: Path) -> BuiltHeads:
    """Return the heads of an entry of the cache.

    :raises ModelError: it is damaged.
    """
    plain: Any = read_json(entry / HEADS_FILE)
    try:
        return BuiltHeads(
            directory=entry,
            heads={
                int(unit): BuiltHead(
                    flops=head['flops'],
                    sizes=tuple((name, size) for name, size in head['sizes']),
                    tensors={name: tuple(where) for name, where in head['tensors'].items()},
                    program=head['program'],
                )
                for unit, head in plain.items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(entry, error) from None


def with_heads(table: UnitTable, built: BuiltHeads | None) -> UnitTable:
    """Return a table in which each head counts with the unit before its exit, which runs it."""
    if built is None:
        return table
    units = list(table.units)
    for unit, head in built.heads.items():
        cost = units[unit - 1]
        units[unit - 1] = replace(
            cost, flops=cost.flops + head.flops, weights=(*cost.weights, *head.sizes)
        )
    return replace(table, units=tuple(units))


def check_units(heads: Sequence[HeadRequest], units: int) -> None:
    """Check that exits lie before the last unit.

    :raises ModelError: for the first that does not.
    """
    for head in heads:
        if head.unit >= units:
            raise ModelError(
                'exits', head.unit, f'the model has {units} units: an exit lies before the last',
                'pamdi profile FLEET lists them.',
            )  # fmt: skip


def _module(head: HeadRequest) -> str:
    return (head.head or DEFAULT_HEAD).partition(':')[0]


def _build_in_subprocess(
    request: ModelRequest, built: Built, heads: Sequence[HeadRequest], directory: Path
) -> None:
    asked = json.dumps([asdict(head) for head in heads])
    arguments = [request.to_json(), str(built.directory), asked, str(directory), str(os.getpid())]
    run_builder('pamdi_ros.models.engines.exit_heads', arguments, request)
