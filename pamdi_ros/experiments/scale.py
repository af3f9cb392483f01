# SPDX-License-Identifier: Apache-2.0
"""``scale``: 3 to 200 workers, sources in proportion: does it hold, and what does it cost?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
import statistics
import time
from typing import Any

from matplotlib.figure import Figure
from pamdi_ros.allocation import Costs, PlacementProblem
from pamdi_ros.allocation.demand import demands
from pamdi_ros.allocation.optimizer.multi_start import solve_thoroughly
from pamdi_ros.allocation.optimizer.replicas import with_copies
from pamdi_ros.allocation.planner import plan_of
from pamdi_ros.assignment import Plan
from pamdi_ros.experiments.cells import (
    all_settled,
    cell,
    choose,
    Measured,
    rows,
    run_cells,
)
from pamdi_ros.experiments.fleets import (
    Document,
    mesh,
    NANO,
    Rig,
    rig,
    source,
    tables_of,
    XAVIER,
)
from pamdi_ros.experiments.interval import Interval, interval
from pamdi_ros.experiments.report import Drawn, ExperimentReport, NOTHING, ResultTable, shown
from pamdi_ros.experiments.size import Size
from pamdi_ros.experiments.style import entry, logarithmic, panels, points, SERIES
from pamdi_ros.simulation.batch import Progress
from pamdi_ros.simulation.load import loaded
from pamdi_ros.simulation.measures import measure, RunMeasures
from pamdi_ros.simulation.summary import summary

NAME = 'scale'
LOAD = 0.7
POLICY = 'pa_mdi_plus'
#: Most seconds that items arrive, by workers: the work of a run grows with their number squared,
#: as every heartbeat goes to every peer.
SECONDS = {3: 20.0, 10: 20.0, 30: 10.0, 100: 6.0, 200: 5.0}
#: Memory that keeps GPT-2 (652 MB) from most workers as a whole: the allocator must choose.
#: Planning only: simulated are fleets whose workers may hold every model.
SCARCE_MB = {'xavier': 1000, 'nano': 400}
#: Workers up to which that is planned too.
MOST_SCARCE = 30
#: Class and model of the sources, in turn.
KINDS = (
    ('critical', 'resnet50'),
    ('normal', 'resnet50'),
    ('background', 'gpt2'),
    ('background', 'resnet50'),
)
TOP = 'critical'
#: Share of the work of each class.
WORK = {'critical': 0.2, 'normal': 0.3, 'background': 0.5}


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """What the allocator's solver gave for one fleet.

    :param seconds: of processor time that planning took [s].
    :param gap: to its bound, as a share.
    """

    seconds: float
    objective: float
    bound: float
    gap: float
    feasible: bool


def rig_of(count: int, *, scarce: bool = False) -> Rig:
    """Return a fleet of two Xaviers to each Nano, with two sources for three workers."""
    workers: dict[str, Document] = {}
    for number in range(count):
        kind = 'nano' if number % 3 == 2 else 'xavier'
        of = NANO if kind == 'nano' else XAVIER
        workers[f'{kind}{number}'] = {**of, **({'memory_mb': SCARCE_MB[kind]} if scarce else {})}
    names = list(workers)
    kinds = [KINDS[number % len(KINDS)] for number in range(max(2, 2 * count // 3))]
    times = {priority: sum(kind[0] == priority for kind in kinds) for priority in WORK}
    sources = {}
    for number, (priority, model) in enumerate(kinds):
        share = WORK[priority] / times[priority]
        home = names[(number * 3 // 2) % count]
        entry_ = source(home, model, priority, load_share=share)
        sources[f'source{number}'] = {**entry_, 'topic': f'sensor{number}'}
    name = f'scale{count}{"_scarce" if scarce else ""}'
    return rig(name, workers, mesh(1000, 0.5), sources, load=LOAD)


def run(
    size: Size, progress: Progress | None = None, processes: int | None = None
) -> ExperimentReport:
    """Run the experiment."""
    counts = size.pick(tuple(SECONDS), (3, 10, 30), (3, 6))
    seconds = {count: min(size.seconds, SECONDS.get(count, 6.0)) for count in counts}
    rigs = {count: rig_of(count) for count in counts}
    few = [count for count in counts if count <= size.pick(MOST_SCARCE, 10, 3)]
    scarce = {count: rig_of(count, scarce=True) for count in few}
    cells, planned = [], {}
    for count, one in rigs.items():
        costs = _costs_of(one)
        planned[count], plan = planned_for(costs)
        cells.append(
            cell(
                {'workers': count}, costs.fleet, costs.tables, POLICY, size,
                seconds=seconds[count], plan=plan,
            )
        )  # fmt: skip
    tight = {count: planned_for(_costs_of(one))[0] for count, one in scarce.items()}
    found = run_cells(cells, measure, progress, processes)
    by_count = {count: choose(found, workers=count) for count in counts}
    bars = f'Error bars: 95 % confidence interval over {len(size.seeds)} seeds.'
    return ExperimentReport(
        name=NAME,
        title='Scale: from 3 to 200 workers',
        question=(
            f'Two Xaviers to a Nano, two sources '
            f'for three workers, load {LOAD:g}. How do delay, distance from the bound, messages, '
            'planning and simulation grow with the fleet?'
        ),
        settings={
            'load': LOAD, 'policy': POLICY,
            'seconds': seconds,
        },
        rigs=[*rigs.values(), *scarce.values()],
        runs=rows(found),
        numbers={
            'allocator': {count: asdict(one) for count, one in planned.items()},
            'allocator_scarce_memory': {count: asdict(one) for count, one in tight.items()},
            'messages': {count: _traffic(one) for count, one in by_count.items()},
        },
        tables=[_delays(by_count), _costs(by_count, planned, tight)],
        findings=list(_findings(by_count, planned)),
        figures=[
            Drawn(
                name='scale', figure=_figure(by_count, planned, tight),
                caption=f'{POLICY} from {min(counts)} to {max(counts)} workers, simulated at load '
                f'{LOAD:g}. {bars} The allocator’s time is of one plan.',
            ),
        ],
    )  # fmt: skip


def _costs_of(one: Rig) -> Costs:
    tables = tables_of(one.fleet)
    return Costs(fleet=loaded(one.fleet, tables, LOAD), tables=tables)


def planned_for(costs: Costs) -> tuple[Planned, Plan]:
    """Plan a fleet as the allocator does, and say what that took."""
    began_s = time.process_time()
    problem = PlacementProblem.from_costs(costs)
    solution = solve_thoroughly(problem)
    asked = demands(costs.fleet, {})
    draft = with_copies(costs, asked, solution.draft(problem))
    plan = plan_of(POLICY, costs, draft, asked, epoch=1)
    told = Planned(
        seconds=time.process_time() - began_s,
        objective=solution.objective,
        bound=solution.bound,
        gap=solution.gap,
        feasible=solution.feasible,
    )
    return told, plan


def inflation(found: Measured, priority: str) -> Interval | None:
    """Mean delay over solo latency, over the results of a class, by seed."""
    values = []
    for run_ in found.runs:
        known = [
            (source_.inflation, source_.results)
            for source_ in run_.sources.values()
            if source_.priority == priority and source_.inflation is not None
        ]
        if not known:
            return None
        total = sum(results for _, results in known)
        values.append(sum(value * results for value, results in known) / total)
    return interval(values)


def _traffic(found: Measured) -> dict[str, Any]:
    """Messages and bytes per item, and the simulator's events per second of processor time."""
    sides = {
        'messages_per_item': [sum(r.messages_out.values()) / _items(r) for r in found.runs],
        'frames_per_item': [sum(r.frames_out.values()) / _items(r) for r in found.runs],
        'kb_per_item': [sum(r.bytes_out.values()) / 1e3 / _items(r) for r in found.runs],
        'events_per_s': [r.events / r.cpu_s for r in found.runs],
        'cpu_s_per_simulated_s': [r.cpu_s / r.seconds for r in found.runs],
    }
    return {name: statistics.fmean(values) for name, values in sides.items()}


