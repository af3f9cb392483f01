# SPDX-License-Identifier: Apache-2.0
"""``models``: ten further architectures: where they are cut, and what delay they have.

Each runs twice on a Nano and two Xaviers: with memory for every model everywhere, and with so
little that no worker holds the whole model, so that it must be cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.figure import Figure
from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.assignment import PipelineStage
from pamdi_ros.experiments.cells import (
    all_settled,
    cell,
    choose,
    delay_ms,
    Measured,
    reduction,
    rows,
    run_cells,
)
from pamdi_ros.experiments.fleets import devices, Document, mesh, Rig, rig, source, tables_of
from pamdi_ros.experiments.report import Drawn, ExperimentReport, NOTHING, ResultTable, shown
from pamdi_ros.experiments.size import Size
from pamdi_ros.experiments.style import legend, logarithmic, OURS, policy_entry, STYLES, WIDTH_IN
from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.models.units import UnitTable
from pamdi_ros.simulation.batch import Progress
from pamdi_ros.simulation.load import load_of, loaded
from pamdi_ros.simulation.measures import measure
from pamdi_ros.simulation.solo import solo_s
from pamdi_ros.simulation.summary import REFERENCE

NAME = 'models'
LOAD = 0.7
#: Pictures are large: a light model at that load would ask more of the links than of the devices.
MOST_HZ = 20.0
URGENT, OTHER = 'urgent', 'background'
AMPLE, SCARCE = 'ample', 'scarce'
MB = 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A model of the experiment."""

    zoo: str
    shape: tuple[int, int, int]
    kind: str


ARCHITECTURES = (
    Architecture(zoo='resnet18', shape=(3, 224, 224), kind='convolutional'),
    Architecture(zoo='mobilenet_v3_large', shape=(3, 224, 224), kind='convolutional'),
    Architecture(zoo='efficientnet_b0', shape=(3, 224, 224), kind='convolutional'),
    Architecture(zoo='densenet121', shape=(3, 224, 224), kind='convolutional'),
    Architecture(zoo='convnext_tiny', shape=(3, 224, 224), kind='convolutional'),
    Architecture(zoo='vit_b_16', shape=(3, 224, 224), kind='transformer'),
    Architecture(zoo='swin_t', shape=(3, 224, 224), kind='transformer'),
    Architecture(zoo='deeplabv3_mobilenet_v3_large', shape=(3, 520, 520), kind='segmentation'),
    Architecture(zoo='lraspp_mobilenet_v3_large', shape=(3, 320, 320), kind='segmentation'),
    Architecture(zoo='vgg16', shape=(3, 300, 300), kind='backbone of SSD300'),
)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model on its fleet, with one kind of memory.

    :param fleet: its rates are set.
    :param route: nominal one of the urgent source.
    :param solo_s: of the urgent source; None: no route [s].
    """

    rig: Rig
    fleet: Fleet
    tables: Mapping[str, UnitTable]
    route: Sequence[PipelineStage]
    solo_s: float | None


def fitted(architecture: Architecture, memory: str) -> Fitted:
    """Return a model's fleet and how its urgent source is to go."""
    one = _rig(architecture, memory, _memory_mb(architecture, memory))
    tables = tables_of(one.fleet)
    fleet = _capped(loaded(one.fleet, tables, LOAD))
    costs = Costs(fleet=fleet, tables=tables)
    return Fitted(
        rig=_with_rates(one, fleet),
        fleet=fleet,
        tables=tables,
        route=plan_for(OURS, costs, epoch=1).sources[URGENT].route,
        solo_s=solo_s(costs, fleet.sources[URGENT]),
    )


def run(
    size: Size, progress: Progress | None = None, processes: int | None = None
) -> ExperimentReport:
    """Run the experiment."""
    chosen = size.pick(ARCHITECTURES, ARCHITECTURES, ARCHITECTURES[1:2])
    fits = {(a.zoo, memory): fitted(a, memory) for a in chosen for memory in (AMPLE, SCARCE)}
    cells = [
        cell(
            {'model': zoo, 'memory': memory, 'policy': policy}, fit.fleet, fit.tables, policy,
            size, rig=fit.rig,
        )
        for (zoo, memory), fit in fits.items()
        for policy in (['local'] if memory == AMPLE else []) + [REFERENCE, OURS]
    ]  # fmt: skip
    found = run_cells(cells, measure, progress, processes)
    return ExperimentReport(
        name=NAME,
        title='Models: ten further architectures',
        question=(
            f'A Nano with an urgent source, two Xaviers, one of them with a background source of '
            f'the same model; load {LOAD:g}, at most {MOST_HZ:g} items a second and source. Where '
            'is each model cut, and what is its delay?'
        ),
        settings={
            'load': LOAD, 'most_hz': MOST_HZ, 'seconds': size.seconds,
            'models': [f'{a.zoo}@{"x".join(map(str, a.shape))}: {a.kind}' for a in chosen],
        },
        rigs=[fit.rig for fit in fits.values()],
        runs=rows(found),
        numbers={'cuts': [_cuts(*key, fit) for key, fit in fits.items()]},
        tables=[_partitions(chosen, fits), _delays(chosen, fits, found)],
        findings=list(_findings(chosen, fits, found)),
        figures=[
            Drawn(
                name='models', figure=_figure(chosen, fits, found),
                caption='Mean delay of the urgent source by model, whole models everywhere '
                f'(filled) and no whole model anywhere (hollow), {size.how}. Error bars: 95 % '
                f'confidence interval over {len(size.seeds)} seeds. Grey strokes: alone on the '
                'fleet.',
            ),
        ],
    )  # fmt: skip


