# SPDX-License-Identifier: Apache-2.0
"""A model's operations as ONNX on disk: found, or exported once by a builder process. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import os
from pathlib import Path
from typing import Any

from pamdi_ros.models.build.cache import Built, damaged, make_entry, read_json, run_builder
from pamdi_ros.models.build.heads import BuiltHeads
from pamdi_ros.models.build.request import ModelRequest
from pamdi_ros.models.errors import ModelError

#: What every entry has: whether the export may be used, and why not.
EXPORT_FILE = 'onnx.json'
#: The operations on all positions of the input.
GRAPH_FILE = 'graph.json'
#: The last ones of a text model once more, on one position.
NARROW_FILE = 'narrow.json'
FORMAT = 2  # of an entry of the cache

Export = Callable[[ModelRequest, Built, BuiltHeads | None, Path], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What the export of a model has left in the cache.

    :param directory: where its graphs lie.
    :param reason: why it must not be used: it could not be made, or gives other numbers than
        torch; empty: it may.
    :param worst: largest error of a boundary or output, as a share of its largest value.
    :param made_by: versions of what made and checked it, by library.
    """

    directory: Path
    reason: str
    worst: float
    made_by: Mapping[str, str]


def ensure_exported(
    request: ModelRequest,
    built: Built,
    heads: BuiltHeads | None,
    export: Export | None = None,
) -> Exported:
    """Return a model's export; where it is absent, a builder process makes and checks it.

    :param heads: of its exits, which are exported, too.
    :param export: fills a directory in place of that process.
    :raises ModelError: with the builder's own message: a library is missing.
    """
    home = built if heads is None else heads
    entry = home.directory.with_name(f'{home.directory.name}-onnx-{FORMAT}')
    fill = export or _export_in_subprocess
    make_entry(entry, EXPORT_FILE, lambda work: fill(request, built, heads, work))
    plain: Any = read_json(entry / EXPORT_FILE)
    try:
        if plain['format'] != FORMAT:
            raise ValueError(f'format {plain["format"]!r} is not {FORMAT}')
        return Exported(
            directory=entry,
            reason=str(plain['reason']),
            worst=float(plain['worst']),
            made_by={str(name): str(version) for name, version in plain['made_by'].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(entry, error) from None


def head_file(unit: int) -> str:
    """Return the name of the file of the head of the exit before a unit."""
    return f'head-{unit}.json'


def _export_in_subprocess(
    request: ModelRequest, built: Built, heads: BuiltHeads | None, directory: Path
) -> None:
    arguments = [
        request.to_json(),
        str(built.directory),
        '' if heads is None else str(heads.directory),
        str(directory),
        str(os.getpid()),
    ]
    try:
        run_builder('pamdi_ros.models.engines.onnx_export', arguments, request)
    except ModelError as error:
        if 'No module named' in error.message:
            raise ModelError(
                'engine', 'onnxruntime', f'{request.name} cannot be exported here: {error.message}',
                "Install it (pip install 'pamdi_ros[models]'), or export where it is: pamdi build "
                'FLEET --out DIR makes a bundle for this machine.',
            ) from None  # fmt: skip
        raise