def _items(run_: RunMeasures) -> int:
    return max(1, sum(source_.accepted for source_ in run_.sources.values()))


def _class(found: Measured, priority: str) -> str:
    value = inflation(found, priority)
    return NOTHING if value is None else shown(value, 2)


def _over_bound(found: Measured) -> Interval | None:
    """Weighted delay over the pooled server's, by seed."""
    ratios = [run_.objective / run_.bound for run_ in found.runs if run_.objective and run_.bound]
    return interval(ratios)


def _delays(by_count: Mapping[int, Measured]) -> ResultTable:
    body = []
    for count, found in by_count.items():
        told = summary(found.runs)['sources'].values()
        urgent = [one for one in told if one['priority'] == TOP]
        answered, accepted = (sum(one[key] for one in urgent) for key in ('results', 'accepted'))
        body.append([
            f'{count}', f'{len(found.runs[0].sources)}',
            *(_class(found, priority) for priority in WORK),
            shown(_over_bound(found), 2), f'{answered} / {accepted}',
            'yes' if all_settled(found) else 'no',
        ])  # fmt: skip
    return ResultTable(
        title='Delay',
        columns=[
            'workers', 'sources', *(f'{priority} × solo' for priority in WORK), '× bound',
            f'{TOP} results / accepted', 'all stable',
        ],
        rows=body,
        note='× solo: mean delay over the latency alone on the fleet. × bound: weighted delay of '
        'the fleet over that of one server as fast as all workers together, which no fleet beats.',
    )  # fmt: skip


