# SPDX-License-Identifier: Apache-2.0
"""The running plan on disk, so that an allocator that starts again goes on with it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
import hashlib
import json
import operator
import os
from pathlib import Path
from typing import Any

from pamdi_ros.assignment import (
    ModelProfile,
    Partition,
    PipelineStage,
    Plan,
    PlannedExit,
    SourcePlan,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A plan and what it was made for.

    :param fleet_digest: see :func:`digest`.
    """

    fleet_digest: str
    plan: Plan


def digest(fleet_file: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a fleet file's content and of the planner's, in hexadecimal.

    A plan is gone on with only where the same planner would have had the same fleet before it.
    """
    sources = sorted(Path(__file__).parent.glob('*.py'))
    found = hashlib.sha256()
    for path in (Path(fleet_file).expanduser(), *sources):
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def write_record(path: Path, record: Record) -> None:
    """Write a record in one step: whoever reads gets the old one or the new one.

    :raises OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f'{path.name}.{os.getpid()}')
    try:
        unfinished.write_text(json.dumps(asdict(record), indent=1), encoding='utf-8')
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def read_record(path: Path) -> Record | None:
    """Read what :func:`write_record` wrote; None where there is nothing that can be read."""
    try:
        plain = json.loads(path.read_text(encoding='utf-8'))
        return Record(fleet_digest=str(plain['fleet_digest']), plan=_plan(plain['plan']))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _plan(plain: dict[str, Any]) -> Plan:
    return Plan(
        epoch=int(plain['epoch']),
        allocator=operator.index(plain.get('allocator', 0)),  # versions before had none
        policy=plain['policy'],
        placement={
            worker: tuple(Partition(**part) for part in parts)
            for worker, parts in plain['placement'].items()
        },
        sources={
            name: SourcePlan(
                **{
                    **source,
                    'route': tuple(PipelineStage(**stage) for stage in source['route']),
                    'exits': tuple(_exit(exit_) for exit_ in source['exits']),
                }
            )
            for name, source in plain['sources'].items()
        },
        models={
            name: ModelProfile(
                flops=tuple(profile['flops']), boundary_bytes=tuple(profile['boundary_bytes'])
            )
            for name, profile in plain['models'].items()
        },
        step=operator.index(plain['step']),
        steps=operator.index(plain['steps']),
        provisional=_whether(plain['provisional']),
    )


def _whether(plain: object) -> bool:
    if not isinstance(plain, bool):
        raise TypeError(f'{plain!r} is neither true nor false')
    return plain


def _exit(plain: dict[str, Any]) -> PlannedExit:
    return PlannedExit(
        unit=int(plain['unit']),
        accuracy=float(plain['accuracy']),
        threshold=float(plain['threshold']),
    )
