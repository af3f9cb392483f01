# SPDX-License-Identifier: Apache-2.0
"""Every mistake of one kind gives exactly one problem, with path, value and remedy."""

from __future__ import annotations

from typing import Any

from pamdi_ros.fleet import FleetError, MISSING, parse_fleet
import pytest

GONE = object()


def put(mapping: dict[str, Any], where: str, value: object) -> None:
    """Set the value at a path such as ``links.pairs.0.between``; GONE removes it."""
    *above, last = where.split('.')
    entry: Any = mapping
    for key in above:
        entry = entry[int(key)] if isinstance(entry, list) else entry[key]
    if value is GONE:
        del entry[last]
    elif isinstance(entry, list):
        entry[int(last)] = value
    else:
        entry[last] = value


# (where, value put there, path of the problem, words of its message, words of its remedy)
MISTAKES = [
    # schema
    ('fleet', GONE, 'fleet', 'missing', 'namespace'),
    ('fleet', 'my fleet', 'fleet', 'my fleet', 'letter'),
    ('fleet', 7, 'fleet', 'not a text', 'quotes'),
    ('worker', {}, 'worker', 'not known', "'workers'"),
    ('workers', [], 'workers', 'not a mapping', 'compute devices'),
    ('workers.robot2', None, 'workers.robot2', 'not a mapping', 'device'),
    ('workers.2nd', {}, 'workers.2nd', '2nd', 'letter'),
    ('workers.robot2.memory_gb', 4, 'workers.robot2.memory_gb', 'not known', "'memory_mb'"),
    ('workers.robot2.memory_mb', 0, 'workers.robot2.memory_mb', 'more than 0', 'MB'),
    ('workers.robot2.memory_mb', '4 GB', 'workers.robot2.memory_mb', '4 GB', 'without'),
    ('workers.robot2.device', 'gpu', 'workers.robot2.device', 'gpu', 'cuda'),
    ('workers.robot2.memory_mb', float('nan'), 'workers.robot2.memory_mb', 'finite', 'finite'),
    ('workers.robot2.memory_mb', 2**60, 'workers.robot2.memory_mb', 'too large', 'most'),
    ('policy', 'pa_mdi_plu', 'policy', 'pa_mdi_plu', "'pa_mdi_plus'"),
    ('policy', 'fastest', 'policy', 'fastest', 'pa_mdi'),
    ('policy_parameters.aging_s', None, 'policy_parameters.aging_s', 'None', 'number'),
    ('policy_parameters.agng_s', 4, 'policy_parameters.agng_s', 'not a param', "'aging_s'"),
    ('policy_parameters.x', [{}], 'policy_parameters.x', 'not a param', 'preemption'),
    ('policy_parameters.rtc', 1, 'policy_parameters.rtc', '1 is no bool', 'false, such as the d'),
    ('policy_parameters.aging_s', True, 'policy_parameters.aging_s', 'True', 'a number'),
    ('policy_parameters.aging_s', '4', 'policy_parameters.aging_s', "'4'", 'default, 4.0'),
    ('policy_parameters.aging_s', -4, 'policy_parameters.aging_s', 'negative', 'more than 0'),
    ('policy_parameters.aging_s', 0, 'policy_parameters.aging_s', '0', 'more than 0'),
    ('policy_parameters.asked_peers', 0, 'policy_parameters.asked_peers', '0', 'more than 0'),
    ('policy_parameters.most_credit', 9.5, 'policy_parameters.most_credit', '9.5', 'whole'),
    ('policy_parameters.ewma_weight', 2, 'policy_parameters.ewma_weight', 'more than 1', 'most 1'),
    ('policy_parameters.best_share', 1.5, 'policy_parameters.best_share', 'more than 1', 'most 1'),
    (
        'policy_parameters.most_chunk_bytes',
        100,
        'policy_parameters.most_chunk_bytes',
        'above the largest',
        'raise',
    ),
    ('policy_parameters', [4], 'policy_parameters', 'not a mapping', 'aging_s'),
    ('objective.accuracy_gain', -1, 'objective.accuracy_gain', '-1', 'ms'),
    ('priority_classes.normal.weight', GONE, 'priority_classes.normal.weight', 'missing', 'weig'),
    ('priority_classes.normal.weight', 0, 'priority_classes.normal.weight', '0', 'more than 0'),
    (
        'priority_classes.normal.qos',
        {'reliability': 'relible'},
        'priority_classes.normal.qos.reliability',
        'relible',
        "'reliable'",
    ),
    ('links.default.bandwidth_mbps', -5, 'links.default.bandwidth_mbps', '-5', 'Mbit/s'),
    ('links.default.latency_ms', -1, 'links.default.latency_ms', '-1', 'ms'),
    ('links.pairs.0.between', ['robot1'], 'links.pairs[0].between', 'fewer', 'two workers'),
    ('sources.camera.rate_hz', 0, 'sources.camera.rate_hz', '0', '1/s'),
    ('sources.camera.topic', '/a//b', 'sources.camera.topic', '/a//b', 'ROS'),
    ('sources.camera.topic', 'a\n', 'sources.camera.topic', 'control', 'line'),
    ('sources.camera.type', 'sensor_msgs/Image', 'sources.camera.type', 'known', '/msg/Image'),
    ('models.resnet50.exits.0.accuracy', 1.5, 'models.resnet50.exits[0].accuracy', '1.5', '1'),
    ('models.resnet50.input_shape', [3, 224], 'models.resnet50.input_shape', 'fewer', 'height'),
    ('models.own.factory', 'my_pkg', 'models.own.factory', 'my_pkg', 'module:function'),
    ('models.own.zoo', 'resnet18', 'models.own', 'zoo and factory', 'exactly one'),
    ('models.own.factory', GONE, 'models.own', 'none of zoo', 'exactly one'),
    ('models.resnet50.zoo', '', 'models.resnet50.zoo', 'empty', 'torchvision'),
    # classes
    ('priority_classes.normal.weight', 17, 'priority_classes.normal.weight', '17', 'falling'),
    ('priority_classes.normal.weight', 16, 'priority_classes.normal.weight', '16', 'falling'),
    (
        'priority_classes.normal.qos',
        {'deadline_ms': 11000},
        'priority_classes.normal.qos.deadline_ms',
        'after the lifespan',
        '10000',
    ),
    # models
    ('models.resnet50.tokens', 8, 'models.resnet50.tokens', 'image model', 'input_shape'),
    ('models.gpt2.input_shape', [3, 8, 8], 'models.gpt2.input_shape', 'text model', 'tokens'),
    ('models.own.tokens', 8, 'models.own.tokens', 'image model', 'one of the two'),
    ('models.own.input_shape', GONE, 'models.own', 'neither', 'input_shape'),
    ('models.gpt2.weights', 'seed:x', 'models.gpt2.weights', 'seed:x', 'seed:0'),
    ('models.resnet50.accuracy', GONE, 'models.resnet50.accuracy', 'give up', 'data set'),
    ('models.gpt2.exits', [{'unit': 3, 'accuracy': 0}], 'models.gpt2.exits', 'text', 'remove'),
    ('models.resnet50.exits.1.unit', 6, 'models.resnet50.exits[1].unit', '6', 'order'),
    # workers
    ('workers.sources', {}, 'workers.sources', 'reserved', 'sources_1'),
    ('workers.robot1.ms_per_gflop', GONE, 'workers.robot1.ms_per_gflop', 'speed', 'add'),
    ('workers.robot1.emulate', False, 'workers.robot1.compute', 'emulated', 'emulate: true'),
    # links
    ('links.pairs.0.between.1', 'robot4', 'links.pairs[0].between[1]', 'robot4', 'robot'),
    ('links.pairs.0.between.1', 'robot1', 'links.pairs[0].between', 'itself', 'different'),
    (
        'links.pairs',
        [{'between': pair, 'bandwidth_mbps': 1} for pair in (['robot1', 'robot3'],) * 2],
        'links.pairs[1].between',
        'already links.pairs[0]',
        'remove',
    ),
    ('links.default', GONE, 'links', 'robot1 + robot3 and robot2', 'default'),
    # sources
    ('sources.camera.worker', 'robt1', 'sources.camera.worker', 'robt1', "'robot1'"),
    ('sources.camera.model', 'resnet5', 'sources.camera.model', 'resnet5', "'resnet50'"),
    ('sources.camera.priority', 'urgent', 'sources.camera.priority', 'urgent', 'critical, norm'),
    ('sources.camera.load_share', 1, 'sources.camera.load_share', 'together', 'keep'),
    ('sources.camera.deadline_ms', 600, 'sources.camera.deadline_ms', 'after', '500'),
    ('sources.camera.lifespan_ms', 100, 'sources.camera.lifespan_ms', 'after', '100'),
    ('sources.camera.model', 'gpt2', 'sources.camera.model', 'image model', 'resnet50'),
    ('sources.text.model', 'own', 'sources.text.model', 'text model', 'gpt2'),
    ('sources.lidar.model', 'own', 'sources.lidar.model', '1 channels', '3 input'),
    ('models.own.input_shape.0', 4, 'sources.own.model', '4 channels', '1 or 3'),
    ('sources.text.preprocess', {}, 'sources.text.preprocess', 'only', 'remove'),
    ('sources.camera.range_image', {}, 'sources.camera.range_image', 'PointCloud2', 'remove'),
    ('sources.camera.preprocess.mode', 'resize', 'sources.camera.preprocess.resize', 'crop', 'cr'),
    ('sources.camera.preprocess.mean', [0], 'sources.camera.preprocess.mean', '1 entr', '3 num'),
    (
        'sources.lidar.range_image.fov_deg',
        [15, -15],
        'sources.lidar.range_image.fov_deg',
        'below',
        'lower',
    ),
    ('sources.text.topic', '/points', 'sources.text.type', 'same topic', 'one type'),
    # events
    ('events.1.kill', 'robot33', 'events[1].kill', 'robot33', "'robot3'"),
    ('events.1.revive', 'robot3', 'events[1]', 'kill and revive', 'exactly one'),
    ('events.1.kill', GONE, 'events[1]', 'none of kill', 'exactly one'),
    ('events.1.at_s', -1, 'events[1].at_s', '-1', 's'),
    ('events.2.set_priority', {'cam': 'normal'}, 'events[2].set_priority.cam', 'cam', 'camera'),
    ('events.2.set_priority', {'camera': 'hi'}, 'events[2].set_priority.camera', 'hi', 'normal'),
    ('events.3.set_rate', {'lidr': 2}, 'events[3].set_rate.lidr', 'lidr', "'lidar'"),
    ('events.5.set_speed', {'robt2': 2}, 'events[5].set_speed.robt2', 'robt2', "'robot2'"),
    ('events.5.set_speed', {'robot2': 0}, 'events[5].set_speed.robot2', '0', 'more than 0'),
    ('events.3.set_rate', {'lidar': 0}, 'events[3].set_rate.lidar', '0', 'more than 0'),
    ('events.0.set_link.between.0', 'x', 'events[0].set_link.between[0]', 'x', 'robot1'),
]


