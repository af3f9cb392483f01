# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pamdi_ros.monitor.source_rows import cell_level, COLUMNS, details, is_silent, SILENT_S
from pamdi_ros.monitor.view import Level, SourceView

CAMERA = SourceView(
    name='camera',
    heard_s=10.0,
    priority_class='high',
    worker='robot1',
    model='resnet50',
    rate_hz=15.0,
    latency_p50_s=0.0123,
    latency_p95_s=0.5,
    inflation=4.0,
    deadline_s=0.2,
    late_share=0.25,
    drop_rate_hz=0.04,
    drops={'expired: late': 3, 'queue_full: x': 4},
    route=(('robot1', 0, 3), ('robot2', 3, 9)),
    solo_s=0.01,
)


def row(source: SourceView) -> dict[str, str]:
    return {column.key: column.text(source) for column in COLUMNS}


def test_a_row_has_figures_in_the_units_of_its_headers() -> None:
    cells = row(CAMERA)
    headers = {column.key: column.header for column in COLUMNS}
    assert (cells['p50'], headers['p50']) == ('12.3', 'p50\n[ms]')
    assert (cells['rate'], headers['rate']) == ('15.0', 'items\n[1/s]')
    assert (cells['late'], headers['late']) == ('25', 'late\n[%]')
    assert (cells['drops'], cells['dropped']) == ('0.04', '7')


def test_what_is_unknown_is_a_dash_and_not_a_nought() -> None:
    cells = row(SourceView(name='lidar'))
    keys = ('p50', 'p95', 'inflation', 'late', 'worker', 'model', 'priority_class')
    assert {cells[key] for key in keys} == {'–'}


def test_every_column_can_be_sorted() -> None:
    for column in COLUMNS:
        assert column.about
        assert len({type(column.sort(s)) is str for s in (CAMERA, SourceView(name='x'))}) == 1


def test_bad_figures_are_marked() -> None:
    assert cell_level(CAMERA, 'late') is Level.WARN
    assert cell_level(CAMERA, 'inflation') is Level.WARN
    assert cell_level(CAMERA, 'drops') is Level.WARN
    assert cell_level(CAMERA, 'p50') is Level.OK
    assert cell_level(SourceView(name='x', reason='no route: y'), 'name') is Level.ERROR


def test_old_figures_are_told_from_new_ones() -> None:
    assert not is_silent(CAMERA, 10.0 + SILENT_S)
    assert is_silent(CAMERA, 10.1 + SILENT_S)
    assert is_silent(SourceView(name='x'), 0.0)


def test_details_tell_the_route_and_the_drops() -> None:
    text = details(CAMERA)
    assert 'nominal route: robot1 [0, 3), robot2 [3, 9)' in text
    assert 'dropped 4: queue_full: x' in text
    assert details(SourceView(name='x')) == ''
