# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of a machine's facts: OK, WARN and FAIL of each check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pamdi_ros.doctor.board import parse_power_mode
from pamdi_ros.doctor.compute import check_compute
from pamdi_ros.doctor.discovery import check_discovery, spans_hosts
from pamdi_ros.doctor.finding import Finding, Verdict, worst
from pamdi_ros.doctor.host_facts import (
    BoardFacts,
    HostFacts,
    InterfaceFacts,
    KernelFacts,
    ProfileFacts,
    SharedMemoryFacts,
    TorchFacts,
)
from pamdi_ros.doctor.kernel import check_kernel
from pamdi_ros.doctor.middleware import check_middleware
from pamdi_ros.fleet import Worker
import pytest

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL
KERNEL = KernelFacts(
    rmem_max=4_194_304, wmem_max=4_194_304, ipfrag_time_s=3, ipfrag_high_thresh=134_217_728
)
ETHERNET = InterfaceFacts(name='eth0', loopback=False, heard_itself=True)
DEAF = InterfaceFacts(name='wlan0', loopback=False, heard_itself=False, problem='not permitted')
LOOPBACK = InterfaceFacts(name='lo', loopback=True, heard_itself=True)
PROFILE = ProfileFacts(
    variable='FASTRTPS_DEFAULT_PROFILES_FILE',
    path='/etc/dds.xml',
    receive_buffer=4_194_304,
    send_buffer=4_194_304,
    segment=33_554_432,
)
ROOMY = SharedMemoryFacts(total=8_000_000_000, free=7_000_000_000)
HOST = HostFacts(
    name='robot1',
    kernel=KERNEL,
    interfaces=(LOOPBACK, ETHERNET),
    profiles=(PROFILE,),
    shared_memory=ROOMY,
)


def only(findings: Iterable[Finding], check: str) -> Finding:
    """Return the one finding of a check; whatever is not well has a remedy."""
    found = list(findings)
    assert all(bool(finding.remedy) == (finding.verdict is not OK) for finding in found)
    (finding,) = [finding for finding in found if finding.check == check]
    return finding


@pytest.mark.parametrize(
    ('rmem_max', 'spans', 'verdict'),
    [
        (4_194_304, True, OK),
        (2_000_000, True, WARN),
        (212_992, False, WARN),
        (212_992, True, FAIL),
        (None, True, WARN),
    ],
)
def test_kernel_buffers(rmem_max: int | None, spans: bool, verdict: Verdict) -> None:
    finding = only(check_kernel(replace(KERNEL, rmem_max=rmem_max), spans), 'kernel buffers')
    assert finding.verdict is verdict
    assert verdict is OK or 'rmem_max' in finding.remedy


@pytest.mark.parametrize(
    ('time_s', 'thresh', 'spans', 'verdict'),
    [
        (3, 134_217_728, True, OK),
        (30, 134_217_728, True, WARN),
        (3, 4_194_304, True, WARN),
        (30, 262_144, False, WARN),
        (30, 262_144, True, FAIL),
        (None, None, True, WARN),
    ],
)
def test_ip_fragments(
    time_s: int | None, thresh: int | None, spans: bool, verdict: Verdict
) -> None:
    kernel = replace(KERNEL, ipfrag_time_s=time_s, ipfrag_high_thresh=thresh)
    assert only(check_kernel(kernel, spans), 'IP fragments').verdict is verdict


@pytest.mark.parametrize(
    ('text', 'verdict'),
    [(None, OK), ('', OK), ('7', OK), ('220', OK), ('150', WARN), ('233', FAIL), ('-1', FAIL),
     ('seven', FAIL)],
)  # fmt: skip
def test_domain(text: str | None, verdict: Verdict) -> None:
    environment = {} if text is None else {'ROS_DOMAIN_ID': text}
    finding = only(check_discovery(replace(HOST, environment=environment)), 'ROS domain')
    assert finding.verdict is verdict


@pytest.mark.parametrize(
    ('environment', 'verdict'),
    [
        ({}, OK),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'subnet'}, OK),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}, WARN),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_STATIC_PEERS': 'a;b'}, OK),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF'}, FAIL),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF', 'ROS_STATIC_PEERS': 'a'}, OK),
        ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'everywhere'}, FAIL),
        ({'ROS_LOCALHOST_ONLY': '1'}, WARN),
        ({'ROS_DISTRO': 'humble'}, OK),
        ({'ROS_DISTRO': 'humble', 'ROS_STATIC_PEERS': 'a'}, WARN),
    ],
)
def test_range(environment: dict[str, str], verdict: Verdict) -> None:
    finding = only(check_discovery(replace(HOST, environment=environment)), 'discovery range')
    assert finding.verdict is verdict