def _costs(
    by_count: Mapping[int, Measured],
    planned: Mapping[int, Planned],
    tight: Mapping[int, Planned],
) -> ResultTable:
    body = []
    for count, found in by_count.items():
        traffic, one = _traffic(found), planned[count]
        few = tight.get(count)
        body.append([
            f'{count}', f'{traffic["messages_per_item"]:.0f}', f'{traffic["frames_per_item"]:.1f}',
            f'{traffic["kb_per_item"]:.0f}', f'{one.seconds:.2f}', _gap(one),
            NOTHING if few is None else f'{few.seconds:.2f}', _gap(few),
            f'{traffic["events_per_s"]:,.0f}', f'{traffic["cpu_s_per_simulated_s"]:.2f}',
        ])  # fmt: skip
    return ResultTable(
        title='What it costs',
        columns=[
            'workers', 'messages per item', 'of them tensors and pieces', 'KB per item',
            'allocator [s]', 'gap to its bound [%]', 'scarce memory: allocator [s]', 'gap [%]',
            'simulator events/s', 'a simulated second [s]',
        ],
        rows=body,
        note='Messages: all that workers send, heartbeats included; each worker sends one to each '
        'peer ten times a second, so they grow with the fleet squared and not with its items. '
        'Allocator, a simulated second: processor time. Gap: (bound − objective) / bound of the '
        'planner; its bound takes memory for no matter. Scarce memory: the same fleet with '
        f'{SCARCE_MB["xavier"]} MB a Xavier and {SCARCE_MB["nano"]} MB a Nano, planned only.',
    )  # fmt: skip


def _gap(one: Planned | None) -> str:
    return f'{100 * one.gap:.2g}' if one is not None and one.feasible else NOTHING


def _figure(
    by_count: Mapping[int, Measured],
    planned: Mapping[int, Planned],
    tight: Mapping[int, Planned],
) -> Figure:
    counts = list(by_count)
    traffic = {count: _traffic(found) for count, found in by_count.items()}
    names = ['delay over solo', 'weighted delay over bound', 'traffic per item', 'seconds']
    figure, axes = panels(names, columns=2, height_in=2.6)
    figure.suptitle(f'{POLICY} from {min(counts)} to {max(counts)} workers', fontsize=12)
    delay, bound, traffic_panel, seconds = (axes[name] for name in names)
    for priority, style in zip(WORK, SERIES, strict=False):
        values = [inflation(found, priority) for found in by_count.values()]
        points(delay, counts, values, style)
    delay.set_ylabel('mean delay / solo [1]', fontsize=9)
    delay.legend(handles=[entry(p, s) for p, s in zip(WORK, SERIES, strict=False)], fontsize=8)
    points(bound, counts, [_over_bound(found) for found in by_count.values()], SERIES[0])
    bound.set_ylabel('weighted delay / bound [1]', fontsize=9)
    bound.set_ylim(bottom=0)
    for key, label, style in (
        ('messages_per_item', 'messages', SERIES[0]), ('kb_per_item', 'KB', SERIES[1]),
    ):  # fmt: skip
        at = [traffic[count][key] for count in counts]
        traffic_panel.plot(counts, at, color=style[0], marker=style[1], label=label)
    logarithmic(traffic_panel, 'y')
    traffic_panel.set_ylabel('messages, KB per item', fontsize=9)
    traffic_panel.legend(fontsize=8)
    spent = [traffic[count]['cpu_s_per_simulated_s'] for count in counts]
    allocator = [planned[count].seconds for count in counts]
    seconds.plot(counts, allocator, color=SERIES[0][0], marker=SERIES[0][1], label='one plan')
    seconds.plot(
        list(tight), [one.seconds for one in tight.values()], color=SERIES[2][0],
        marker=SERIES[2][1], label='one plan, scarce memory',
    )  # fmt: skip
    seconds.plot(
        counts, spent, color=SERIES[1][0], marker=SERIES[1][1], label='a simulated second'
    )
    logarithmic(seconds, 'y')
    seconds.set_ylabel('time of one core [s]', fontsize=9)
    seconds.legend(fontsize=8)
    delay.set_ylim(bottom=0)
    for panel in axes.values():
        panel.set_xscale('log')
        panel.set_xticks(counts, [f'{count}' for count in counts])
        panel.minorticks_off()
        panel.set_xlabel('workers', fontsize=9)
    return figure


def _findings(by_count: Mapping[int, Measured], planned: Mapping[int, Planned]) -> Iterator[str]:
    first, last = min(by_count), max(by_count)
    for count in (first, last):
        urgent, ratio = inflation(by_count[count], TOP), _over_bound(by_count[count])
        yield (
            f'{count} workers: {TOP} {shown(urgent, 2)} × solo, weighted delay '
            f'{shown(ratio, 2)} × bound, one plan {planned[count].seconds:.2f} s of one core.'
        )
