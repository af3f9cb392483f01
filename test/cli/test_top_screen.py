# SPDX-License-Identifier: Apache-2.0
"""The screen of `pamdi top`: what it says, and that it fits, for no, few and many workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import io
import json
from typing import Any

from hypothesis import given, strategies
from pamdi_ros.cli.top_json import outcome
from pamdi_ros.cli.top_screen import screen, share_rows
from pamdi_ros.cli.top_tables import link_line, sparkline
from pamdi_ros.monitor.view import (
    AlertView,
    FleetView,
    HeldPartition,
    Level,
    LinkView,
    SourceView,
    WorkerView,
)
import pytest
from rich.console import Console

CLASSES = ('critical', 'normal', 'background')
NOW_S = 1000.0


def worker(number: int, **changed: Any) -> WorkerView:
    name = f'robot{number}'
    fields: dict[str, Any] = {
        'heard_s': NOW_S - 0.1,
        'state': 2,
        'epoch': 7,
        'device': 'cpu',
        'busy': number % 10 / 10,
        'memory': 81_000_000,
        'memory_limit': 100_000_000,
        'rate_in': 1.2e6,
        'rate_out': 0.4e6,
        'queues': {'critical': 1, 'normal': 0, 'background': 12},
        'holds': (HeldPartition(model='resnet50', first=0, last=12),),
        'links': (LinkView(sender=name, receiver='robot0', rate=3e6, busy=0.3, slowdown=1.4),),
    }
    return WorkerView(name=name, **{**fields, **changed})


def source(number: int, **changed: Any) -> SourceView:
    fields: dict[str, Any] = {
        'heard_s': NOW_S - 0.5,
        'worker': 'robot0',
        'model': 'resnet50',
        'priority_class': CLASSES[number % 3],
        'rate_hz': 15.0,
        'result_rate_hz': 14.5,
        'latency_p50_s': 0.0412,
        'latency_p95_s': 0.1563,
        'solo_s': 0.033,
        'inflation': 4.7,
        'in_flight': 2,
        'history': tuple(0.03 + 0.001 * step for step in range(120)),
    }
    return SourceView(name=f'camera{number}', **{**fields, **changed})


def fleet(workers: int, sources: int | None = None, alerts: int = 2, **changed: Any) -> FleetView:
    alert = AlertView(
        name='source camera1',
        level=Level.WARN,
        message='0.3 items/s dropped (queue_full): give it a more urgent class',
        since_s=NOW_S - 75.0,
    )
    count = min(8, workers) if sources is None else sources
    made = FleetView(
        name='warehouse',
        now_s=NOW_S,
        epoch=7,
        policy='pa_mdi_plus',
        classes=CLASSES,
        workers={f'robot{number}': worker(number) for number in range(workers)},
        sources={f'camera{number}': source(number) for number in range(count)},
        alerts=(alert,) * (alerts if workers else 0),
    )
    return replace(made, **changed)


def changed_worker(number: int, **changed: Any) -> FleetView:
    view = fleet(3)
    return replace(view, workers={**view.workers, f'robot{number}': worker(number, **changed)})


def changed_source(number: int, **changed: Any) -> FleetView:
    view = fleet(3)
    return replace(view, sources={**view.sources, f'camera{number}': source(number, **changed)})


def drawn(view: FleetView, width: int = 120, height: int | None = None, **more: Any) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(screen(view, width, height, **more))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


def line_with(lines: list[str], words: str) -> str:
    (line,) = [line for line in lines if words in line]
    return line


@pytest.mark.parametrize('width', [80, 120])
@pytest.mark.parametrize('height', [None, 12, 24, 60])
@pytest.mark.parametrize('workers', [0, 3, 50])
def test_it_fits(workers: int, width: int, height: int | None) -> None:
    lines = drawn(fleet(workers, alerts=9), width, height, keys='q quits')
    assert max(map(len, lines)) <= width
    assert height is None or len(lines) <= height
    assert lines[0].startswith('warehouse') and lines[-1] == 'q quits'


@pytest.mark.parametrize('width', [80, 120])
def test_everything_is_there_where_there_is_room(width: int) -> None:
    lines = drawn(fleet(50, alerts=9), width)
    assert sum(line.startswith('robot') for line in lines) == 50
    assert sum(line.startswith('camera') for line in lines) == 8
    assert sum(line.startswith('WARN') for line in lines) == 9
    assert not [line for line in lines if line.startswith('…')]


def test_what_is_cut_off_is_counted() -> None:
    lines = drawn(fleet(50), 80, 24)
    shown = sum(line.startswith('robot') for line in lines)
    assert f'… {50 - shown} more workers' in lines and shown >= 3


@pytest.mark.parametrize('width', [80, 120])
def test_the_figures_of_a_source(width: int) -> None:
    line = line_with(drawn(fleet(3), width), 'camera0')
    for word in ('critical', '15.0', '14.5', '41.2', '156', '33.0', '4.7'):
        assert word in line.split()
    assert ('robot0' in line) == (width == 120)


@pytest.mark.parametrize('width', [80, 120])
def test_the_figures_of_a_worker(width: int) -> None:
    line = line_with(drawn(fleet(3), width), 'robot2 ')
    for word in ('serves', '20 %', '81/100', '1/0/12', '1.2/0.4', 'resnet50[0:12)'):
        assert word in line


def test_units_are_told() -> None:
    text = '\n'.join(drawn(fleet(3), 80))
    for unit in ('in/s', 'p50 ms', 'p95 ms', 'solo ms', 'drop/s', 'memory MB', 'MB/s in/out'):
        assert unit in text


@pytest.mark.parametrize(
    ('view', 'words'),
    [
        (changed_worker(2, heard_s=None), ('robot2', 'not heard')),
        (changed_worker(2, heard_s=NOW_S - 12.0), ('robot2', 'silent 12 s')),
        (changed_worker(2, state=1, message='fetching gpt2'), ('loading', 'fetching gpt2')),
        (changed_worker(2, state=3, message='no weights'), ('degraded', 'no weights')),
        (changed_worker(2, state=0), ('robot2', 'unconfigured')),
        (changed_worker(2, state=9), ('robot2', 'state 9')),
        (changed_worker(2, epoch=6), ('robot2', 'epoch 6;')),
    ],
)
def test_a_worker_that_is_not_well(view: FleetView, words: tuple[str, ...]) -> None:
    for width in (80, 120):
        line = line_with(drawn(view, width), 'robot2 ')
        assert all(word in line for word in words)


def test_workers_come_by_number() -> None:
    view = replace(fleet(0), workers={f'r{n}': worker(n) for n in (10, 9, 2)})
    names = [line.split()[0] for line in drawn(view) if line.startswith('robot')]
    assert names == ['robot2', 'robot9', 'robot10']


def test_workers_that_are_not_well_come_first() -> None:
    view = changed_worker(2, heard_s=None)
    names = [line.split()[0] for line in drawn(view) if line.startswith('robot')]
    assert names == ['robot2', 'robot0', 'robot1']


@pytest.mark.parametrize(
    ('view', 'words'),
    [
        (changed_source(1, heard_s=None), 'not heard'),
        (changed_source(1, heard_s=NOW_S - 200.0), 'silent 3 min'),
        (changed_source(1, reason='no_memory: 102 MB needed'), 'no route'),
    ],
)
def test_a_source_that_is_not_well(view: FleetView, words: str) -> None:
    for width in (80, 120):
        line = line_with(
            [line for line in drawn(view, width) if line.startswith('camera1')], 'camera1'
        )
        assert words[:5] in line


def test_sources_come_in_the_order_of_their_classes() -> None:
    names = [line.split()[0] for line in drawn(fleet(6)) if line.startswith('camera')]
    assert names == ['camera0', 'camera3', 'camera1', 'camera4', 'camera2', 'camera5']


def test_markup_in_names_and_messages_is_left_alone() -> None:
    view = changed_worker(1, message='[bold]units [3, 5)[/bold]')
    assert '[bold]units [3, 5)[/bold]' in line_with(drawn(view), 'robot1 ')


def test_what_it_waits_for() -> None:
    nothing = ' '.join(drawn(FleetView(name=''), 80, 24, domain='7'))
    assert 'no fleet' in nothing and 'waiting for any fleet in ROS domain 7' in nothing
    view = replace(fleet(3), workers={'robot0': WorkerView(name='robot0')})
    lines = ' '.join(drawn(view, 80, 24, domain='7', fleets=['/warehouse', '/lab']))
    assert 'waiting for a heartbeat of fleet warehouse in ROS domain 7' in lines
    assert 'Seen: /lab.' in lines
    assert 'waiting' not in ' '.join(drawn(fleet(3)))


def test_alerts_tell_since_when() -> None:
    (line, *_) = [line for line in drawn(fleet(3)) if line.startswith('WARN')]
    assert '75 s' in line and 'source camera1' in line and 'queue_full' in line


def test_the_busiest_links_come_first_and_the_rest_is_counted() -> None:
    links = [
        LinkView(sender=f'r{number}', receiver='hub', rate=1e6 * number, busy=number / 20)
        for number in range(20)
    ]
    line = link_line(links, 80)
    assert line.plain.startswith('links  r19→hub 95 % 19.0 MB/s') and line.cell_len <= 80
    shown = line.plain.count('→')
    assert line.plain.endswith(f'+ {19 - shown}')  # the idle one is not told of
    assert not link_line([LinkView(sender='a', receiver='b')], 80)


@pytest.mark.parametrize(
    ('values', 'bars'),
    [
        ((), ''),
        ((0.0, 0.0), '  '),
        ((1.0, 2.0, 4.0, 8.0), '▁▂▄█'),
        ((1.0, 0.0, 8.0), '▁ █'),
        ((1.0, 8.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0), '█▁▁▁'),
    ],
)
def test_sparkline(values: tuple[float, ...], bars: str) -> None:
    assert sparkline(values, 4) == bars


@given(strategies.lists(strategies.integers(0, 60), max_size=4), strategies.integers(0, 80))
def test_rows_are_shared_within_the_room(wanted: list[int], room: int) -> None:
    given_rows = share_rows(wanted, room)
    assert sum(given_rows) <= room
    assert all(0 <= rows <= want for rows, want in zip(given_rows, wanted, strict=True))
    if sum(wanted) <= room:
        assert given_rows == wanted
    else:
        assert sum(given_rows) == room


def views() -> Iterator[FleetView]:
    yield from (fleet(0), fleet(3), fleet(50), FleetView(name=''))
    yield changed_source(1, inflation=float('inf'), latency_p95_s=float('nan'))


@pytest.mark.parametrize('view', views())
def test_the_json_is_json(view: FleetView) -> None:
    told = json.loads(json.dumps(outcome(view), allow_nan=False))
    assert set(told['workers']) == set(view.workers) and len(told['alerts']) == len(view.alerts)


def test_the_json_of_a_fleet() -> None:
    told = outcome(changed_worker(2, heard_s=None))
    assert told['heard'] and told['epoch'] == 7
    assert told['workers']['robot2']['state'] == 'not heard'
    assert told['workers']['robot1']['memory_mb'] == 81.0
    assert told['sources']['camera0']['p50_ms'] == 41.2
    assert told['sources']['camera0']['deadline_ms'] is None
    assert told['links'][0] == {
        'from': 'robot0', 'to': 'robot0', 'busy_share': 0.3, 'mb_per_s': 3.0, 'slowdown': 1.4
    }  # fmt: skip
    assert outcome(FleetView(name=''))['heard'] is False
