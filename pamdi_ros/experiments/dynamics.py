# SPDX-License-Identifier: Apache-2.0
"""``dynamics``: priorities, rates, links, workers and the allocator change while it runs.

Each case has a first change after a third of the run and a second one, mostly back, after two
thirds. Every accepted item must end, whatever happens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pamdi_ros.experiments.cell import CellResult
from pamdi_ros.experiments.cells import cell, run_cells
from pamdi_ros.experiments.dynamics_figure import timelines_figure
from pamdi_ros.experiments.fleets import devices, Document, mesh, Rig, rig, source, tables_of
from pamdi_ros.experiments.interval import interval
from pamdi_ros.experiments.report import Drawn, ExperimentReport, NOTHING, ResultTable, shown
from pamdi_ros.experiments.size import Size
from pamdi_ros.experiments.style import OURS
from pamdi_ros.experiments.timeline import settling_s, Story, story, windows
from pamdi_ros.simulation.batch import Progress
from pamdi_ros.simulation.load import loaded
from pamdi_ros.simulation.summary import REFERENCE, summary

NAME = 'dynamics'
LOAD = 0.6
#: A run lasts so many times the size's seconds, so that each phase has some of them.
LONGER = 1.5
#: Windows of a time line.
WINDOWS = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Something that happens to the fleet.

    :param text: what it is.
    :param urgent: the most urgent source in each third of the run.
    :param events: of the fleet file.
    :param arrival: of all sources.
    """

    name: str
    text: str
    urgent: tuple[str, str, str]
    events: Sequence[Document]
    arrival: str = 'poisson'


def cases(seconds: float, rates_hz: Mapping[str, float]) -> list[Case]:
    """Return the cases of a run.

    :param seconds: of the run [s].
    :param rates_hz: of the sources [1/s].
    """
    first, second = round(seconds / 3, 3), round(2 * seconds / 3, 3)
    home = ('camera',) * 3
    fast = {'bandwidth_mbps': 1000, 'latency_ms': 0.5}
    slow = {'bandwidth_mbps': 100, 'latency_ms': 10}
    pairs = [['nano1', 'xavier1'], ['nano1', 'xavier2']]
    more = {'camera': round(2 * rates_hz['camera'], 3)}
    back = {'camera': round(rates_hz['camera'], 3)}
    return [
        Case(
            name='switch', text='camera and text change places in priority, and back',
            urgent=('camera', 'text', 'camera'),
            events=[
                {'at_s': first, 'set_priority': {'camera': 'background', 'text': 'critical'}},
                {'at_s': second, 'set_priority': {'camera': 'critical', 'text': 'background'}},
            ],
        ),
        Case(
            name='bursts',
            text='bursty arrivals; the camera sends twice what was declared',
            urgent=home, arrival='bursty',
            events=[{'at_s': first, 'set_rate': more}, {'at_s': second, 'set_rate': back}],
        ),
        Case(
            name='link',
            text='the camera’s links fall from 1000 to 100 Mbit/s, 10 ms, and recover',
            urgent=home,
            events=[
                {'at_s': at_s, 'set_link': {'between': pair, **link}}
                for at_s, link in ((first, slow), (second, fast))
                for pair in pairs
            ],
        ),
        Case(
            name='worker', text='xavier2 is killed, and started again',
            urgent=home,
            events=[{'at_s': first, 'kill': 'xavier2'}, {'at_s': second, 'revive': 'xavier2'}],
        ),
        Case(
            name='allocator', text='the allocator is dead while xavier2 dies and comes back',
            urgent=home,
            events=[
                {'at_s': round(seconds / 4, 3), 'kill': 'allocator'},
                {'at_s': first, 'kill': 'xavier2'},
                {'at_s': second, 'revive': 'xavier2'},
                {'at_s': round(0.8 * seconds, 3), 'revive': 'allocator'},
            ],
        ),
    ]  # fmt: skip


