# SPDX-License-Identifier: Apache-2.0
"""The page: every section filled or saying what to record, and nothing loaded from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser
import json
from pathlib import Path
from typing import Any

from pamdi_ros.recording import read_recording, Recording
from pamdi_ros.recording.collect import RunCollector
from pamdi_ros.recording.series import Series
from pamdi_ros.recording.topics import Kind, kind_of
from pamdi_ros.report import build
from pamdi_ros.report.build import report_html
import pytest
from recording.cases import dropped, Heard, result, run_of, stats, status
from recording.test_read import SUMMARY

SECTIONS = ('latency', 'time', 'items', 'use', 'drops', 'numbers')
FIGURES = {'curves', 'boxes', 'timeline', 'busy', 'links', 'drops'}
#: Axes that count things.
COUNTED = ('dropped', 'items without an answer')
#: Attributes by which HTML loads something.
LOADING = {'src', 'srcset', 'href', 'action', 'data', 'poster', 'background', 'xlink:href'}


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.sections: list[str] = []
        self.words: dict[str, str] = {}
        self.scripts: dict[str, str] = {}
        self._open = ''
        self._section = ''
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.loads += [str(told[name]) for name in told if name in LOADING]
        if tag == 'link':
            self.loads.append('link')
        if tag == 'section':
            self._section = str(told['id'])
            self.sections.append(self._section)
        self._open = str(told.get('id')) if tag == 'script' else tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ''

    def handle_data(self, data: str) -> None:
        if self._open.startswith('pamdi-'):
            self.scripts[self._open] = data
        self.words[self._section] = self.words.get(self._section, '') + data

    def json(self, name: str) -> Any:
        """Return what a script element holds."""
        return json.loads(self.scripts[name])


def recording_of(messages: list[Heard]) -> Recording:
    collector = RunCollector(fleet='demo', origin='run', storage='made up')
    for at_s, topic, message in messages:
        if found := kind_of(topic, f'pamdi_ros/msg/{type(message).__name__}'):
            collector.take(found[1], at_s, message)
    return collector.finish()


@pytest.fixture(scope='module')
def page() -> Page:
    """Page of a run in which everything was recorded."""
    run = [entry for entry in run_of(seconds=30) if not entry[1].endswith('/result')]
    return Page(report_html(recording_of(run)))


def test_every_section_is_there_and_filled(page: Page) -> None:
    assert tuple(page.sections) == SECTIONS
    assert set(page.json('pamdi-figures')) == FIGURES
    assert 'Nothing to show here' not in ''.join(page.words.values())
    for name in ('camera', 'lidar', 'robot1', 'epoch 2', 'camera: priority critical → normal'):
        assert name in page.words['numbers']


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    assert [target for target in page.loads if not target.startswith('#')] == []


def test_all_links_lead_to_a_section(page: Page) -> None:
    assert {target.removeprefix('#') for target in page.loads} == set(SECTIONS)


def test_plotly_is_inlined_once(page: Page) -> None:
    text = report_html(recording_of([(0.0, '/demo/results', result(1, 0.1))]))
    assert text.count('plotly.js v') == 1
    assert 'cdn.plot.ly/plotly' not in text.split('<script>')[-1]


def test_items_of_every_source_can_be_chosen(page: Page) -> None:
    items = page.json('pamdi-items')
    assert set(items) == {'camera', 'lidar'}
    for chosen in items.values():
        labels = [one['label'].partition(' (')[0] for one in chosen]
        assert labels[0] == 'slowest'
        assert {'median', '95th percentile', 'quickest'} <= set(labels)
        assert any(label.startswith(('queue_full', 'expired')) for label in labels)
        assert all(one['figure']['data'] and one['text'] for one in chosen)


def test_figures_name_their_units(page: Page) -> None:
    for name, figure in page.json('pamdi-figures').items():
        titles = [
            axis['title']['text']
            for key, axis in figure['layout'].items()
            if key.startswith(('xaxis', 'yaxis')) and 'title' in axis
        ]
        assert titles, name
        assert all('[' in title or title in COUNTED for title in titles), name
        assert not figure['layout'].get('title')  # the page's headings are the titles


def test_nothing_infinite_is_written(page: Page) -> None:
    for script in page.scripts.values():
        json.loads(script, parse_constant=lambda word: pytest.fail(f'{word} is no JSON'))


@pytest.mark.parametrize(
    ('kept', 'missing'),
    [
        (Kind.RESULT, {'use': 'workers/<worker>/status'}),
        (Kind.STATUS, dict.fromkeys(('latency', 'time', 'items', 'drops'), '<fleet>/results')),
        (Kind.STATS, {'latency': 'results', 'items': 'results', 'use': 'workers/'}),
        (Kind.ASSIGNMENT, dict.fromkeys(('latency', 'time', 'items', 'use', 'drops'), '<fleet>/')),
    ],
)
def test_what_was_not_recorded_is_named(kept: Kind, missing: dict[str, str]) -> None:
    run = [
        (at_s, topic, message)
        for at_s, topic, message in run_of(seconds=5)
        if (found := kind_of(topic, f'pamdi_ros/msg/{type(message).__name__}'))
        and found[1] is kept
        and not topic.endswith('/result')
    ]
    page = Page(report_html(recording_of(run)))
    assert tuple(page.sections) == SECTIONS
    for section, topic in missing.items():
        assert 'the recording has no' in page.words[section]
        assert topic in page.words[section]
    for section in set(SECTIONS) - set(missing):
        assert 'the recording has no' not in page.words[section].replace(
            'Deadlines are not known: the recording has no', ''
        )


def test_a_summary_alone_makes_a_page(tmp_path: Path) -> None:
    path = tmp_path / 'run.json'
    path.write_text(json.dumps(SUMMARY), encoding='utf-8')
    page = Page(report_html(read_recording(path)))
    assert tuple(page.sections) == SECTIONS
    assert set(page.json('pamdi-figures')) == {'busy', 'drops'}
    assert '40 ms' in page.words['numbers'] and '90 ms' in page.words['numbers']
    assert 'emulated devices' in page.words['']
    assert 'Only the sums' in page.words['']


def test_a_run_without_drops_says_so() -> None:
    page = Page(report_html(recording_of([(0.0, '/demo/results', result(1, 0.1))])))
    assert 'Nothing was dropped: all 1 item that ended' in page.words['drops']


def test_a_run_with_nothing_answered_makes_a_page() -> None:
    run: list[Heard] = [(0.0, '/demo/results', dropped(1, 'no_route: robot2 is away'))]
    page = Page(report_html(recording_of(run)))
    assert 'no_route' in page.scripts['pamdi-figures']
    assert 'robot2 is away' in page.scripts['pamdi-items']


def test_emulated_devices_are_named() -> None:
    run: list[Heard] = [
        (0.0, '/demo/results', result(1, 0.1, emulated=True)),
        (1.0, '/demo/workers/robot1/status', status('robot1', emulated=True)),
        (1.0, '/demo/workers/robot2/status', status('robot2')),
    ]
    words = Page(report_html(recording_of(run))).words['']
    assert 'emulated devices' in words
    assert 'robot1' in words and 'robot2' not in words


def test_names_cannot_break_out_of_the_page() -> None:
    name = '</script><script>alert(1)</script><a href="http://x">'
    run: list[Heard] = [
        (0.0, '/demo/results', result(1, 0.1, name, labels=[name])),
        (0.5, '/demo/results', dropped(2, f'{name}: {name}', name)),
        (1.0, '/demo/sources/x/stats', stats(name)),
        (1.0, '/demo/workers/x/status', status(name)),
    ]
    text = report_html(recording_of(run))
    page = Page(text)
    assert 'alert(1)</script>' not in text
    assert [target for target in page.loads if not target.startswith('#')] == []


def test_many_results_are_thinned_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Series.__init__, '__defaults__', (4000,))
    chosen = [
        (at / 100, '/demo/results', result(at, 0.01 + at % 7 / 100)) for at in range(1, 9001)
    ]
    recording = recording_of(chosen)
    text = report_html(recording)
    page = Page(text)
    assert recording.sources['camera'].answered == 9000
    assert 'Drawn are 2,250 of 9,000 results' in page.words['time']
    assert 'of every 4th result or more' in page.words['time']
    assert len(page.scripts['pamdi-figures']) < 200_000


def test_changes_beyond_what_can_be_marked_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, 'MOST_MARKED', 3)
    run: list[Heard] = [
        (float(at), '/demo/sources/camera/stats', stats(priority_class=f'class{at}'))
        for at in range(8)
    ]
    page = Page(report_html(recording_of(run)))
    assert 'Only the first 3 of 7 changes are marked' in page.words['time']


def test_late_items_are_a_share_of_what_they_were_counted_among() -> None:
    """Without a deadline the statistics count them, and they count items that ran alone too."""
    run: list[Heard] = [(float(n), '/demo/results', result(n, 0.1)) for n in range(1, 5)]
    run += [(5.0, '/demo/sources/camera/stats', stats(deadline_s=0.0, results=4, late=3))]
    collector = RunCollector(fleet='demo', origin='run', storage='made up', solo_items=2)
    for at_s, topic, message in run:
        found = kind_of(topic, f'pamdi_ros/msg/{type(message).__name__}')
        assert found
        collector.take(found[1], at_s, message)
    words = Page(report_html(collector.finish())).words['numbers']
    assert '3 (75.0 %)' in words
