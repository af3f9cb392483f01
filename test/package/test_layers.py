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
#: What a room of the core may import of this package, besides itself.
CORE = {
    'fleet': set(),
    'assignment': set(),
    'worker': {'fleet', 'assignment'},
    # of the workers the heartbeats that it hears
    'allocation': {'fleet', 'assignment', 'models.units', 'worker.control'},
    'models': {'fleet', 'parent_death_signal'},
    'monitor': {'fleet'},
    'recording': {'monitor.view'},
    'report': {'recording', 'monitor.view'},
    'doctor': {
        'fleet', 'assignment', 'worker', 'allocation.memory', 'models', 'monitor', 'shared_memory',
    },
    'simulation': {
        'fleet', 'assignment', 'worker', 'allocation', 'models.units', 'models.build.catalog',
        'parent_death_signal',
    },
    'experiments': {
        'fleet', 'assignment', 'worker', 'allocation', 'simulation', 'testbed', 'models.units',
        'models.build.catalog',
    },
}  # fmt: skip
#: The floors inside a room, the top one first; what is not named is on the ground. A module may
#: import its own floor and those below.
FLOORS = {
    'worker': ('machine', 'items', 'routing', 'scheduling', 'transfer'),
    'allocation': ('advice', 'replanning', 'planner', 'optimizer', 'baselines'),
    'models': ('engines', 'tasks', 'build', 'graph'),
    'nodes': (
        'executor', 'allocator', 'monitor', 'transport', 'sensors', 'conversions', 'wire',
    ),
}  # fmt: skip


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
        allowed = {room(path), *CORE[room(path)]}
        return not any(f'{ours}.'.startswith(f'{place}.') for place in allowed)

    found = strangers(is_above)
    assert not found, '\n'.join(found)


def floor(module: str) -> tuple[str, int]:
    """Room of a module, and how many floors of that are above it; the ground floor is the last."""
    _, name, *inside = [*module.split('.'), '', '']
    floors = FLOORS.get(name, ())
    if not inside[0]:
        return name, -1  # the room's door: it hands on what is inside
    return name, floors.index(inside[0]) if inside[0] in floors else len(floors)


def test_floors_inside_a_room_import_downwards() -> None:
    """What is only for the type checker counts, too: a reader follows it."""
    found = []
    for module, imported in arrows().items():
        name, height = floor(module)
        for other in sorted(imported):
            other_name, other_height = floor(other)
            if name == other_name and name in FLOORS and other_height < height:
                found.append(f'{module}: {other}')
    assert not found, '\n'.join(found)


def test_every_floor_is_there() -> None:
    for name, floors in FLOORS.items():
        for inside in floors:
            place = PACKAGE / name / inside
            assert place.is_dir() or place.with_suffix('.py').is_file(), f'{name}/{inside}'


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(arrows()) == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    rooms: dict[str, set[str]] = {}
    for module, imported in arrows().items():
        here = floor(module)[0]
        rooms.setdefault(here, set()).update(floor(other)[0] for other in imported)
        rooms[here].discard(here)
    assert circles({name: frozenset(others) for name, others in rooms.items()}) == []


def test_a_circle_is_found() -> None:
    """Else the tests above could not fail."""
    three = {'a': frozenset('b'), 'b': frozenset('c'), 'c': frozenset('a'), 'd': frozenset('a')}
    assert circles(three) == [['a', 'b', 'c']]
    assert circles({'a': frozenset('b'), 'b': frozenset()}) == []


@cache
def arrows() -> dict[str, frozenset[str]]:
    """Return which modules of this package each one imports, for the type checker included."""
    modules = {dotted(path): path for path in MODULES}
    return {
        name: frozenset(_ours(path, modules)) - {name, 'pamdi_ros'}
        for name, path in modules.items()
    }


def dotted(path: Path) -> str:
    """Return the name under which a module is imported."""
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


def _ours(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                full = f'{node.module}.{alias.name}'
                yield full if full in modules else node.module


def circles(graph: dict[str, frozenset[str]]) -> list[list[str]]:
    """Return the groups that import each other, sorted."""
    groups: set[frozenset[str]] = set()
    for start in graph:
        ahead = _reached(graph, start)
        if start in ahead:
            groups.add(frozenset(one for one in ahead if start in _reached(graph, one)))
    return sorted(sorted(group) for group in groups)


def _reached(graph: dict[str, frozenset[str]], start: str) -> set[str]:
    found: set[str] = set()
    pending = [start]
    while pending:
        new = graph.get(pending.pop(), frozenset()) - found
        found |= new
        pending += new
    return found


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
        'import pamdi_ros.nodes.allocator.allocator_node\n'
        'import pamdi_ros.nodes.executor.executor_node\n'
        'import pamdi_ros.nodes.monitor.monitor_node\n'
        'print(*sys.modules)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    loaded = {name.split('.')[0] for name in done.stdout.split()}
    assert 'pamdi_ros' in loaded
    assert not loaded & TORCH
