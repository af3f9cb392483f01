# SPDX-License-Identifier: Apache-2.0
"""`source env.sh` in a made-up tree: from anywhere, twice, over another tree, over a ROS 2."""

from __future__ import annotations

from pathlib import Path
import shutil
import subprocess

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: A value with what a user may have, so that its survival can be seen.
BEFORE = {
    'PATH': '/usr/bin:/bin:/opt/mine/bin',
    'PYTHONPATH': '/opt/mine/python',
    'HOME': '/nonexistent',
}
ROS = {'ROS_DISTRO': 'kilted', 'ROS_VERSION': '2', 'AMENT_PREFIX_PATH': '/opt/ros/kilted'}


def make_tree(place: Path, ros: str = 'wheels', libraries: str = '') -> Path:
    """Lay out what env.sh looks at in a tree that has been set up."""
    for name in ('env.sh', 'scripts/paths.sh'):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place / name)
    (place / '.venv').mkdir()
    notes = {'ready': 'x', 'ros': ros, 'python': 'python3.12', 'libraries': libraries}
    for name, content in notes.items():
        (place / '.venv' / name).write_text(f'{content}\n', encoding='utf-8')
    return place


@pytest.fixture(params=['bash', 'zsh'])
def shell(request: pytest.FixtureRequest) -> str:
    """Path of a shell that env.sh must work in."""
    found = shutil.which(request.param)
    if found is None:
        pytest.skip(f'{request.param} is not installed')
    return found


def environment(shell: str, script: str, before: dict[str, str] = BEFORE) -> dict[str, str]:
    """Run a script and give the environment that it leaves behind."""
    done = subprocess.run(
        [shell, '-euc', f'{script}\nenv -0'], env=before, cwd='/', capture_output=True, check=True
    )
    assert done.stderr == b''
    values = dict(line.split('=', 1) for line in done.stdout.decode().split('\0') if line)
    for name in ('_', 'SHLVL', 'PWD', 'OLDPWD'):  # the shell's own
        values.pop(name, None)
    return values


def test_puts_this_tree_first_and_keeps_the_rest(shell: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / 'a tree')
    after = environment(shell, f'. "{tree}/env.sh"')
    assert after['PATH'].split(':')[:2] == [f'{tree}/scripts', f'{tree}/.venv/bin']
    assert after['PATH'].endswith(':/usr/bin:/bin:/opt/mine/bin')
    assert after['PYTHONPATH'].split(':') == [
        str(tree),
        f'{tree}/install/pamdi_ros/lib/python3.12/site-packages',
        '/opt/mine/python',
    ]
    assert after['AMENT_PREFIX_PATH'] == f'{tree}/install/pamdi_ros:{tree}/.venv'
    assert after['ROS_DISTRO'] == 'jazzy'


def test_twice_is_once(shell: str, tmp_path: Path) -> None:
    source = f'. "{make_tree(tmp_path / "tree")}/env.sh"'
    assert environment(shell, f'{source}\n{source}') == environment(shell, source)


def test_another_tree_leaves_without_trace(shell: str, tmp_path: Path) -> None:
    first, second = make_tree(tmp_path / 'tree'), make_tree(tmp_path / 'tree2')
    both = environment(shell, f'. "{second}/env.sh"\n. "{first}/env.sh"')
    assert both == environment(shell, f'. "{first}/env.sh"')


def test_a_sourced_ros_stays(shell: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / 'tree', ros='kilted', libraries='/opt/a.libs:/opt/b.libs')
    source = f'. "{tree}/env.sh"'
    after = environment(shell, f'{source}\n{source}', BEFORE | ROS)
    assert after['LD_LIBRARY_PATH'] == f'{tree}/install/pamdi_ros/lib:/opt/a.libs:/opt/b.libs'
    assert after['ROS_DISTRO'] == 'kilted'
    assert after['AMENT_PREFIX_PATH'] == f'{tree}/install/pamdi_ros:/opt/ros/kilted'


@pytest.mark.parametrize(
    ('ros', 'before', 'told'),
    [('wheels', BEFORE | ROS, "run 'make setup'"), ('kilted', BEFORE, 'source that one first')],
)
def test_the_wrong_ros_is_refused(
    shell: str, tmp_path: Path, ros: str, before: dict[str, str], told: str
) -> None:
    tree = make_tree(tmp_path / 'tree', ros=ros)
    command = [shell, '-uc', f'. "{tree}/env.sh" || exit 7']
    done = subprocess.run(command, env=before, capture_output=True, text=True)
    assert done.returncode == 7
    assert told in done.stderr


def test_before_the_set_up_it_says_so(shell: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / 'tree')
    (tree / '.venv' / 'ready').unlink()
    command = [shell, '-uc', f'. "{tree}/env.sh" || exit 7']
    done = subprocess.run(command, env=BEFORE, capture_output=True, text=True)
    assert done.returncode == 7
    assert f"make -C '{tree}' setup" in done.stderr


def test_a_users_fast_dds_profile_stays(shell: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / 'tree')
    before = BEFORE | {'FASTRTPS_DEFAULT_PROFILES_FILE': '/opt/mine/profile.xml'}
    after = environment(shell, f'. "{tree}/env.sh"', before)
    assert after['FASTRTPS_DEFAULT_PROFILES_FILE'] == '/opt/mine/profile.xml'
    assert 'FASTDDS_DEFAULT_PROFILES_FILE' not in after
