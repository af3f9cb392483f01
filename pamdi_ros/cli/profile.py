# SPDX-License-Identifier: Apache-2.0
"""``pamdi profile MODEL… | FLEET``: what the units of a model cost, and how long they take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from pamdi_ros.cli.json_output import add_json_option, write_json
from pamdi_ros.fleet import load_fleet
from pamdi_ros.fleet.build import flops_within
from pamdi_ros.fleet.policy import PolicyParameters
from pamdi_ros.fleet.types import ENGINES
from pamdi_ros.worker.scheduling.sessions import session_ranges

if TYPE_CHECKING:
    from pamdi_ros.models import Model
    from pamdi_ros.models.engines.profiling import Range, UnitTime
    from pamdi_ros.models.engines.protocol import UnitEngine
    from pamdi_ros.models.units import UnitTable

FLEET_SUFFIXES = ('.yaml', '.yml')
S_PER_FLOP = 1e-12  # of 1 ms per GFLOP
COSTS_ONLY = 0
#: How a pass is cut: unit by unit, in sessions as a worker runs them, and not at all.
WAYS = ('units', 'sessions', 'whole')


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A model to profile.

    :param spec: as Model.from_spec takes it.
    :param speeds: devices by name for which its longest unit is of interest [s per FLOP].
    """

    spec: Mapping[str, object]
    speeds: Mapping[str, float]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pamdi profile`` to the command line."""
    parser = subparsers.add_parser(
        'profile',
        help='show what the units of models cost, measure them, write profile files',
        description=(
            'Show the units of models: work, weights, boundary, and their time on this machine. '
            'A fleet file stands for its models, cut as its slowest worker needs them, and the '
            'longest unit of each model on each worker is shown too. Exit code 0: well, 2: a '
            'model, a device or a file is wrong.'
        ),
        epilog='example: pamdi profile resnet50@3x224x224 gpt2@64 --ms-per-gflop 4 20',
    )
    parser.add_argument(
        'models', nargs='+', metavar='MODEL',
        help='a name of the zoo, with @3x128x128 or @32 for another input shape or number of '
        'tokens; or a fleet file, such as fleet.yaml',
    )  # fmt: skip
    parser.add_argument('--device', default='cpu', help='cpu (default), cuda or cuda:N')
    parser.add_argument(
        '--engine', choices=ENGINES, default=ENGINES[0],
        help='what runs the units: auto (default: as a worker would choose), torch or onnxruntime',
    )  # fmt: skip
    parser.add_argument(
        '--providers', nargs='+', default=[], metavar='P',
        help='of ONNX Runtime, in the order asked for: tensorrt, cuda, openvino, cpu',
    )  # fmt: skip
    parser.add_argument(
        '--threads', type=positive, metavar='N', help="default: the engine's own choice"
    )
    parser.add_argument(
        '--repeat', type=whole, default=20, metavar='N',
        help='measured passes (default 20); 0: costs only, which needs no torch where the '
        'profile is shipped',
    )  # fmt: skip
    parser.add_argument(
        '--ms-per-gflop', type=speed, nargs='+', default=[], metavar='X',
        help='speeds of devices, for which models given by name are cut as a fleet of them would',
    )  # fmt: skip
    parser.add_argument(
        '--out', metavar='F',
        help='write profile files and measured times into the directory F; all of it into one '
        'file where F ends in .json',
    )  # fmt: skip
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Profile what the command line names.

    :returns: 0 well, 2 a model, a device or a file is wrong
    """
    from pamdi_ros.cli.profile_tables import passes_shown, quanta_shown, units_shown
    from pamdi_ros.cli.serve import make_console
    from pamdi_ros.models.errors import ModelError

    console = make_console(args.json)
    one_file = args.out if (args.out or '').endswith('.json') else None
    folder = None if args.out is None or one_file is not None else Path(args.out)
    outcome: dict[str, Any] = {'device': None, 'models': {}}
    try:
        wanted = dict(_wanted(args.models, args.ms_per_gflop))
        if args.repeat == COSTS_ONLY and folder is None:
            outcome['models'] = {name: _costs(one) for name, one in wanted.items()}
        else:
            _measure(wanted, args, folder, outcome)
    except ModelError as error:
        print(f'pamdi profile: {error}', file=sys.stderr)
        return 2
    for name, facts in outcome['models'].items():
        console.print(units_shown(name, facts))
        if line := passes_shown(facts):
            console.print(line)
    if any(facts['largest_quantum'] for facts in outcome['models'].values()):
        console.print(quanta_shown(outcome['models']))
    write_json(args.json, outcome)
    write_json(one_file, outcome)
    return 0


