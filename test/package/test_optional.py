# SPDX-License-Identifier: Apache-2.0
"""Optional halves are optional: who misses a library is told the remedy, all others start."""

from __future__ import annotations

import ast
import json
from pathlib import Path
import re
import subprocess
import sys

from pamdi_ros.optional import explain, REMEDIES, require, TOOLS_LEFT_OUT
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'pamdi_ros'
DEMO = str(ROOT / 'config' / 'demo.yaml')
PATIENCE_S = 300.0

#: Libraries of what shows things, and the only places of the package that import them.
SHOWS = {
    'matplotlib': {'cli', 'experiments'},
    'networkx': {'monitor/arrangement.py'},
    'plotly': {'report'},
    'rich': {'cli'},
    'rosbags': {'recording'},
    'skimage': {'demo', 'models/engines/onnx_export.py'},
}
#: Libraries that a program loads at its start.
FILES = {'jsonschema', 'numpy', 'yaml'}
LOADS = {
    'executor.executor_node': {*FILES, 'filelock', 'psutil'},
    'executor.engine': {
        *FILES, 'cv2', 'cv_bridge', 'filelock', 'PIL', 'psutil', 'safetensors',
    },
    'allocator.allocator_node': {*FILES, 'scipy'},
    'monitor.monitor_node': FILES,
}  # fmt: skip
OUT = ['--out', '{out}']
BASELINES = ['experiment', 'baselines', '--quick', *OUT]
#: Commands that stop at once without a library.
STOPS = {
    'rich': [
        ['plan', DEMO], ['simulate', DEMO], ['up', DEMO], ['demo', *OUT], ['doctor', DEMO],
        ['top', DEMO], ['profile', 'resnet18'], BASELINES,
    ],
    'matplotlib': [
        ['plan', DEMO, '--plot', '{out}.png'], ['simulate', DEMO, '--plot', '{out}'],
        ['demo', *OUT], BASELINES,
    ],
    'plotly': [['report', '{out}']],
    'rosbags': [['report', '{bag}']],
    'skimage': [['demo', *OUT]],
    'cv2': [['demo', *OUT]],
    'rclpy': [['top', DEMO]],
    'torch': [['profile', 'resnet18', '--device', 'cpu']],
    'pamdi_ros.demo': [['demo', *OUT]],
    'pamdi_ros.experiments': [BASELINES],
    'pamdi_ros.testbed': [BASELINES],
}  # fmt: skip
#: Programs of scripts/ that need a library when they start.
PROGRAMS = [
    ('skimage', 'pamdi_ros.demo.sensor_node'),
    ('pamdi_ros.demo', 'pamdi_ros.demo.sensor_node'),
    ('scipy', 'pamdi_ros.nodes.allocator.allocator_node'),
    ('psutil', 'pamdi_ros.nodes.executor.executor_node'),
    ('rclpy', 'pamdi_ros.nodes.monitor.monitor_node'),
    ('rclpy', 'pamdi_ros.examples.stop_on_sight'),
    ('yaml', 'pamdi_ros.cli.main'),
]

ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if f'{name}.'.startswith(f'{sys.argv[1]}.'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Absent())
"""


def without(library: str, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that cannot find a library; ``words`` are its sys.argv[2:]."""
    return subprocess.run(
        [sys.executable, '-c', ABSENT + code, library, *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def imported(path: Path) -> set[str]:
    """Top-level modules that a file imports, for the type checker only or not."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or '').split('.')[0])
    return names


def test_only_what_shows_things_imports_what_shows_things() -> None:
    wrong = [
        f'{place}: {name}'
        for path in PACKAGE.rglob('*.py')
        for place in (path.relative_to(PACKAGE).as_posix(),)
        for name in imported(path) & set(SHOWS)
        if not any(place == room or place.startswith(f'{room}/') for room in SHOWS[name])
    ]
    assert not wrong, '\n'.join(wrong)


def test_every_library_has_a_remedy() -> None:
    known = {name.split('.')[0] for name in REMEDIES} | sys.stdlib_module_names | {'pamdi_ros'}
    # of ROS what comes with rclpy, and what rqt and the example look for themselves
    known |= {'builtin_interfaces', 'nav2_msgs', 'rqt_gui', 'rqt_gui_py'}
    unknown = [
        f'{path.relative_to(ROOT)}: {name}'
        for path in PACKAGE.rglob('*.py')
        for name in imported(path) - known
    ]
    assert not unknown, '\n'.join(unknown)


@pytest.mark.parametrize('module', LOADS)
def test_what_a_node_loads(module: str) -> None:
    code = f'import sys, pamdi_ros.nodes.{module}\nprint(*sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    loaded = {name.split('.')[0] for name in done.stdout.split()}
    libraries = {name for name in REMEDIES if REMEDIES[name] != REMEDIES['rclpy']}
    assert loaded & libraries <= LOADS[module]


@pytest.mark.parametrize('library', SHOWS)
def test_nodes_launch_files_and_check_start_without(library: str) -> None:
    code = """
import importlib
for name in ('executor.executor_node', 'allocator.allocator_node', 'monitor.monitor_node'):
    importlib.import_module(f'pamdi_ros.nodes.{name}')
import pamdi_ros.launch_nodes
from pamdi_ros.cli.main import build_parser, main
build_parser()
sys.exit(main(['check', sys.argv[2]]))
"""
    done = without(library, code, DEMO)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('library', STOPS)
def test_commands_tell_the_remedy(library: str, tmp_path: Path) -> None:
    code = """
import json
from pamdi_ros.cli.main import main
for words in json.loads(sys.argv[2]):
    print(words[0], main(words), file=sys.stderr)
"""
    (tmp_path / 'bag').mkdir()
    (tmp_path / 'bag' / 'metadata.yaml').touch()
    places = {'out': tmp_path / 'out', 'bag': tmp_path / 'bag'}
    commands = [[word.format(**places) for word in words] for words in STOPS[library]]
    done = without(library, code, json.dumps(commands))
    assert 'Traceback' not in done.stderr
    told = done.stderr.splitlines()
    assert told[1::2] == [f'{name} 1' for name, *_ in commands], done.stderr
    for line in told[::2]:
        assert library in line and line.endswith(REMEDIES[library])


@pytest.mark.parametrize(('library', 'module'), PROGRAMS)
def test_a_program_tells_the_remedy(library: str, module: str) -> None:
    code = 'from pamdi_ros.optional import run_program\nrun_program(sys.argv[2])\n'
    done = without(library, code, module)
    assert done.returncode == 1
    assert REMEDIES[library] in done.stderr
    assert 'Traceback' not in done.stderr


def test_an_executor_that_cannot_compute_tells_the_remedy() -> None:
    code = """
from pamdi_ros.fleet import load_fleet
from pamdi_ros.nodes.conversions.answer_tensors import CannotCompute
from pamdi_ros.nodes.executor.executor_node import make_engine
fleet = load_fleet(sys.argv[2])
try:
    make_engine(fleet, next(iter(fleet.workers)))
except CannotCompute as error:
    print(error)
"""
    done = without('safetensors', code, DEMO)
    assert REMEDIES['safetensors'] in done.stdout, done.stderr


def test_a_mistake_of_ours_stays_one() -> None:
    with pytest.raises(ModuleNotFoundError, match='no_such_module'):
        require('yaml', 'no_such_module')
    mistake = ModuleNotFoundError('none', name='pamdi_ros.no_such_module')
    with pytest.raises(ModuleNotFoundError) as raised:
        explain(mistake)
    assert raised.value is mistake


def test_what_a_build_leaves_out_has_a_remedy() -> None:
    cmake = (ROOT / 'CMakeLists.txt').read_text(encoding='utf-8')
    found = re.search(r'list\(APPEND pamdi_left_out ([\w ]+)\)', cmake)
    assert found is not None
    rooms = {f'pamdi_ros.{room}' for room in found.group(1).split()}
    assert rooms == {name for name, remedy in REMEDIES.items() if remedy == TOOLS_LEFT_OUT}


def test_extras_and_requirements_name_the_same() -> None:
    """A workspace (requirements/) has all that the extras of setup.py name, and no more."""
    text = (ROOT / 'setup.py').read_text(encoding='utf-8')
    call = next(
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'setup'
    )
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    extras = ast.literal_eval(given['extras_require'])
    named = {*ast.literal_eval(given['install_requires'])}.union(*extras.values())
    wanted = set()
    for name in ('base', 'torch'):
        for line in (ROOT / 'requirements' / f'{name}.txt').read_text('utf-8').splitlines():
            if (found := re.match(r'[\w-]+', line)) is not None:
                wanted.add(found.group().lower())
    assert named == wanted - {'cv-bridge'}  # comes with ROS 2