@pytest.mark.parametrize(
    ('resolved', 'verdict'),
    [
        ({'a': True, 'b': True}, OK),
        ({'a': True, 'b': False}, WARN),
        ({'a': False, 'b': False}, FAIL),
    ],
)
def test_static_peers(resolved: dict[str, bool], verdict: Verdict) -> None:
    host = replace(HOST, environment={'ROS_STATIC_PEERS': 'a; b;'}, resolved_peers=resolved)
    assert only(check_discovery(host), 'static peers').verdict is verdict


@pytest.mark.parametrize(
    ('server', 'super_client', 'verdict'),
    [
        ('10.0.0.1:11811', 'TRUE', OK),
        ('10.0.0.1', 'TRUE', OK),
        ('10.0.0.1:11811', '', WARN),
        ('10.0.0.1:port', 'TRUE', FAIL),
    ],
)
def test_discovery_server(server: str, super_client: str, verdict: Verdict) -> None:
    environment = {'ROS_DISCOVERY_SERVER': server, 'ROS_SUPER_CLIENT': super_client}
    host = replace(HOST, environment=environment)
    assert only(check_discovery(host), 'discovery server').verdict is verdict


@pytest.mark.parametrize(
    ('interfaces', 'environment', 'verdict'),
    [
        ((LOOPBACK, ETHERNET), {}, OK),
        ((LOOPBACK, ETHERNET, DEAF), {}, WARN),
        ((LOOPBACK,), {}, WARN),
        ((LOOPBACK, DEAF), {}, FAIL),
        ((LOOPBACK, DEAF), {'ROS_STATIC_PEERS': '10.0.0.2'}, WARN),
        ((LOOPBACK, DEAF), {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}, WARN),
    ],
)
def test_multicast(
    interfaces: tuple[InterfaceFacts, ...], environment: dict[str, str], verdict: Verdict
) -> None:
    host = replace(HOST, interfaces=interfaces, environment=environment)
    finding = only(check_discovery(host), 'multicast')
    assert finding.verdict is verdict
    assert (DEAF in interfaces) == ('wlan0 (not permitted)' in finding.message)