def _wanted(names: Sequence[str], ms_per_gflop: Sequence[float]) -> Iterator[tuple[str, Wanted]]:
    """Yield the models that the command line names, by name."""
    speeds = {f'{speed:g} ms/GFLOP': speed * S_PER_FLOP for speed in ms_per_gflop}
    unit_flops = flops_within(PolicyParameters().quantum_s, speeds.values())
    for name in names:
        if not name.endswith(FLEET_SUFFIXES):
            yield name, Wanted(spec={**_spec(name), 'unit_flops': unit_flops}, speeds=speeds)
            continue
        fleet = load_fleet(name)
        declared = {
            worker.name: worker.seconds_per_flop
            for worker in fleet.workers.values()
            if worker.seconds_per_flop is not None
        }
        for model in fleet.models.values():
            yield f'{fleet.name}/{model.name}', Wanted(spec=model.as_mapping(), speeds=declared)


def _spec(name: str) -> dict[str, object]:
    """Read ``zoo``, ``zoo@3x128x128`` or ``zoo@32``; the model's own checks follow later."""
    zoo, _, size = name.partition('@')
    sizes = [int(part) if part.isdecimal() else part for part in size.split('x')]
    if not size:
        return {'zoo': zoo}
    if len(sizes) == 1:
        return {'zoo': zoo, 'tokens': sizes[0]}
    return {'zoo': zoo, 'input_shape': sizes}


def _costs(wanted: Wanted) -> dict[str, Any]:
    from pamdi_ros.models.build.catalog import unit_table

    return _facts(unit_table(wanted.spec), wanted.speeds)


def _measure(
    wanted: Mapping[str, Wanted],
    args: argparse.Namespace,
    folder: Path | None,
    outcome: dict[str, Any],
) -> None:
    """Build the models, measure their units and write the files that are asked for."""
    from pamdi_ros.models import Model
    from pamdi_ros.models.engines.host_process import default_threads
    from pamdi_ros.models.engines.opening import open_engine, resolve_device
    from pamdi_ros.models.engines.profiling import device_facts, WARM_UP
    from rich.console import Console
    from rich.progress import Progress

    threads = args.threads or default_threads()
    device = resolve_device(args.device, [args.engine])
    with Progress(console=Console(stderr=True), transient=True) as progress:
        total = progress.add_task('models', total=len(wanted))
        for name, one in wanted.items():
            passes = len(WAYS) * (args.repeat + WARM_UP)
            task = progress.add_task(name, total=passes if args.repeat else None)
            model = Model.from_spec(one.spec)
            measured = None
            if args.repeat:
                engine, reason = open_engine(model, args.engine, device, args.providers, threads)
                for note in filter(None, (reason, engine.note)):
                    progress.console.print(f'{name}: {engine.name}: {note}')
                outcome['device'] = device_facts(engine, threads) | {'passes': args.repeat}
                count = partial(progress.advance, task)
                measured = _times(model, engine, args.repeat, count)
            outcome['models'][name] = _facts(model.table, one.speeds, measured)
            if folder is not None and model.request.zoo is None:
                progress.console.print(f'{name}: a model by factory has no profile file')
            elif folder is not None:
                outcome['models'][name] |= _write(model, folder, outcome, name)
            progress.remove_task(task)
            progress.advance(total)


