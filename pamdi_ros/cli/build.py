# SPDX-License-Identifier: Apache-2.0
"""``pamdi build FLEET --out DIR``: a bundle of built models, for machines that cannot build."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from pamdi_ros.cli.json_output import add_json_option, write_json
from pamdi_ros.fleet import load_fleet

if TYPE_CHECKING:
    from pamdi_ros.models.build.bundle import Resolved

#: It runs a model's units anywhere, so it is in a bundle unless the fleet file wants torch alone.
TORCH = 'torch'


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pamdi build`` to the command line."""
    parser = subparsers.add_parser(
        'build',
        help='build the models of a fleet into a bundle, for machines without torch',
        description=(
            'Build the models of a fleet here, export and check their units, and write all of it '
            'into one directory with a manifest of what every file holds. Copy it to the robots '
            'and name it in fleet.yaml (bundle: DIR) or as parameter bundle of the nodes: they '
            'then need neither torch nor the network. Exit code 0: well, 2: the fleet file or a '
            'model is wrong.'
        ),
        epilog='example: pamdi build config/demo.yaml --out bundle',
    )
    parser.add_argument('fleet', metavar='FLEET', help='the fleet file, such as fleet.yaml')
    parser.add_argument('--out', required=True, metavar='DIR', help='the bundle')
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Build the models of a fleet into a bundle.

    :returns: 0 well, 2 a model or the directory is wrong
    """
    from pamdi_ros.cli.serve import make_console
    from pamdi_ros.models.build.bundle import write_bundle
    from pamdi_ros.models.errors import ModelError

    console = make_console(args.json)
    outcome: dict[str, Any] = {'bundle': args.out, 'models': {}}
    try:
        found = _resolved(args.fleet, outcome)
        manifest = write_bundle(Path(args.out), found)
    except ModelError as error:
        print(f'pamdi build: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(f'pamdi build: --out {args.out} cannot be written: {error}', file=sys.stderr)
        return 2
    size = sum(
        size for model in manifest['models'].values() for _, size in model['files'].values()
    )
    outcome['megabytes'] = round(size / 1e6, 1)
    for name, facts in outcome['models'].items():
        engine = f'only for torch: {facts["reason"]}' if facts['reason'] else facts['engine']
        console.print(f'{name}: {facts["units"]} units {facts["digest"]}, {engine}')
    console.print(
        f'{args.out}: {outcome["megabytes"]} MB; on the robots write bundle: DIR in fleet.yaml'
    )
    write_json(args.json, outcome)
    return 0


def _resolved(path: str, outcome: dict[str, Any]) -> list[Resolved]:
    """Build and export a fleet's models; note each in the outcome."""
    from pamdi_ros.models.build.bundle import resolve
    from pamdi_ros.models.build.exported import ensure_exported
    from rich.console import Console
    from rich.progress import Progress

    fleet = load_fleet(path)
    found = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task('models', total=len(fleet.models))
        for name, model in fleet.models.items():
            progress.update(task, description=f'building {name}')
            spec = {k: v for k, v in model.as_mapping().items() if k != 'bundle'}
            one = resolve(spec)
            engines = {fleet.engine_of(worker, name).engine for worker in fleet.workers}
            reason = ''
            if engines != {TORCH}:
                progress.update(task, description=f'exporting {name}')
                reason = ensure_exported(one.request, one.built, one.built_heads).reason
            table = one.table()
            outcome['models'][name] = {
                'units': len(table),
                'digest': table.digest(),
                'engine': TORCH if engines == {TORCH} else 'torch and onnxruntime',
                'reason': reason,
            }
            found.append(one)
            progress.advance(task)
    return found
