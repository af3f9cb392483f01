# SPDX-License-Identifier: Apache-2.0
"""``baselines``: PA-MDI+ against every other policy, on Xaviers and Nanos, from 50 to 120 % load.

The headline is the reduction of the urgent source's mean delay. Against Local no policy can do
better than the ratio of the solo latencies as long as the home has nothing else to do: that cap,
1 − solo_best / solo_home, stands beside the reduction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pamdi_ros.allocation import Costs
from pamdi_ros.experiments.baselines_figures import delays_figure, reductions_figure
from pamdi_ros.experiments.cells import (
    all_settled,
    cell,
    delay_ms,
    Measured,
    reduction,
    rows,
    run_cells,
    settled,
)
from pamdi_ros.experiments.fleets import devices, line, mesh, Rig, rig, ring, source, tables_of
from pamdi_ros.experiments.interval import Interval
from pamdi_ros.experiments.report import (
    Drawn,
    ExperimentReport,
    NOTHING,
    ResultTable,
    shown,
    UNSTABLE,
)
from pamdi_ros.experiments.size import Size
from pamdi_ros.experiments.style import OURS, PAPER_REDUCTION
from pamdi_ros.fleet.policy import POLICIES
from pamdi_ros.simulation.batch import Progress
from pamdi_ros.simulation.load import loaded
from pamdi_ros.simulation.measures import measure
from pamdi_ros.simulation.solo import home_s, solo_s
from pamdi_ros.simulation.summary import add_price, REFERENCE, summary

NAME = 'baselines'
URGENT = 'urgent'
OTHERS = tuple(policy for policy in POLICIES if policy != OURS)
#: Loads of the first fleets; the others run at those at which the reduction is to be 75.3 % and
#: more where the baseline is stable.
LOADS = (0.5, 0.8, 0.95, 1.2)
BUSY = (0.8, 0.95)
MOST_LOADED = 2
SWITCHED = ('mesh3_three', 'mesh5_three')

#: Found cells by (rig, load), then by policy.
Outcome = dict[tuple[str, float], dict[str, Measured]]


def rigs() -> list[Rig]:
    """Return the fleets: three and five nodes; mesh, line, ring; two and three sources."""
    three, five = devices(xavier=2, nano=1), devices(xavier=2, nano=3)
    around = ['xavier1', 'nano1', 'nano2', 'xavier2', 'nano3']
    along = ['nano1', 'nano2', 'xavier1', 'nano3', 'xavier2']
    share = {'load_share': 1}
    return [
        rig('mesh3_three', three, mesh(1000, 0.5), {
            URGENT: source('nano1', 'gpt2', 'critical', rate_hz=3),
            'pictures': source('xavier1', 'resnet50', 'normal', **share),
            'text': source('xavier2', 'gpt2', 'background', **share),
        }, load=0.8),
        rig('line3_three', three, line(['nano1', 'xavier1', 'xavier2'], 300, 1), {
            URGENT: source('nano1', 'resnet56', 'critical', rate_hz=10),
            'pictures': source('xavier1', 'resnet50', 'normal', **share),
            'text': source('xavier2', 'gpt2', 'background', **share),
        }, load=0.8),
        rig('ring5_two', five, ring(around, 1000, 0.5), {
            URGENT: source('nano1', 'resnet50', 'critical', rate_hz=2),
            'text': source('xavier2', 'gpt2', 'background', **share),
        }, load=0.8),
        rig('mesh3_two', three, mesh(300, 1), {
            URGENT: source('xavier1', 'resnet50', 'critical', rate_hz=5),
            'text': source('xavier2', 'gpt2', 'background', **share),
        }, load=0.8),
        rig('mesh5_three', five, mesh(300, 1), {
            URGENT: source('nano1', 'gpt2', 'critical', rate_hz=3),
            'pictures': source('xavier1', 'resnet50', 'normal', **share),
            'text': source('xavier2', 'gpt2', 'background', **share),
        }, load=0.8),
        rig('line5_three', five, line(along, 300, 1), {
            URGENT: source('nano1', 'resnet56', 'critical', rate_hz=10),
            'text': source('xavier1', 'gpt2', 'normal', **share),
            'pictures': source('xavier2', 'resnet50', 'background', **share),
        }, load=0.8),
    ]  # fmt: skip


def _chosen(size: Size) -> list[Rig]:
    """Return the fleets of a size: of real ones, those whose links a switch with hosts has."""
    if not size.real:
        return rigs()[: size.pick(6, 3, 1)]
    meshes = [one for one in rigs() if one.name in SWITCHED]
    return meshes[: size.pick(2, 2, 1)]


def _loads(size: Size, number: int) -> tuple[float, ...]:
    if size.real:
        return size.pick(BUSY, BUSY, BUSY[1:])
    return size.pick(LOADS if number < MOST_LOADED else BUSY, BUSY, BUSY[:1])


def run(
    size: Size, progress: Progress | None = None, processes: int | None = None
) -> ExperimentReport:
    """Run the experiment."""
    chosen = _chosen(size)
    loads = {one.name: _loads(size, number) for number, one in enumerate(chosen)}
    cells = []
    for one in chosen:
        fleet, tables = one.fleet, tables_of(one.fleet)
        cells += [
            cell(
                {'fleet': one.name, 'load': load, 'policy': policy},
                loaded(fleet, tables, load), tables, policy, size, rig=one,
            )
            for load in loads[one.name]
            for policy in POLICIES
        ]  # fmt: skip
    found = run_cells(cells, measure, progress, processes)
    outcome: Outcome = {}
    for measured in found:
        key = str(measured.factors['fleet']), float(measured.factors['load'])
        outcome.setdefault(key, {})[str(measured.factors['policy'])] = measured
    caps = {one.name: cap(one) for one in chosen}
    return ExperimentReport(
        name=NAME,
        title='Baselines: what PA-MDI+ takes off the urgent source’s delay',
        question=(
            'By how much is the mean delay of the time-sensitive source shorter under PA-MDI+ '
            'than under each baseline, on the same arrivals?'
        ),
        settings={'loads': loads, 'seconds': size.seconds, 'policies': list(POLICIES)},
        rigs=chosen,
        runs=rows(found),
        numbers={'reductions': list(_reductions(outcome)), 'caps': caps},
        tables=[_headline(outcome, caps), _delays(outcome), _prices(outcome)],
        findings=list(_findings(outcome)),
        figures=[
            Drawn(
                name='baselines_reduction', figure=reductions_figure(outcome, URGENT),
                caption='Reduction of the urgent source’s mean delay by PA-MDI+ against each '
                f'baseline over load, {size.how}. Error bars: 95 % confidence interval over '
                f'{len(size.seeds)} seeds. Dashed: {PAPER_REDUCTION} %, the largest that the '
                'authors of PA-MDI report. Where a baseline is not stable there is no point.',
            ),
            Drawn(
                name='baselines_delay', figure=delays_figure(outcome, URGENT),
                caption=f'Mean delay of the urgent source over load, {size.how}. Error bars: 95 % '
                f'confidence interval over {len(size.seeds)} seeds. Hollow: the source or '
                'another one of its fleet is not stable. Dashed: alone on the fleet.',
            ),
        ],
    )  # fmt: skip


def cap(one: Rig) -> float:
    """Return the most that any policy can take off Local where the home is idle [%]."""
    fleet, tables = one.fleet, tables_of(one.fleet)
    costs = Costs(fleet=fleet, tables=tables)
    best = solo_s(costs, fleet.sources[URGENT])
    return 0.0 if best is None else 100 * (1 - best / home_s(costs, fleet.sources[URGENT]))


def _reductions(outcome: Outcome) -> Iterator[dict[str, Any]]:
    for (fleet, load), policies in outcome.items():
        for policy in OTHERS:
            value = reduction(policies[OURS], policies[policy], URGENT)
            yield {
                'fleet': fleet, 'load': load, 'against': policy,
                'reduction_percent': None if value is None else value.plain(),
                'stable': all_settled(policies[policy]),
            }  # fmt: skip


def _headline(outcome: Outcome, caps: Mapping[str, float]) -> ResultTable:
    body = []
    for (fleet, load), policies in outcome.items():
        values = [reduction(policies[OURS], policies[policy], URGENT) for policy in OTHERS]
        body.append([fleet, f'{load:g}', *map(_bold, values), f'{caps[fleet]:.1f}'])
    return ResultTable(
        title='Reduction of the urgent source’s mean delay by pa_mdi_plus [%]',
        columns=['fleet', 'load', *OTHERS, 'cap against local'],
        rows=body,
        note=f'± half of the 95 % confidence interval over the seeds; bold: at least '
        f'{PAPER_REDUCTION} %. *{UNSTABLE}*: a source’s queue grows under the baseline (or the '
        'urgent source’s under either), so there is no mean to compare. Cap: 1 − solo_best / '
        'solo_home, the most possible against Local as long as the home has no other work; a '
        'home with work of its own makes Local slower still.',
    )


def _bold(value: Interval | None) -> str:
    text = shown(value)
    return f'**{text}**' if value is not None and value.mean >= PAPER_REDUCTION else text


def _delays(outcome: Outcome) -> ResultTable:
    body = []
    for (fleet, load), policies in outcome.items():
        texts = []
        for found in policies.values():
            text = shown(delay_ms(found, URGENT))
            mark = '' if all_settled(found) else '°' if settled(found, URGENT) else '*'
            texts.append(text + mark)
        solo = next(iter(policies.values())).runs[0].sources[URGENT].solo_s
        body.append([fleet, f'{load:g}', NOTHING if solo is None else f'{1e3 * solo:.1f}', *texts])
    return ResultTable(
        title='Mean delay of the urgent source [ms]',
        columns=['fleet', 'load', 'alone', *POLICIES],
        rows=body,
        note='°: another source of the fleet is not stable; *: the urgent source itself is not: '
        'the number then grows with the length of the run.',
    )


def _prices(outcome: Outcome) -> ResultTable:
    """What the lowest class pays for it."""
    body = []
    for (fleet, load), policies in outcome.items():
        summaries = {policy: summary(found.runs) for policy, found in policies.items()}
        lowest = next(iter(policies.values())).runs[0].sources
        add_price(summaries, min(lowest.values(), key=lambda s: s.weight).priority)
        price = summaries[OURS]['lowest_class']
        body.append([
            fleet, f'{load:g}', _number(price['mean_ms'], 0),
            _number(price['over_reference'], 2), _number(price['share_of_reference'], 3),
            'yes' if summaries[OURS]['stable'] else 'no',
            _number(_share(summaries[OURS], URGENT), 4),
        ])  # fmt: skip
    return ResultTable(
        title='What the lowest class pays under pa_mdi_plus',
        columns=[
            'fleet', 'load', 'mean delay [ms]', f'× {REFERENCE}', f'results × {REFERENCE}',
            'all stable', 'urgent results / accepted',
        ],
        rows=body,
        note=f'{NOTHING}: the lowest class is not stable under one of the two.',
    )  # fmt: skip


def _share(found: Mapping[str, Any], name: str) -> float | None:
    one = found['sources'][name]
    return one['results'] / one['accepted'] if one['accepted'] else None


def _number(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f'{value:.{digits}f}'


def _findings(outcome: Outcome) -> Iterator[str]:
    busy = {key: policies for key, policies in outcome.items() if key[1] in BUSY}
    for policy in OTHERS:
        values = [reduction(found[OURS], found[policy], URGENT) for found in busy.values()]
        known = sorted((v for v in values if v is not None), key=lambda value: value.mean)
        if not known:
            yield f'Against {policy}, 80–95 % load: stable in none of {len(values)} cases.'
            continue
        reached = sum(value.mean >= PAPER_REDUCTION for value in known)
        yield (
            f'Against {policy}, 80–95 % load: {_range(known)} % less, in {len(known)} of '
            f'{len(values)} cases with a stable baseline; {reached} of them reach '
            f'{PAPER_REDUCTION} %.'
        )


def _range(known: Sequence[Interval]) -> str:
    first, last = known[0].mean, known[-1].mean
    return f'{first:.1f}' if len(known) == 1 else f'{first:.1f} to {last:.1f}'
