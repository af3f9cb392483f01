# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from monitor.messages import diagnostic, diagnostics, header, message
from pamdi_ros.fleet import load_fleet
from pamdi_ros.fleet.resources import config_path
from pamdi_ros.monitor.collector import Collector, FORGET_S, KEPT_ITEMS, KEPT_LATENCIES
from pamdi_ros.monitor.view import HeldPartition, HopView, Level, LinkView


def status(name: str = 'robot1', **fields: object) -> object:
    return message('WorkerStatus', **({'worker': name, 'incarnation': 1} | fields))


def stats(name: str = 'camera', **fields: object) -> object:
    return message('SourceStats', **({'source': name, 'incarnation': 1} | fields))


def assignment(epoch: int, stamp_s: float = 0.0, **fields: object) -> object:
    return message('Assignment', fleet='f', epoch=epoch, header=header(stamp_s), **fields)


def test_a_fleet_that_is_absent_gives_an_empty_view() -> None:
    view = Collector('/site/f').view(5.0)
    assert (view.name, view.now_s, view.epoch) == ('f', 5.0, 0)
    assert not (view.workers or view.sources or view.items or view.alerts)


def test_the_file_tells_what_should_be_there() -> None:
    fleet = load_fleet(config_path('demo.yaml'))
    view = Collector(f'/{fleet.name}', fleet).view(1.0)
    assert list(view.workers) == list(fleet.workers)
    assert list(view.sources) == list(fleet.sources)
    assert all(worker.heard_s is None for worker in view.workers.values())
    assert view.classes == tuple(entry.name for entry in fleet.priority_classes)
    for name, source in fleet.sources.items():
        assert view.sources[name].worker == source.worker
        assert view.sources[name].priority_class == source.priority


def test_a_status_becomes_a_worker() -> None:
    collector = Collector('/f')
    collector.status(
        status(
            busy_share=0.5,
            priority_classes=['high', 'low'],
            queue_lengths=[1, 2],
            backlog_s=[0.1, 0.2],
            placements=[message('Placement', worker='robot1', model='m', last_unit=3)],
            link_peers=['robot2', 'robot3'],
            link_rate=[1e6],
            link_busy=[0.25],
            link_slowdown=[1.5],
            drop_reasons=['late'],
            drop_counts=[4],
            running_source='camera',
            running_seq=7,
            running_unit=2,
        ),
        3.0,
    )
    view = collector.view(4.0)
    worker = view.workers['robot1']
    assert view.classes == ('high', 'low')
    assert (worker.heard_s, worker.busy, worker.running) == (3.0, 0.5, ('camera', 7, 2))
    assert worker.queues == {'high': 1, 'low': 2}
    assert worker.backlog == {'high': 0.1, 'low': 0.2}
    assert worker.holds == (HeldPartition(model='m', first=0, last=3),)
    assert worker.links == (
        LinkView(sender='robot1', receiver='robot2', rate=1e6, busy=0.25, slowdown=1.5),
        LinkView(sender='robot1', receiver='robot3'),
    )
    assert worker.drops == {'late': 4}


def test_the_clock_offset_is_that_of_the_quickest_message() -> None:
    collector = Collector('/f')
    for at_s, way_s in ((0.0, 0.2), (1.0, 0.01), (2.0, 0.1)):
        stamp_s = 1000.0 + at_s + 5.0  # the worker's clock is 5 s before ours
        collector.status(status(header=header(stamp_s)), at_s, 1000.0 + at_s + way_s)
    offset_s = collector.view(2.0).workers['robot1'].clock_offset_s
    assert offset_s is not None and abs(offset_s - 4.99) < 1e-6


def test_another_run_begins_anew() -> None:
    collector = Collector('/f')
    collector.status(status(header=header(50.0)), 1.0, 10.0)
    for latency_s in (0.1, 0.2):
        collector.stats(stats(latency_mean_s=latency_s), 1.0)
    assert collector.view(1.0).sources['camera'].history == (0.1, 0.2)
    collector.status(status(incarnation=2, header=header(11.0)), 2.0, 11.0)
    collector.stats(stats(incarnation=2, latency_mean_s=0.3), 2.0)
    view = collector.view(2.0)
    assert view.workers['robot1'].clock_offset_s == 0.0
    assert view.sources['camera'].history == (0.3,)


def test_what_is_kept_is_bounded() -> None:
    collector = Collector('/f')
    for number in range(3 * KEPT_LATENCIES):
        collector.stats(stats(latency_mean_s=float(number)), 1.0)
        collector.result(message('InferenceResult', source='camera', seq=number), 1.0)
    view = collector.view(1.0)
    assert len(view.sources['camera'].history) == KEPT_LATENCIES
    assert [item.seq for item in view.items] == list(
        range(3 * KEPT_LATENCIES - KEPT_ITEMS, 3 * KEPT_LATENCIES)
    )


