# SPDX-License-Identifier: Apache-2.0
"""Builds of models on disk: found, or made once by a short-lived process. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
from dataclasses import dataclass
import fcntl
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.outline import Outline
from pamdi_ros.models.graph.program import Program
from pamdi_ros.models.build.request import ModelRequest

ENTRY_FILE = 'units.json'
PROGRAM_FILE = 'program.json'  # apart: who plans does not read it
ERROR_MARK = 'pamdi-model-error: '


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What a builder has left in the cache.

    :param directory: where its files lie.
    :param outline: the costs of its operations, which units are made of.
    :param tracer: which tracer made the graph.
    :param digest: of the flow that outline and program belong to.
    :param categories: class names of torchvision's weights, where known.
    :param tensors: stored name -> [file, key, dtype]; a relative file lies in `directory`.
    """

    directory: Path
    outline: Outline
    tracer: str
    digest: str
    categories: tuple[str, ...]
    tensors: Mapping[str, tuple[str, str, str]]


def cache_root(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the cache's directory: the argument, else $PAMDI_CACHE, else ~/.cache/pamdi_ros."""
    chosen = cache_dir or os.environ.get('PAMDI_CACHE') or '~/.cache/pamdi_ros'
    return Path(chosen).expanduser() / 'models'


def ensure_built(request: ModelRequest, cache_dir: str | os.PathLike[str] | None = None) -> Built:
    """Return the build of a request; where it is absent, a builder process makes it.

    :raises ModelError: with the builder's own message.
    """
    return obtain(request, cache_dir, _build_in_subprocess)


def obtain(
    request: ModelRequest,
    cache_dir: str | os.PathLike[str] | None,
    build: Callable[[ModelRequest, Path], None],
) -> Built:
    """Return the build of a request; where it is absent, `build` fills a directory with it.

    Of several processes one builds and the others wait; an entry appears whole or not at all.
    """
    entry = cache_root(cache_dir) / request.key()
    make_entry(entry, ENTRY_FILE, lambda work: build(request, work))
    return read_entry(entry)


def make_entry(entry: Path, marker: str, fill: Callable[[Path], None]) -> None:
    """Have `fill` write into a directory of the cache, unless it is there.

    :param marker: file that is in every entry of the kind.
    """
    root = entry.parent
    if not (entry / marker).is_file():
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ModelError(
                'cache_dir', str(root), f'cannot be made: {error}', 'Set PAMDI_CACHE.'
            ) from None
        with _locked(root / f'{entry.name}.lock'):
            if not (entry / marker).is_file():
                for left in root.glob(f'{entry.name}.*/'):  # by a builder that was killed
                    shutil.rmtree(left, ignore_errors=True)
                work = Path(tempfile.mkdtemp(prefix=f'{entry.name}.', dir=root))
                try:
                    fill(work)
                    shutil.rmtree(entry, ignore_errors=True)
                    work.rename(entry)
                finally:
                    shutil.rmtree(work, ignore_errors=True)


def read_entry(directory: Path) -> Built:
    """Read what a builder has written.

    :raises ModelError: it is damaged.
    """
    plain: Any = read_json(directory / ENTRY_FILE)
    try:
        return Built(
            directory=directory,
            outline=Outline.from_plain(plain['outline']),
            tracer=plain['tracer'],
            digest=plain['digest'],
            categories=tuple(plain['categories']),
            tensors={name: tuple(where) for name, where in plain['tensors'].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(directory, error) from None


def read_json(path: Path) -> object:
    """Read a file of an entry.

    :raises ModelError: it is gone, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise damaged(path.parent, error) from None


def read_program(plain: object, directory: Path) -> Program:
    """Read a program of the cache.

    :param directory: where it comes from, for messages.
    :raises ModelError: it is damaged.
    """
    try:
        return Program.from_plain(plain)  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(directory, error) from None


def damaged(directory: Path, error: Exception) -> ModelError:
    """Return what to say of an entry that cannot be read."""
    text = f'is damaged: {type(error).__name__}: {error}'
    return ModelError('cache', str(directory), text, 'Delete this directory.')


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open('w') as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # released by the kernel if the process dies
        yield


def _build_in_subprocess(request: ModelRequest, directory: Path) -> None:
    arguments = [request.to_json(), str(directory), str(os.getpid())]
    run_builder('pamdi_ros.models.build.program', arguments, request)


def run_builder(module: str, arguments: Sequence[str], request: ModelRequest) -> None:
    """Run a builder in a process of its own, which ends when this one does.

    It computes on half of the processors, as most of its work is Python's and others serve
    meanwhile; ``OMP_NUM_THREADS`` decides where it is set.

    :param module: of this package.
    :param arguments: of the command; the last is this process's id.
    :param request: of the model, for messages.
    :raises ModelError: with the builder's own message.
    """
    environment = {
        'OMP_NUM_THREADS': str(max(1, (os.cpu_count() or 1) // 2)),
        **os.environ,
        'PYTHONPATH': os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        [sys.executable, '-m', module, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors='replace',
        check=False,
    )
    if done.returncode == 0:
        return
    for line in reversed(done.stderr.splitlines()):
        if line.startswith(ERROR_MARK):
            raise ModelError.from_fields(json.loads(line.removeprefix(ERROR_MARK)))
    last = done.stderr.strip().splitlines()[-1:] or ['no message']
    cause = f'killed by signal {-done.returncode}' if done.returncode < 0 else last[0]
    raise ModelError(
        'zoo' if request.zoo else 'factory', request.name, f'the builder failed: {cause}',
        'Is there memory enough to hold the whole model once?' if done.returncode == -9 else '',
    )  # fmt: skip