def test_what_spans_hosts() -> None:
    assert spans_hosts({})
    assert not spans_hosts({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'localhost'})
    assert not spans_hosts({'ROS_LOCALHOST_ONLY': '1'})
    assert spans_hosts({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF', 'ROS_STATIC_PEERS': 'x'})


@pytest.mark.parametrize(
    ('name', 'verdict'),
    [
        ('', OK),
        ('rmw_fastrtps_cpp', OK),
        ('rmw_cyclonedds_cpp', WARN),
        ('rmw_unknown_cpp', FAIL),
    ],
)
def test_middleware(name: str, verdict: Verdict) -> None:
    host = replace(
        HOST,
        environment={'RMW_IMPLEMENTATION': name},
        middlewares=('rmw_cyclonedds_cpp', 'rmw_fastrtps_cpp'),
    )
    assert only(check_middleware(host), 'middleware').verdict is verdict


@pytest.mark.parametrize(
    ('value', 'verdict'),
    [('', OK), ('DEFAULT', OK), ('SHM?max_msg_size=16MB', WARN), ('LARGE_DATA', FAIL)],
)
def test_transports(value: str, verdict: Verdict) -> None:
    host = replace(HOST, environment={'FASTDDS_BUILTIN_TRANSPORTS': value})
    assert only(check_middleware(host), 'Fast DDS transports').verdict is verdict


@pytest.mark.parametrize(
    ('profiles', 'verdict'),
    [
        ((PROFILE,), OK),
        ((), WARN),
        ((replace(PROFILE, segment=524_288),), WARN),
        ((replace(PROFILE, segment=None),), WARN),
        ((replace(PROFILE, problem='No such file or directory'),), FAIL),
    ],
)
def test_profile(profiles: tuple[ProfileFacts, ...], verdict: Verdict) -> None:
    finding = only(check_middleware(replace(HOST, profiles=profiles)), 'Fast DDS profile')
    assert finding.verdict is verdict


@pytest.mark.parametrize(
    ('memory', 'space', 'stale'),
    [
        (ROOMY, OK, OK),
        (replace(ROOMY, free=64_000_000), WARN, OK),
        (replace(ROOMY, free=10_000_000), FAIL, OK),
        (replace(ROOMY, stale=3, stale_bytes=100_000_000), OK, WARN),
        (replace(ROOMY, stale=200, stale_bytes=5_000_000_000), OK, FAIL),
        (SharedMemoryFacts(), WARN, OK),
    ],
)
def test_shared_memory(memory: SharedMemoryFacts, space: Verdict, stale: Verdict) -> None:
    host = replace(HOST, shared_memory=memory)
    assert only(check_middleware(host), 'shared memory').verdict is space
    assert only(check_middleware(host), 'stale segments').verdict is stale


CPU_TORCH = TorchFacts(version='2.4.0')
GPU_TORCH = TorchFacts(version='2.4.0', cuda_version='12.6', devices=('Orin',))
JETSON = BoardFacts(jetson='NVIDIA Jetson Orin Nano', power_mode='MAXN', clocks_locked=True)


@pytest.mark.parametrize(
    ('torch', 'board', 'devices', 'verdict'),
    [
        (CPU_TORCH, BoardFacts(), ('cpu', 'auto'), OK),
        (GPU_TORCH, JETSON, ('cuda:0',), OK),
        (TorchFacts(), BoardFacts(), (), WARN),
        (CPU_TORCH, JETSON, ('auto',), WARN),
        (TorchFacts(problem='undefined symbol'), BoardFacts(), (), WARN),
        (TorchFacts(), BoardFacts(), ('cpu',), FAIL),
        (TorchFacts(problem='undefined symbol'), BoardFacts(), ('cpu',), FAIL),
        (CPU_TORCH, BoardFacts(), ('cuda',), FAIL),
        (GPU_TORCH, JETSON, ('cuda:1',), FAIL),
    ],
)
def test_torch(
    torch: TorchFacts, board: BoardFacts, devices: tuple[str, ...], verdict: Verdict
) -> None:
    workers = [Worker(name=f'w{index}', device=device) for index, device in enumerate(devices)]
    assert only(check_compute(torch, board, workers), 'torch').verdict is verdict


@pytest.mark.parametrize(
    ('engine', 'verdict'), [('auto', OK), ('onnxruntime', OK), ('torch', FAIL)]
)
def test_onnx_runtime_computes_without_torch(engine: str, verdict: Verdict) -> None:
    worker = Worker(name='w', device='cpu', engine=engine)
    findings = check_compute(TorchFacts(), BoardFacts(), [worker], '1.20.0')
    assert only(findings, 'torch').verdict is verdict


def test_a_worker_that_skips_the_arithmetic_needs_no_torch() -> None:
    worker = Worker(name='w', device='cuda', compute='none')
    assert only(check_compute(TorchFacts(), BoardFacts(), [worker]), 'torch').verdict is WARN


@pytest.mark.parametrize(
    ('board', 'mode', 'clocks'),
    [
        (BoardFacts(), OK, None),
        (JETSON, OK, OK),
        (replace(JETSON, power_mode='15W'), WARN, OK),
        (replace(JETSON, power_mode=''), WARN, OK),
        (replace(JETSON, clocks_locked=False), OK, WARN),
    ],
)
def test_power(board: BoardFacts, mode: Verdict, clocks: Verdict | None) -> None:
    found = list(check_compute(CPU_TORCH, board, []))
    assert only(found, 'power mode').verdict is mode
    assert [finding.verdict for finding in found if finding.check == 'clocks'] == (
        [] if clocks is None else [clocks]
    )


@pytest.mark.parametrize(
    ('hottest_c', 'verdict'), [(None, OK), (60.0, OK), (88.0, WARN), (97.0, FAIL)]
)
def test_temperature(hottest_c: float | None, verdict: Verdict) -> None:
    board = BoardFacts(hottest_c=hottest_c)
    assert only(check_compute(CPU_TORCH, board, []), 'temperature').verdict is verdict


def test_what_nvpmodel_tells() -> None:
    assert parse_power_mode('NV Power Mode: MAXN\n0\n') == 'MAXN'
    assert parse_power_mode('NVPM WARN: fan mode is not set!\nNV Power Mode: MODE_15W\n2\n') == (
        'MODE_15W'
    )
    assert parse_power_mode('') == ''


def test_the_worst_counts() -> None:
    assert worst([]) is OK
    assert worst(check_kernel(replace(KERNEL, rmem_max=0), True)) is FAIL
