# SPDX-License-Identifier: Apache-2.0
"""Fleets of the experiments: right, and the same from the file that is written."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from pamdi_ros.experiments import baselines
from pamdi_ros.experiments.fleets import (
    devices,
    line,
    mesh,
    Rig,
    rig,
    ring,
    scenario,
    source,
    tables_of,
)
from pamdi_ros.fleet import load_fleet, parse_fleet, PolicyParameters
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.simulation.load import loaded
import pytest


@pytest.mark.parametrize('one', baselines.rigs(), ids=lambda one: str(one.name))
def test_a_written_file_is_the_fleet(one: Rig, tmp_path: Path) -> None:
    path = one.write(tmp_path)
    assert load_fleet(path) == one.fleet
    text = path.read_text(encoding='utf-8')
    assert f'pamdi simulate {one.name}.yaml --policy all --load 0.8' in text
    assert '&id' not in text  # no YAML anchors: a person reads it


def test_the_baselines_have_what_the_question_asks_for() -> None:
    rigs = {one.name: one.fleet for one in baselines.rigs()}
    assert {len(fleet.workers) for fleet in rigs.values()} == {3, 5}
    assert {len(fleet.sources) for fleet in rigs.values()} == {2, 3}
    models = {(fleet.sources['urgent'].model, len(fleet.workers)) for fleet in rigs.values()}
    assert {model for model, _ in models} == {'resnet50', 'resnet56', 'gpt2'}
    for shape in ('mesh', 'line', 'ring'):
        assert any(name.startswith(shape) for name in rigs)


def test_real_processes_get_policy_rates_and_constants() -> None:
    one = next(one for one in baselines.rigs() if one.name == 'mesh3_three')
    fleet = replace(loaded(one.fleet, tables_of(one.fleet), 0.8), policy='ms_mdi')
    few = FrozenDict({name: fleet.sources[name] for name in ('urgent', 'text')})
    text = replace(few['text'], priority='critical')
    fleet = replace(fleet, sources=FrozenDict({**few, 'text': text}))
    before = deepcopy(one.document)
    found = parse_fleet(one.running(fleet, PolicyParameters(preemption=False)))
    assert one.document == before
    assert (found.policy, dict(found.policy_parameters)) == ('ms_mdi', {'preemption': False})
    assert list(found.sources) == ['urgent', 'text']
    for name, source_ in found.sources.items():
        assert source_.rate_hz == pytest.approx(fleet.sources[name].rate_hz)
        assert source_.load_share is None
        assert source_.priority == 'critical'


def test_topologies() -> None:
    names = ['nano1', 'nano2', 'xavier1']
    pairs = line(names, 100, 1)['pairs']
    assert [pair['between'] for pair in pairs] == [['nano1', 'nano2'], ['nano2', 'xavier1']]
    assert ring(names, 100, 1)['pairs'][-1]['between'] == ['xavier1', 'nano1']
    assert list(devices(nano=2, xavier=1)) == names
    assert mesh(100, 1) == {'default': {'bandwidth_mbps': 100, 'latency_ms': 1}}


def test_a_fleet_has_the_models_that_its_sources_name() -> None:
    sources = {'a': source('nano1', 'gpt2', 'critical', rate_hz=1)}
    one = rig('small', devices(nano=1), {}, sources)
    assert list(one.document['models']) == ['gpt2']
    assert one.fleet.sources['a'].type == 'std_msgs/msg/String'


def test_a_scenario_is_the_shipped_file(tmp_path: Path) -> None:
    one = scenario('s1', 0.9)
    assert load_fleet(one.write(tmp_path)) == one.fleet
    assert replace(one, load=None).load is None
