# SPDX-License-Identifier: Apache-2.0
"""The picture of a run: latency of every source over time, and one item's way as a waterfall."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
import numpy as np

if TYPE_CHECKING:
    from pamdi_ros.fleet import Fleet
    from pamdi_ros.monitor.run_tally import RunTally
    from pamdi_ros.msg import InferenceResult

RESULT = 0  # InferenceResult.RESULT
#: Okabe and Ito's palette, told apart by colour-blind people too.
COLOURS = ('#0072B2', '#E69F00', '#009E73', '#CC79A7', '#56B4E9', '#D55E00', '#F0E442')
MARKERS = 'osD^vP*'
PARTS = (('transfer_s', '#56B4E9'), ('queue_s', '#F0E442'), ('compute_s', '#0072B2'))


def draw_report(
    fleet: Fleet, tally: RunTally, summary: dict[str, Any], solo_items: int, path: Path
) -> None:
    """Write the picture.

    :param tally: with all results of the run.
    :param summary: the run's numbers.
    :param solo_items: see :func:`pamdi_ros.cli.summary.summarise`.
    :param path: PNG file to write.
    """
    figure = Figure(figsize=(9, 8), layout='constrained')
    above, below = figure.subplots(2, 1, height_ratios=(3, 2))
    emulated = ', emulated devices' if summary['emulated'] else ''
    figure.suptitle(
        f'Fleet {fleet.name}: {len(fleet.workers)} workers, {len(fleet.sources)} sources{emulated}'
    )
    _latencies(above, fleet, tally, summary, solo_items)
    chosen = _example(tally, solo_items)
    if chosen is None:
        below.set_axis_off()
        below.text(0.5, 0.5, 'no item was answered', ha='center')
    else:
        _waterfall(below, chosen)
    figure.savefig(path, dpi=110)


def _latencies(
    axes: Axes, fleet: Fleet, tally: RunTally, summary: dict[str, Any], solo_items: int
) -> None:
    start_s = 0.0
    for index, (name, view) in enumerate(tally.sources.items()):
        points = [
            (at_s, 1e3 * message.latency_s)
            for at_s, message in view.results
            if message.status == RESULT and message.seq > solo_items
        ]
        if not points:
            continue
        colour = COLOURS[index % len(COLOURS)]
        at_s, latency_ms = np.array(points).T
        start_s = min(start_s or at_s[0], at_s[0])
        numbers = summary['sources'][name]
        label = f'{name} ({numbers["priority"]}, {fleet.sources[name].model})'
        axes.plot(at_s, latency_ms, MARKERS[index % len(MARKERS)], color=colour, ms=5, label=label)
        if numbers['solo_ms'] is not None:
            axes.axhline(numbers['solo_ms'], color=colour, ls='--', lw=1)
    axes.set_yscale('log')
    axes.yaxis.set_major_formatter('{x:g}')
    axes.yaxis.set_minor_formatter('{x:g}')
    axes.tick_params(axis='y', which='minor', labelsize=8)
    axes.set_xlabel('time since the fleet was up [s]')
    axes.set_ylabel('latency, arrival to result [ms]')
    axes.set_title('Latency of every item (dashed: the source alone on the fleet)', fontsize=11)
    axes.grid(alpha=0.3, which='both')
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.16), ncol=3, fontsize=9)


def _example(tally: RunTally, solo_items: int) -> InferenceResult | None:
    """Choose the median item of the source whose items travel most."""
    best: list[InferenceResult] = []
    for view in tally.sources.values():
        answered = [m for _, m in view.results if m.status == RESULT and m.seq > solo_items]
        hops = len(answered[0].hops) if answered else 0
        if answered and (not best or hops > len(best[0].hops)):
            best = answered
    ordered = sorted(best, key=lambda message: message.latency_s)
    return ordered[len(ordered) // 2] if ordered else None


def _waterfall(axes: Axes, item: InferenceResult) -> None:
    """Draw a row for every stay, its parts one after the other."""
    at_ms = 0.0
    labels = []
    for row, hop in enumerate(item.hops):
        for part, colour in PARTS:
            length_ms = 1e3 * getattr(hop, part)
            axes.barh(row, length_ms, left=at_ms, color=colour, edgecolor='black', lw=0.4)
            at_ms += length_ms
        units = f'units {hop.first_unit}–{hop.last_unit - 1}'
        if hop.last_unit == hop.first_unit + 1:
            units = f'unit {hop.first_unit}'
        if hop.first_unit == hop.last_unit:
            units = 'prepare' if row == 0 else 'result home'
        size = f', {hop.bytes_in / 1e3:.3g} KB in' if hop.bytes_in else ''
        labels.append(f'{hop.worker}\n{units}{size}')
    axes.set_yticks(range(len(labels)), labels, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.02 * max(at_ms, 1e3 * item.latency_s))
    axes.set_xlabel('time since the item arrived [ms]')
    axes.set_title(
        f'One item on its way: {item.source} no. {item.seq}, {1e3 * item.latency_s:.1f} ms',
        fontsize=11,
    )
    names = {'transfer_s': 'transfer', 'queue_s': 'queue', 'compute_s': 'compute'}
    axes.legend(
        handles=[Patch(facecolor=colour, edgecolor='black', label=names[part])
                 for part, colour in PARTS],
        loc='upper center', bbox_to_anchor=(0.5, -0.22), ncol=3, fontsize=9,
    )  # fmt: skip
    axes.grid(alpha=0.3, axis='x')