@pytest.mark.parametrize(
    ('where', 'value', 'path', 'message', 'remedy'),
    MISTAKES,
    ids=[f'{where}={"gone" if value is GONE else value}' for where, value, *_ in MISTAKES],
)
def test_one_mistake_gives_one_problem(
    good: dict[str, Any], where: str, value: object, path: str, message: str, remedy: str
) -> None:
    good['sources']['own'] = {
        'worker': 'robot2',
        'topic': 'grey',
        'type': 'sensor_msgs/msg/Image',
        'model': 'own',
        'priority': 'normal',
    }
    parse_fleet(good)
    put(good, where, value)
    with pytest.raises(FleetError) as caught:
        parse_fleet(good)
    assert [problem.path for problem in caught.value.problems] == [path], str(caught.value)
    problem = caught.value.problems[0]
    assert message in problem.message
    assert remedy in problem.remedy
    assert (problem.value is MISSING) == ('missing' in message or 'speed' in message)


def test_a_second_source_of_the_same_work_is_told(good: dict[str, Any]) -> None:
    good['sources']['again'] = dict(good['sources']['lidar'], worker='robot1')
    with pytest.raises(FleetError) as caught:
        parse_fleet(good)
    assert [problem.path for problem in caught.value.problems] == ['sources.again.topic']


def test_the_same_topic_may_feed_two_models(good: dict[str, Any]) -> None:
    good['sources']['again'] = dict(good['sources']['camera'], model='own')
    assert set(parse_fleet(good).sources) == {'camera', 'lidar', 'text', 'again'}


def test_a_route_may_have_several_hops(good: dict[str, Any]) -> None:
    good['links'] = {
        'pairs': [
            {'between': ['robot1', 'robot2'], 'bandwidth_mbps': 10},
            {'between': ['robot3', 'robot2'], 'bandwidth_mbps': 10},
        ]
    }
    parse_fleet(good)


def test_the_allocator_may_be_killed(good: dict[str, Any]) -> None:
    good['events'] = [{'at_s': 1, 'kill': 'allocator'}, {'at_s': 2, 'revive': 'allocator'}]
    assert parse_fleet(good).events[0].worker == 'allocator'