def _rig(architecture: Architecture, memory: str, memory_mb: float) -> Rig:
    workers = {
        name: {**entry, 'memory_mb': round(memory_mb, 1)}
        for name, entry in devices(nano=1, xavier=2).items()
    }
    model = architecture.zoo
    return rig(
        f'{model}_{memory}', workers, mesh(1000, 0.5),
        {
            URGENT: source('nano1', model, 'critical', load_share=0.2),
            OTHER: source('xavier2', model, 'background', load_share=0.8),
        },
        models={model: {'zoo': model, 'input_shape': list(architecture.shape)}},
    )  # fmt: skip


def _memory_mb(architecture: Architecture, memory: str) -> float:
    """Memory of each worker; scarce: half of the model, or its heaviest unit if that is more."""
    if memory == AMPLE:
        return 4096.0
    table = tables_of(_rig(architecture, memory, 4096.0).fleet)[architecture.zoo]
    units = len(table)
    half = 0.5 * table.weight_bytes(0, units)
    heaviest = 1.02 * max(unit.weight_bytes for unit in table.units)
    return (max(half, heaviest) + table.activation_bytes(0, units)) / MB


def _capped(fleet: Fleet) -> Fleet:
    sources = {
        name: replace(one, rate_hz=min(one.rate_hz or 0.0, MOST_HZ))
        for name, one in fleet.sources.items()
    }
    return replace(fleet, sources=FrozenDict(sources))


def _with_rates(one: Rig, fleet: Fleet) -> Rig:
    """Return a rig with the rates in its file, so that anyone can run it as it was run."""
    sources: Document = {}
    for name, entry in one.document['sources'].items():
        rest = {key: value for key, value in entry.items() if key != 'load_share'}
        sources[name] = {**rest, 'rate_hz': fleet.sources[name].rate_hz}
    return replace(one, document={**one.document, 'sources': sources})


def _cuts(zoo: str, memory: str, fit: Fitted) -> dict[str, Any]:
    """Return where the nominal route of the urgent source cuts its model."""
    table = fit.tables[zoo]
    return {
        'model': zoo,
        'memory': memory,
        'memory_mb': fit.rig.document['workers']['nano1']['memory_mb'],
        'units': len(table),
        'load': load_of(fit.fleet, fit.tables),
        'solo_ms': None if fit.solo_s is None else 1e3 * fit.solo_s,
        'route': [
            {
                'worker': stage.worker, 'first_unit': stage.first, 'last_unit': stage.last,
                'begins_with': table.units[stage.first].name,
                'boundary_kb': table.boundary_bytes(stage.first) / 1e3,
            }
            for stage in fit.route
        ],
    }  # fmt: skip


def _partitions(
    chosen: Sequence[Architecture], fits: Mapping[tuple[str, str], Fitted]
) -> ResultTable:
    body = []
    for one in chosen:
        fit = fits[one.zoo, SCARCE]
        table = fit.tables[one.zoo]
        units = len(table)
        slowest = max(worker.expected_seconds_per_flop for worker in fit.fleet.workers.values())
        longest = max(unit.flops for unit in table.units) * slowest
        cuts = ', '.join(_cut(table, stage.first) for stage in fit.route[1:])
        body.append([
            one.zoo, one.kind, f'{table.flops(0, units) / 1e9:.2f}',
            f'{table.weight_bytes(0, units) / MB:.0f}', f'{units}', f'{1e3 * longest:.1f}',
            _way(fits[one.zoo, AMPLE].route), _way(fit.route), cuts or NOTHING,
        ])  # fmt: skip
    return ResultTable(
        title='Partitions and cuts of the urgent source’s nominal route',
        columns=[
            'model', 'kind', 'GFLOP', 'weights [MB]', 'units', 'longest unit, Nano [ms]',
            'route, ample memory', 'route, scarce memory', 'cuts, scarce memory',
        ],
        rows=body,
        note='Routes: worker[first unit, one past the last). Longest unit: what an urgent item '
        'may wait for on a Nano. Where memory is ample, a model is cut only where its '
        'boundary is smaller than the picture.',
    )  # fmt: skip