def run(
    size: Size, progress: Progress | None = None, processes: int | None = None
) -> ExperimentReport:
    """Run the experiment."""
    seconds = LONGER * size.seconds
    chosen = cases(seconds, _rates())[: size.pick(5, 5, 1)]
    rigs = {case.name: rig_of(case) for case in chosen}
    policies = (OURS, REFERENCE)
    cells = [
        cell(
            {'case': case.name, 'policy': policy}, rigs[case.name].fleet,
            tables_of(rigs[case.name].fleet), policy, size, seconds=seconds,
            rig=rigs[case.name],
        )
        for case in chosen
        for policy in policies
    ]  # fmt: skip
    found = run_cells(cells, story, progress, processes)
    outcome = {(str(one.factors['case']), str(one.factors['policy'])): one for one in found}
    thirds = [seconds / 3 * number for number in range(4)]
    width_s = seconds / WINDOWS
    told = [
        _case(case, outcome[case.name, p], p, thirds, width_s) for case in chosen for p in policies
    ]
    return ExperimentReport(
        name=NAME,
        title='Dynamics: what changes while the fleet runs',
        question=(
            f'Two Xaviers and a Nano at {100 * LOAD:.0f} % load. Priorities, rates, links, a '
            'worker, the allocator change. How long until the urgent source’s delay has settled, '
            'and is anything lost?'
        ),
        settings={
            'load': LOAD, 'seconds': seconds, 'policies': policies,
            'cases': {case.name: case.text for case in chosen}, 'window_s': width_s,
        },
        rigs=list(rigs.values()),
        runs=[_plain(one) for one in found],
        numbers={'cases': told},
        tables=[_settling(told, width_s), _losses(told)],
        findings=list(_findings(told)),
        figures=[
            Drawn(
                name='dynamics',
                figure=timelines_figure(chosen, outcome, policies, thirds, width_s),
                caption=f'Mean delay of the items that arrive in each window, {size.how}, over '
                f'{len(size.seeds)} seeds; band: 95 % confidence interval. Vertical: the changes.',
            ),
        ],
    )  # fmt: skip


def _sources(arrival: str = 'poisson') -> Document:
    kinds = {
        'camera': ('nano1', 'resnet50', 'critical', {'rate_hz': 8}),
        'inspection': ('xavier1', 'resnet50', 'normal', {'load_share': 1}),
        'text': ('xavier2', 'gpt2', 'background', {'load_share': 1}),
    }
    return {
        name: source(home, model, priority, arrival=arrival, **rate)
        for name, (home, model, priority, rate) in kinds.items()
    }


def _rates() -> dict[str, float]:
    """Rates that give the load [1/s]."""
    one = rig('dynamics', devices(xavier=2, nano=1), mesh(1000, 0.5), _sources())
    fleet = loaded(one.fleet, tables_of(one.fleet), LOAD)
    return {name: source_.rate_hz or 0.0 for name, source_ in fleet.sources.items()}


def rig_of(case: Case) -> Rig:
    """Return a case's fleet, its rates declared: events change them."""
    rates = _rates()
    sources = {
        name: {
            **{k: v for k, v in entry.items() if k != 'load_share'},
            'rate_hz': round(rates[name], 3),
        }
        for name, entry in _sources(case.arrival).items()
    }
    return rig(
        f'dynamics_{case.name}', devices(xavier=2, nano=1), mesh(1000, 0.5), sources,
        events=list(case.events),
    )  # fmt: skip


