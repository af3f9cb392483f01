# SPDX-License-Identifier: Apache-2.0
"""Puts a report together: which sections it has, and what stands where nothing was recorded."""

from __future__ import annotations

from datetime import datetime
import time

from pamdi_ros.recording import Recording
from pamdi_ros.recording.records import SourceRecord
from pamdi_ros.recording.topics import Kind
from pamdi_ros.report.changes import changes, MOST_MARKED
from pamdi_ros.report.drops import drops
from pamdi_ros.report.latency import box_note, boxes, curves
from pamdi_ros.report.numbers import answered_of, tables
from pamdi_ros.report.page import page, Section
from pamdi_ros.report.timeline import thinning_note, timeline
from pamdi_ros.report.utilisation import busy, links, MOST_LINKS, ranked_links
from pamdi_ros.report.waterfall import explorer
from pamdi_ros.report.words import count, duration, not_recorded, percent
import plotly.graph_objects as go


def report_html(recording: Recording) -> str:
    """Return the report of a recording as one HTML page."""
    items = explorer(recording)
    sections = [
        _latency(recording),
        _time(recording),
        _waterfall(recording, bool(items)),
        _use(recording),
        _drops(recording),
        Section(
            name='numbers', title='Numbers', figures={}, tables=tables(recording),
            notes=[] if recording.sources or recording.workers else ['Nothing was heard.'],
        ),
    ]  # fmt: skip
    return page(
        title=f'Fleet {recording.fleet}',
        facts=_facts(recording),
        label='emulated devices' if recording.emulated else '',
        notes=recording.notes,
        sections=sections,
        items=items,
        footer=f'Made by pamdi report from {recording.origin} ({recording.storage}) on '
        f'{time.strftime("%Y-%m-%d %H:%M")}. Times are from the recorder’s clock, latencies from '
        'the home worker’s.',
    )


def _facts(recording: Recording) -> list[tuple[str, str]]:
    ends = [answered_of(source) for source in recording.sources.values()]
    answered, ended = sum(a for a, _ in ends), sum(e for _, e in ends)
    facts = [
        ('items', f'{ended:,}'),
        ('answered', percent(answered / ended) if ended else '–'),
        ('sources', str(len(recording.sources))),
        ('workers', str(len(recording.workers)) if recording.workers else 'not recorded'),
    ]
    if recording.duration_s:
        facts.insert(0, ('duration', duration(recording.duration_s)))
    if recording.policy:
        facts.append(('policy', recording.policy))
    if recording.epochs.changes:
        facts.append(('epochs', str(len(recording.epochs.changes))))
    if recording.began is not None:
        began = datetime.fromtimestamp(recording.began).astimezone()
        facts.append(('recorded', began.strftime('%Y-%m-%d %H:%M:%S %Z')))
    if recording.emulated:
        slow = [worker.name for worker in recording.workers.values() if worker.emulated]
        facts.append(('emulated', ', '.join(slow) or 'some worker of a route'))
    return facts


def _figures(**named: go.Figure | None) -> dict[str, go.Figure]:
    return {name: figure for name, figure in named.items() if figure is not None}


def _latency(recording: Recording) -> Section:
    figures = _figures(curves=curves(recording), boxes=boxes(recording))
    notes = [box_note(recording)] if figures else [not_recorded(Kind.RESULT)]
    if figures and any(len(s.latency) and not s.deadlines.changes for s in _sources(recording)):
        notes.append(
            'Deadlines are not known: the recording has no <fleet>/sources/<source>/stats.'
        )
    return Section(name='latency', title='Latency', figures=figures, notes=notes)


def _time(recording: Recording) -> Section:
    figures = _figures(timeline=timeline(recording))
    if not figures:
        notes = [not_recorded(Kind.RESULT, Kind.STATS)]
        return Section(name='time', title='Over time', figures={}, notes=notes)
    notes = ['Points: items; lines above: 95th percentile of a stretch of time.']
    found = [change for change in changes(recording) if change.mark]
    if found:
        notes.append(
            'Dotted lines: E a new epoch of the assignment, P a priority set; the table of '
            'changes below says which, and more.'
        )
    if len(found) > MOST_MARKED:
        notes.append(f'Only the first {MOST_MARKED} of {len(found):,} changes are marked.')
    if not any(source.results.count() for source in _sources(recording)):
        notes.append('No results were recorded: the lines are those of the statistics.')
    notes += [note for note in [thinning_note(recording)] if note]
    return Section(name='time', title='Over time', figures=figures, notes=notes)


def _waterfall(recording: Recording, there: bool) -> Section:
    return Section(
        name='items',
        title='An item’s way',
        figures={},
        chooser=there,
        notes=[
            'Times of a stay are measured by its worker; what the way took between workers is '
            'known at home in sum and shared out over the stays.'
        ]
        if there
        else [not_recorded(Kind.RESULT)],
    )


def _use(recording: Recording) -> Section:
    figures = _figures(busy=busy(recording), links=links(recording))
    notes = []
    if 'busy' not in figures:
        notes.append(not_recorded(Kind.STATUS))
    elif 'links' not in figures and recording.duration_s:
        notes.append('No tensors travelled between workers.')
    elif recording.duration_s and not ranked_links(recording):
        notes.append('Single links are not told by this recording, only what each worker sent.')
    elif len(ranked_links(recording)) > MOST_LINKS:
        notes.append(f'Shown are the {MOST_LINKS} links that carried most.')
    if 'busy' in figures and recording.duration_s:
        notes.append('Above: share of the time spent computing. Below: tensor bytes on the links.')
    return Section(name='use', title='Utilisation', figures=figures, notes=notes)


def _drops(recording: Recording) -> Section:
    figures = _figures(drops=drops(recording))
    ended = sum(answered_of(source)[1] for source in _sources(recording))
    notes = []
    if not figures and ended:
        notes.append(f'Nothing was dropped: all {count(ended, "item")} that ended were answered.')
    elif not figures and recording.heard[Kind.STATS.name]:
        notes.append('No item ended.')
    elif not figures:
        notes.append(not_recorded(Kind.RESULT, Kind.STATS))
    left = sum(source.in_flight or 0 for source in _sources(recording))
    if left:
        notes.append(f'{count(left, "item")} had not ended when the recording did.')
    return Section(name='drops', title='Dropped items', figures=figures, notes=notes)


def _sources(recording: Recording) -> list[SourceRecord]:
    return list(recording.sources.values())