def _cut(table: UnitTable, unit: int) -> str:
    return f'before {table.units[unit].name} ({table.boundary_bytes(unit) / 1e3:.0f} KB)'


def _way(route: Sequence[PipelineStage]) -> str:
    return ' → '.join(f'{stage.worker}[{stage.first}, {stage.last})' for stage in route) or 'none'


def _delays(
    chosen: Sequence[Architecture],
    fits: Mapping[tuple[str, str], Fitted],
    found: Sequence[Measured],
) -> ResultTable:
    body = []
    for one in chosen:
        for memory in (AMPLE, SCARCE):
            fit = fits[one.zoo, memory]
            ours, theirs = (
                choose(found, model=one.zoo, memory=memory, policy=policy)
                for policy in (OURS, REFERENCE)
            )
            local = '–'
            if memory == AMPLE:
                alone = choose(found, model=one.zoo, memory=memory, policy='local')
                local = shown(delay_ms(alone, URGENT)) + ('' if all_settled(alone) else '°')
            solo = NOTHING if fit.solo_s is None else f'{1e3 * fit.solo_s:.1f}'
            body.append([
                one.zoo, memory, f'{fit.fleet.sources[URGENT].rate_hz:.1f}', solo, local,
                shown(delay_ms(theirs, URGENT)) + ('' if all_settled(theirs) else '°'),
                shown(delay_ms(ours, URGENT)) + ('' if all_settled(ours) else '°'),
                shown(reduction(ours, theirs, URGENT)),
            ])  # fmt: skip
    return ResultTable(
        title='Mean delay of the urgent source [ms]',
        columns=[
            'model', 'memory', 'rate [1/s]', 'alone', 'local', REFERENCE, OURS,
            f'less than {REFERENCE} [%]',
        ],
        rows=body,
        note='°: a source of the fleet is not stable. ± half of the 95 % confidence interval.',
    )  # fmt: skip


def _figure(
    chosen: Sequence[Architecture],
    fits: Mapping[tuple[str, str], Fitted],
    found: Sequence[Measured],
) -> Figure:
    figure = Figure(figsize=(WIDTH_IN, 0.52 * len(chosen) + 1.6), layout='constrained')
    axes = figure.subplots()
    for row, one in enumerate(chosen):
        for memory, lift in ((AMPLE, -0.18), (SCARCE, 0.18)):
            for place, policy in enumerate((REFERENCE, OURS)):
                cell_ = choose(found, model=one.zoo, memory=memory, policy=policy)
                delay = delay_ms(cell_, URGENT)
                if delay is None:
                    continue
                colour, marker = STYLES[policy]
                at = row + lift + (place - 0.5) * 0.12
                half = delay.half if delay.half == delay.half else 0.0
                axes.errorbar(
                    delay.mean, at, xerr=half, color=colour, marker=marker, ms=6, capsize=3,
                    mfc=colour if memory == AMPLE else 'white',
                )  # fmt: skip
            solo = fits[one.zoo, memory].solo_s
            if solo is not None:
                axes.plot(
                    [1e3 * solo] * 2, [row + lift - 0.14, row + lift + 0.14], color='#888888'
                )
    axes.set_yticks(range(len(chosen)), [one.zoo for one in chosen])
    axes.set_ylim(len(chosen) - 0.5, -0.5)
    logarithmic(axes, 'x')
    axes.set_xlabel('mean delay of the urgent source [ms]', fontsize=9)
    figure.suptitle('Ten architectures, a Nano with two Xaviers beside it', fontsize=12)
    hollow = policy_entry(OURS)
    hollow.set(markerfacecolor='white', label='hollow: no whole model fits')
    legend(figure, [policy_entry(REFERENCE), policy_entry(OURS), hollow])
    return figure


def _findings(
    chosen: Sequence[Architecture],
    fits: Mapping[tuple[str, str], Fitted],
    found: Sequence[Measured],
) -> Iterator[str]:
    for memory in (AMPLE, SCARCE):
        cut = sum(len(fits[one.zoo, memory].route) > 1 for one in chosen)
        values = []
        for one in chosen:
            ours, theirs = (
                choose(found, model=one.zoo, memory=memory, policy=policy)
                for policy in (OURS, REFERENCE)
            )
            values.append(reduction(ours, theirs, URGENT))
        known = sorted(value.mean for value in values if value is not None)
        told = f'{known[0]:.0f} to {known[-1]:.0f} %' if known else 'nothing to compare'
        yield (
            f'{memory} memory: {cut} of {len(chosen)} models cut; urgent delay less than under '
            f'{REFERENCE} by {told} ({len(known)} stable).'
        )