def _case(
    case: Case, found: CellResult[Story], policy: str, thirds: Sequence[float], width_s: float
) -> dict[str, Any]:
    """Return what became of a case under a policy."""
    phases = []
    for number, urgent in enumerate(case.urgent):
        first_s, last_s = thirds[number], thirds[number + 1]
        means = [
            windows(one.delays[urgent], first_s, last_s, last_s - first_s) for one in found.runs
        ]
        known = [1e3 * mean for (mean,) in means if mean is not None]
        settled = [settling_s(one.delays[urgent], first_s, last_s, width_s) for one in found.runs]
        inside = [windows(one.delays[urgent], first_s, last_s, width_s) for one in found.runs]
        worst = [1e3 * max((m for m in one if m is not None), default=0.0) for one in inside]
        mean, peak = interval(known), interval(worst)
        phases.append({
            'urgent': urgent,
            'mean_ms': None if mean is None else mean.plain(),
            'worst_window_ms': None if peak is None else peak.plain(),
            'settled_s': [s for s in settled if s is not None],
        })  # fmt: skip
    failed: Counter[str] = Counter()
    for one in found.runs:
        failed.update(one.failed)
    counts = [one.measures.sources.values() for one in found.runs]
    return {
        'case': case.name,
        'text': case.text,
        'policy': policy,
        'phases': phases,
        'accepted': sum(source_.accepted for sources in counts for source_ in sources),
        'results': sum(source_.results for sources in counts for source_ in sources),
        'failed': dict(failed),
        'never_ended': sum(one.unfinished for one in found.runs),
        'violations': sum(one.violations for one in found.runs),
        'plans': sum(len(one.replanned_s) for one in found.runs),
    }


def _plain(found: CellResult[Story]) -> dict[str, Any]:
    """Return the runs of a cell as JSON has them, every delay included."""
    return {
        **found.factors,
        'seeds': [
            {
                'seed': seed, 'summary': summary([one.measures]), 'failed': dict(one.failed),
                'never_ended': one.unfinished, 'replanned_s': list(one.replanned_s),
                'delays': {
                    name: [[round(at_s, 4), round(1e3 * delay_s, 3)] for at_s, delay_s in items]
                    for name, items in one.delays.items()
                },
            }
            for seed, one in zip(found.seeds, found.runs, strict=True)
        ],
    }  # fmt: skip


def _settling(told: Sequence[Mapping[str, Any]], width_s: float) -> ResultTable:
    body = []
    for one in told:
        texts = []
        for number, phase in enumerate(one['phases']):
            mean = phase['mean_ms']
            texts.append(NOTHING if mean is None else f'{mean["mean"]:.1f}')
            if number:
                worst, settled = phase['worst_window_ms'], phase['settled_s']
                texts.append(NOTHING if worst is None else f'{worst["mean"]:.0f}')
                texts.append(shown(interval(settled), 1) if settled else NOTHING)
        body.append([one['text'], one['policy'], *texts])
    return ResultTable(
        title='The urgent source, before, after the first change, after the second',
        columns=[
            'case', 'policy', 'mean before [ms]',
            'mean [ms]', 'worst window [ms]', 'settled after [s]',
            'mean [ms]', 'worst window [ms]', 'settled after [s]',
        ],
        rows=body,
        note=f'Windows of {width_s:.2g} s. Settled: from then on no window’s mean is above 1.5 × '
        'the median of the phase’s second half; 0: none ever was. A window holds few items, so '
        'that chance alone reaches that level now and then, under ms_mdi above all. ± half of '
        'the 95 % confidence interval over the seeds.',
    )  # fmt: skip


def _losses(told: Sequence[Mapping[str, Any]]) -> ResultTable:
    body = [
        [
            one['text'], one['policy'], f'{one["accepted"]}', f'{one["results"]}',
            ', '.join(f'{count} {reason}' for reason, count in one['failed'].items()) or NOTHING,
            f'{one["never_ended"]}', f'{one["plans"]}',
        ]
        for one in told
    ]  # fmt: skip
    return ResultTable(
        title='What became of every accepted item',
        columns=[
            'case', 'policy', 'accepted', 'results', 'ended otherwise', 'never ended', 'new plans',
        ],
        rows=body,
        note='Sums over the seeds and sources. home_lost: items that were open at a home when it '
        'was killed; its next run tells of them. While a home is down its sensors are not heard.',
    )  # fmt: skip


def _findings(told: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    lost = sum(one['never_ended'] for one in told)
    yield f'Accepted items that never ended: {lost} of {sum(one["accepted"] for one in told)}.'
    for one in told:
        if one['policy'] != OURS:
            continue
        times = [interval(phase['settled_s']) for phase in one['phases'][1:]]
        spoken = ' and '.join(NOTHING if t is None else f'{shown(t, 1)} s' for t in times)
        yield f'{one["text"]}: settled {spoken} after the two changes under {OURS}.'
