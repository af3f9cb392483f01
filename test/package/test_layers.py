# SPDX-License-Identifier: Apache-2.0
"""Who may import what: the layers point one way, and the core needs neither ROS nor torch."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
import subprocess
import sys

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
    # of the workers the assignment that it makes and the heartbeats that it hears
    'allocation': {'fleet', 'allocation', 'models.units', 'worker.plan', 'worker.control'},
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


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Names of the modules that a file imports when it runs."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
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


def strangers(wrong: Callable[[Path, str], bool]) -> list[str]:
    """Return ``module: import`` for each import of the package that should not be.

    :param wrong: tells it of a module and what that imports.
    """
    return [
        f'{named(path)}: {name}' for path in MODULES for name in imports(path) if wrong(path, name)
    ]


def test_ros_stays_in_the_nodes() -> None:
    found = strangers(lambda path, name: room(path) not in MAY_IMPORT_ROS and is_ros(name))
    assert not found, '\n'.join(found)


def test_torch_stays_in_the_models_and_nodes() -> None:
    found = strangers(
        lambda path, name: room(path) not in MAY_IMPORT_TORCH and name.split('.')[0] in TORCH
    )
    assert not found, '\n'.join(found)


def test_core_imports_point_one_way() -> None:
    def is_above(path: Path, name: str) -> bool:
        if room(path) not in CORE or 'pamdi_ros.' not in name:
            return False
        ours = name.removeprefix('pamdi_ros.')
        return not any(f'{ours}.'.startswith(f'{place}.') for place in CORE[room(path)])

    found = strangers(is_above)
    assert not found, '\n'.join(found)


def test_core_loads_neither_ros_nor_torch() -> None:
    """One process imports one room after the other and tells what each has loaded."""
    rooms = ('fleet', 'worker', 'allocation', 'simulation.run', 'recording', 'cli.main')
    code = (
        'import importlib, sys\n'
        'for room in sys.argv[1:]:\n'
        '    before = set(sys.modules)\n'
        '    importlib.import_module(f"pamdi_ros.{room}")\n'
        '    print(room, *set(sys.modules) - before)\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code, *rooms], capture_output=True, text=True, check=True
    )
    told = [line.split() for line in done.stdout.splitlines()]
    assert [room for room, *_ in told] == list(rooms)
    heavy = [
        f'{room}: {name}'
        for room, *loaded in told
        for name in loaded
        if name.split('.')[0] in TORCH or is_ros(name)
    ]
    assert not heavy, '\n'.join(heavy)


def test_who_computes_nothing_loads_no_torch() -> None:
    """It would take seconds of each start, and more memory than all the rest.

    An executor loads it with an engine that computes; ``test_losses`` looks at one that has none.
    """
    code = (
        'import sys\n'
        'from pamdi_ros.nodes import allocator_node, executor_node, monitor_node\n'
        'print(*sys.modules)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    loaded = {name.split('.')[0] for name in done.stdout.split()}
    assert 'pamdi_ros' in loaded
    assert not loaded & TORCH
