# SPDX-License-Identifier: Apache-2.0
"""Who may import what: the layers point one way, and the core needs neither ROS nor torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'pamdi_ros'
MODULES = sorted(path for path in PACKAGE.rglob('*.py') if '__pycache__' not in path.parts)

TORCH = {'torch', 'torchvision', 'transformers', 'safetensors'}
#: Sub-packages that may import each, at the head of a module or inside a function.
MAY_IMPORT_ROS = {'nodes', 'rqt', 'demo', 'examples', 'testbed'}
MAY_IMPORT_TORCH = {'models', 'nodes'}
#: What a sub-package of the core may import of this package.
CORE = {
    'fleet': {'fleet'},
    'worker': {'fleet', 'worker'},
    'allocation': {'fleet', 'allocation', 'models.units', 'worker.plan'},
    'models': {'fleet', 'models', 'lifeline'},
    'monitor': {'fleet', 'monitor'},
    'recording': {'recording', 'monitor.view'},
    'report': {'report', 'recording', 'monitor.view'},
    # of the nodes only what needs no ROS
    'doctor': {
        'fleet',
        'worker',
        'allocation.memory',
        'models',
        'monitor',
        'doctor',
        'nodes.reach',
        'nodes.shared_memory',
    },
    'simulation': {
        'fleet',
        'worker',
        'allocation',
        'simulation',
        'models.units',
        'models.catalog',
        'lifeline',
    },
    'experiments': {
        'fleet',
        'worker',
        'allocation',
        'simulation',
        'experiments',
        'testbed',
        'models.units',
        'models.catalog',
    },
}


def room(path: Path) -> str:
    """Sub-package of a module; the module's own name when it lies at the top."""
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imports(path: Path) -> Iterator[str]:
    """Names of the modules that a file imports when it runs."""
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding='utf-8'))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test):
            pending += node.orelse  # the rest is for the type checker only
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path.name}:{node.lineno}: imports are absolute here'
            yield node.module or ''
        pending += ast.iter_child_nodes(node)


def is_ros(module: str) -> bool:
    """Tell whether an import needs a ROS installation."""
    first = module.split('.')[0]
    return (
        first.startswith(('rclpy', 'rosidl', 'ament_index', 'cv_bridge', 'builtin_interfaces'))
        or first.endswith(('_msgs', '_srvs', '_interfaces'))
        or module.startswith(('pamdi_ros.msg', 'pamdi_ros.srv'))
    )


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize('path', MODULES, ids=named)
def test_ros_stays_in_the_nodes(path: Path) -> None:
    if room(path) not in MAY_IMPORT_ROS:
        assert [name for name in imports(path) if is_ros(name)] == []


@pytest.mark.parametrize('path', MODULES, ids=named)
def test_torch_stays_in_the_models_and_nodes(path: Path) -> None:
    if room(path) not in MAY_IMPORT_TORCH:
        assert [name for name in imports(path) if name.split('.')[0] in TORCH] == []


@pytest.mark.parametrize('path', [p for p in MODULES if room(p) in CORE], ids=named)
def test_core_imports_point_one_way(path: Path) -> None:
    ours = [name.removeprefix('pamdi_ros.') for name in imports(path) if 'pamdi_ros.' in name]
    allowed = CORE[room(path)]
    strangers = [
        name for name in ours if not any(f'{name}.'.startswith(f'{place}.') for place in allowed)
    ]
    assert strangers == []


@pytest.mark.parametrize(
    'core', ['fleet', 'worker', 'allocation', 'simulation.run', 'recording', 'cli.main']
)
def test_core_loads_neither_ros_nor_torch(core: str) -> None:
    code = f'import sys, pamdi_ros.{core}; print(*sys.modules, sep="\\n")'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert f'pamdi_ros.{core}' in loaded
    assert [name for name in loaded if name.split('.')[0] in TORCH or is_ros(name)] == []