def _write(model: Model, folder: Path, outcome: dict[str, Any], name: str) -> dict[str, str]:
    """Write a model's profile, and its times if they are measured; give the files' names."""
    from pamdi_ros.models.engines.profiling import profile_of

    profile = profile_of(model)
    files = {'profile': folder / profile.file_name()}
    folder.mkdir(parents=True, exist_ok=True)
    files['profile'].write_text(profile.to_json(), encoding='utf-8')
    if outcome['device'] is not None:
        device = str(outcome['device']['device']).replace(':', '')
        name_of = f'{files["profile"].stem}.{outcome["device"]["engine"]}.{device}.json'
        files['measured'] = folder / 'measured' / name_of
        files['measured'].parent.mkdir(exist_ok=True)
        content = {'device': outcome['device'], 'model': name, **outcome['models'][name]}
        write_json(str(files['measured']), content)
    return {kind: str(path) for kind, path in files.items()}


def _times(
    model: Model, engine: UnitEngine, passes: int, progress: Callable[[], None]
) -> Mapping[str, Sequence[tuple[Range, UnitTime]]]:
    """Measure a model by unit, by session as a worker would cut it, and whole, in turns."""
    from pamdi_ros.models.engines.profiling import each_unit, pass_times, UNITS_ONLY

    units = each_unit(model)
    ways: dict[str, list[Range]] = {WAYS[0]: units}
    if engine.fusible:
        alone = pass_times(model, engine, ways, UNITS_ONLY)[WAYS[0]]
        times_s = [time.median_s for time in alone]
        ends = {*model.exits, *(() if model.narrow_at is None else (model.narrow_at,))}
        sessions = list(session_ranges(times_s, PolicyParameters().quantum_s, ends))
        ways |= dict(zip(WAYS[1:], (sessions, [(0, model.unit_count)]), strict=True))
    times = pass_times(model, engine, ways, passes, progress)
    return {name: list(zip(way, times[name], strict=True)) for name, way in ways.items()}


def _facts(
    table: UnitTable,
    speeds: Mapping[str, float],
    measured: Mapping[str, Sequence[tuple[Range, UnitTime]]] | None = None,
) -> dict[str, Any]:
    """Return a model's numbers as ``--json`` writes them."""
    from pamdi_ros.models.granularity import largest_quantum

    units: list[dict[str, Any]] = [
        {
            'name': unit.name,
            'gflop': unit.flops / 1e9,
            'weights_mb': unit.weight_bytes / 1e6,
            'boundary_kb': unit.boundary_bytes / 1e3,
        }
        for unit in table.units
    ]
    by_way = measured or {}
    for unit, (_, time) in zip(units, by_way.get(WAYS[0], ()), strict=False):
        unit |= _spread(time)
    quanta = {name: largest_quantum(table, speed) for name, speed in speeds.items()}
    return {
        'gflop': table.flops(0, len(table)) / 1e9,
        'weights_mb': table.weight_bytes(0, len(table)) / 1e6,
        'output_kb': table.output_bytes / 1e3,
        'largest_quantum': {
            name: {'unit': unit, 'ms': round(seconds * 1e3, 4)}
            for name, (unit, seconds) in quanta.items()
        },
        'units': units,
        **{
            name: [{'units': list(range_), **_spread(time)} for range_, time in by_way[name]]
            for name in WAYS[1:]
            if name in by_way
        },
    }


def _spread(time: UnitTime) -> dict[str, float]:
    return {
        'median_ms': round(time.median_s * 1e3, 4),
        'iqr_ms': round((time.upper_s - time.lower_s) * 1e3, 4),
    }


def whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f'{text} is negative')
    return value


def positive(text: str) -> int:
    if (value := whole(text)) == 0:
        raise argparse.ArgumentTypeError('must be at least 1')
    return value


def speed(text: str) -> float:
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is no speed')
    return value