def test_an_assignment_names_workers_and_tells_of_sources() -> None:
    collector = Collector('/f')
    stage = message('RouteLeg', worker='robot2', first_unit=0, last_unit=4)
    source = message(
        'SourceAssignment', source='camera', model='m', priority_class='high', weight=4.0,
        route=[stage], unit_count=4, loaded_s=0.5, solo_s=0.25,
    )  # fmt: skip
    collector.assignment(assignment(3, sources=[source], policy='pa_mdi_plus'), 1.0)
    view = collector.view(1.0)
    assert (view.epoch, view.policy, view.models) == (3, 'pa_mdi_plus', {'m': 4})
    assert view.workers['robot2'].heard_s is None
    camera = view.sources['camera']
    assert (camera.model, camera.weight, camera.route) == ('m', 4.0, (('robot2', 0, 4),))
    assert (camera.solo_s, camera.loaded_s) == (0.25, 0.5)


def test_the_class_in_force_is_the_one_heard_last() -> None:
    collector = Collector('/f')
    source = message('SourceAssignment', source='camera', priority_class='high')
    collector.stats(stats(priority_class='low'), 1.0)
    collector.assignment(assignment(1, sources=[source]), 2.0)
    assert collector.view(2.0).sources['camera'].priority_class == 'high'
    collector.stats(stats(priority_class='low'), 3.0)
    assert collector.view(3.0).sources['camera'].priority_class == 'low'


def test_an_older_assignment_counts_not_but_a_fleet_may_start_anew() -> None:
    collector = Collector('/f')
    collector.assignment(assignment(5, stamp_s=100.0), 1.0)
    collector.assignment(assignment(4, stamp_s=90.0), 2.0)
    assert collector.view(2.0).epoch == 5
    collector.assignment(assignment(6, stamp_s=80.0), 3.0)  # the allocator's new machine is slow
    assert collector.view(3.0).epoch == 6
    collector.assignment(assignment(1, stamp_s=200.0), 4.0)
    assert collector.view(4.0).epoch == 1


def test_without_an_assignment_the_workers_tell_the_epoch() -> None:
    collector = Collector('/f')
    collector.status(status(epoch=9), 1.0)
    assert collector.view(1.0).epoch == 9


def test_who_is_silent_and_named_nowhere_is_forgotten() -> None:
    collector = Collector('/f')
    collector.status(status('robot1'), 1.0)
    collector.status(status('robot2'), 1.0)
    part = message('Placement', worker='robot2', model='m', last_unit=1)
    collector.assignment(assignment(1, placements=[part]), 1.0)
    assert set(collector.view(1.0 + FORGET_S).workers) == {'robot1', 'robot2'}
    assert set(collector.view(1.1 + FORGET_S).workers) == {'robot2'}


def test_an_item_has_its_hops_and_tells_the_home() -> None:
    collector = Collector('/f')
    hop = message(
        'Hop', worker='robot1', first_unit=0, last_unit=2,
        queue_s=0.1, compute_s=0.2, transfer_s=0.3, bytes_in=4,
    )  # fmt: skip
    collector.stats(stats(), 1.0)
    collector.result(
        message(
            'InferenceResult', source='camera', seq=1, hops=[hop], latency_s=0.6,
            class_ids=[3], scores=[0.876], labels=['cat'],
        ),
        1.0,
    )  # fmt: skip
    view = collector.view(1.0)
    (item,) = view.items
    assert item.answer == 'cat (88 %)'
    assert item.stays == (
        HopView(
            worker='robot1', first=0, last=2, transfer_s=0.3, queue_s=0.1, compute_s=0.2,
            bytes_in=4,
        ),
    )  # fmt: skip
    assert view.sources['camera'].worker == 'robot1'


def test_diagnostics_give_alerts_the_plan_and_homes() -> None:
    collector = Collector('/f')
    collector.stats(stats(), 1.0)
    collector.diagnostics(
        diagnostics(
            diagnostic('/f: allocator', policy='pa_mdi_plus', epoch='2'),
            diagnostic('/f: source camera', 1, 'no publisher', 'robot1'),
            diagnostic('/other: worker robot9', 2, 'not ours'),
            diagnostic('/f2: worker robot9', 2, 'not ours'),
        ),
        1.0,
    )
    view = collector.view(2.0)
    assert view.plan == {'policy': 'pa_mdi_plus', 'epoch': '2'}
    assert view.sources['camera'].worker == 'robot1'
    (alert,) = view.alerts
    assert (alert.name, alert.level, alert.since_s) == ('source camera', Level.WARN, 1.0)
