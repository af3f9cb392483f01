# SPDX-License-Identifier: Apache-2.0
"""How the facts about a machine are collected, from files laid out as a kernel has them."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

from pamdi_ros.doctor import torch_probe
from pamdi_ros.doctor.board import look_at_board
from pamdi_ros.doctor.host import installed, kernel_limits, local_workers
from pamdi_ros.doctor.host_facts import KernelFacts, TorchFacts
from pamdi_ros.doctor.multicast import try_interfaces
from pamdi_ros.doctor.profile_file import named_profiles, read_profile_file
from pamdi_ros.fleet import fleet_nodes, load_fleet
from pamdi_ros.fleet.launch_plan import DDS_PROFILE, ros_arguments
from pamdi_ros.fleet.resources import config_path
import pytest


def lay(root: Path, **texts: str) -> Path:
    """Write files; a double underscore in a name stands for a slash."""
    for name, text in texts.items():
        path = root / name.replace('__', '/')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_kernel_limits(tmp_path: Path) -> None:
    lay(tmp_path, core__rmem_max='212992\n', core__wmem_max='4194304\n', ipv4__ipfrag_time='30\n')
    assert kernel_limits(tmp_path) == KernelFacts(
        rmem_max=212_992, wmem_max=4_194_304, ipfrag_time_s=30, ipfrag_high_thresh=None
    )


def test_our_own_profile() -> None:
    profile = read_profile_file('V', str(config_path(DDS_PROFILE)))
    assert (profile.problem, profile.receive_buffer, profile.send_buffer, profile.segment) == (
        '', 4_194_304, 4_194_304, 33_554_432
    )  # fmt: skip


def test_profiles_that_cannot_be_read(tmp_path: Path) -> None:
    lay(tmp_path, bad='<profiles>')
    (missing,) = named_profiles({'FASTDDS_DEFAULT_PROFILES_FILE': str(tmp_path / 'none')})
    assert 'No such file' in missing.problem
    (bad,) = named_profiles({'FASTRTPS_DEFAULT_PROFILES_FILE': str(tmp_path / 'bad')})
    assert 'is no XML' in bad.problem
    assert named_profiles({}) == ()


def test_a_profile_that_sets_nothing(tmp_path: Path) -> None:
    lay(tmp_path, empty='<profiles xmlns="http://example.org"/>')
    profile = read_profile_file('V', str(tmp_path / 'empty'))
    assert (profile.problem, profile.receive_buffer, profile.segment) == ('', None, None)


def test_what_is_installed() -> None:
    found = installed(['yaml', 'no_such_package', 'no_such_package.at_all', 'json'])
    assert found['yaml'] and found['no_such_package'] is found['no_such_package.at_all'] is None
    assert found['json'] == ''  # there, but of no distribution


def test_executors_are_found_by_their_command_line(tmp_path: Path) -> None:
    fleet = load_fleet(config_path('demo.yaml'))
    nodes = fleet_nodes(fleet, fleet_file='fleet.yaml', namespace='lab')
    for number, node in enumerate(nodes):
        words = ['python3', '-m', 'pamdi_ros.nodes.x', *ros_arguments(node)]
        lay(tmp_path, **{f'{100 + number}__cmdline': '\0'.join(words) + '\0'})
    lay(tmp_path, self__cmdline='x', **{'7__cmdline': ''})
    assert local_workers(tmp_path) == {(f'/lab/{fleet.name}', name) for name in fleet.workers}


def test_a_jetson(tmp_path: Path) -> None:
    lay(
        tmp_path,
        **{
            'proc__device-tree__model': 'NVIDIA Jetson Orin Nano\0',
            'sys__devices__system__cpu__cpufreq__policy0__scaling_min_freq': '1510400\n',
            'sys__devices__system__cpu__cpufreq__policy0__scaling_max_freq': '1510400\n',
            'sys__class__thermal__thermal_zone0__temp': '51500\n',
            'sys__class__thermal__thermal_zone1__temp': '-256000\n',
            'sys__class__thermal__thermal_zone2__temp': 'off\n',
        },
    )
    board = look_at_board(tmp_path)
    assert (board.jetson, board.clocks_locked, board.hottest_c) == (
        'NVIDIA Jetson Orin Nano', True, 51.5
    )  # fmt: skip
    policy = tmp_path / 'sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq'
    policy.write_text('729600\n')
    assert look_at_board(tmp_path).clocks_locked is False


def test_any_other_board(tmp_path: Path) -> None:
    board = look_at_board(tmp_path)
    assert (board.jetson, board.clocks_locked, board.hottest_c) == ('', None, None)


def test_interfaces_of_this_machine(tmp_path: Path) -> None:
    for interface in try_interfaces():
        assert interface.heard_itself == (interface.problem == '') or not interface.heard_itself
    assert try_interfaces(tmp_path) == ()


def process(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ('code', 'answer'),
    [
        (
            'print("a warning"); '
            'print(\'{"version": "2.4", "cuda_version": "12", "devices": ["Orin"]}\')',
            TorchFacts(version='2.4', cuda_version='12', devices=('Orin',)),
        ),
        ('raise ModuleNotFoundError("No module named \'torch\'")', TorchFacts()),
        (
            'raise ImportError("undefined symbol: x")',
            TorchFacts(problem='ImportError: undefined symbol: x'),
        ),
        ('import os; os._exit(3)', TorchFacts(problem='it ended with 3')),
    ],
)
def test_what_torch_answers(code: str, answer: TorchFacts) -> None:
    assert torch_probe.torchs_answer(process(code)) == answer


def test_a_torch_that_hangs_is_ended() -> None:
    hanging = process('import threading; threading.Event().wait()')
    assert 'no answer' in torch_probe.torchs_answer(hanging, patience_s=0.1).problem
    assert hanging.poll() is not None
