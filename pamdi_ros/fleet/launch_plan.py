# SPDX-License-Identifier: Apache-2.0
"""Which nodes a fleet runs, their names and parameters, for launch files and ``pamdi up``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
import json
import os
from pathlib import Path

from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.fleet.planning_threads import planning_environment
from pamdi_ros.fleet.problems import ConfigProblem, FleetError, suggestion
from pamdi_ros.fleet.resources import config_path
from pamdi_ros.fleet.types import Fleet, Source

DDS_PROFILE = 'fastdds_host.xml'
# Fast DDS reads the first up to 2.x (Jazzy), the second from 3.0 on.
DDS_PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')

#: From a node's death to its next start, as Nav2's [s].
RESPAWN_DELAY_S = 2.0

Parameter = str | bool | int


@dataclass(frozen=True, kw_only=True, slots=True)
class NodePlan:
    """One node to start.

    :param namespace: absolute, such as ``/warehouse/robot1``
    :param remappings: pairs (from, to)
    :param environment: variables to set besides the inherited ones
    :param respawn: start it again when it dies
    :param arguments: command line arguments besides names, parameters and remappings
    """

    package: str = 'pamdi_ros'
    executable: str
    name: str
    namespace: str
    parameters: Mapping[str, Parameter]
    remappings: tuple[tuple[str, str], ...] = ()
    environment: Mapping[str, str] = FrozenDict()
    respawn: bool = False
    arguments: tuple[str, ...] = ()


def fleet_prefix(fleet: Fleet, namespace: str = '') -> str:
    """Absolute namespace of a fleet's topics: ``/<launch namespace>/<fleet>``."""
    return '/'.join(['', *(token for token in namespace.split('/') if token), fleet.name])


def resolve_topic(fleet_namespace: str, source: Source) -> str:
    """Absolute topic that a source reads.

    :param fleet_namespace: see ``fleet_prefix``
    :returns: an absolute topic as it is; a relative one under the home worker's namespace
    """
    if source.topic.startswith('/'):
        return source.topic
    prefix = '/' + fleet_namespace.strip('/')
    return f'{prefix}/{source.worker}/{source.topic}'


def fleet_nodes(
    fleet: Fleet,
    *,
    fleet_file: str | os.PathLike[str],
    namespace: str = '',
    autostart: bool = True,
    use_respawn: bool = False,
    log_level: str = 'info',
    workers: Iterable[str] | None = None,
    allocator: bool = True,
    monitor: bool = False,
    monitor_parameters: str | os.PathLike[str] = '',
    remappings: Sequence[tuple[str, str]] = (),
    environ: Mapping[str, str] | None = None,
) -> tuple[NodePlan, ...]:
    """Nodes of a fleet: the allocator, one executor a worker, the monitor.

    :param fleet_file: file that the nodes read the fleet from
    :param namespace: put before the fleet's own namespace
    :param autostart: nodes configure and activate themselves
    :param use_respawn: nodes that die are started again
    :param workers: the workers to start here; None: all of them
    :param allocator: start the allocator here
    :param monitor: start the monitor here; nothing depends on it
    :param monitor_parameters: parameter file of the monitor, with thresholds; empty: the defaults
    :param remappings: pairs (from, to) for every node
    :param environ: environment the nodes inherit; None: this process's
    :raises FleetError: workers names one that the fleet does not have
    """
    chosen = tuple(fleet.workers) if workers is None else tuple(workers)
    unknown = [name for name in chosen if name not in fleet.workers]
    if unknown:
        raise FleetError(_unknown_worker(fleet, name) for name in unknown)
    prefix = fleet_prefix(fleet, namespace)
    inherited = os.environ if environ is None else environ
    environment = _dds_environment(inherited)
    planning = FrozenDict({**environment, **planning_environment(inherited)})
    parameters: dict[str, Parameter] = {
        'fleet_file': str(Path(fleet_file).expanduser().resolve()),
        'fleet_namespace': prefix,
        'autostart': autostart,
    }

    def plan(
        name: str,
        own_namespace: str,
        own_parameters: dict[str, Parameter],
        variables: Mapping[str, str] = environment,
    ) -> NodePlan:
        return NodePlan(
            executable=f'{name}_node',
            name=name,
            namespace=own_namespace,
            parameters=FrozenDict(parameters | own_parameters),
            remappings=tuple(remappings),
            environment=variables,
            respawn=use_respawn,
            arguments=('--ros-args', '--log-level', log_level),
        )

    # Several workers on one machine share its cores; one alone leaves the choice to its engine.
    threads = max(1, (os.cpu_count() or 1) // len(chosen)) if len(chosen) > 1 else 0
    nodes = [plan('allocator', prefix, {}, planning)] if allocator else []
    for name in chosen:
        own: dict[str, Parameter] = {
            'worker': name,
            'threads': fleet.workers[name].threads or threads,
        }
        nodes.append(plan('executor', f'{prefix}/{name}', own))
    if monitor:
        watching = plan('monitor', prefix, {})
        if monitor_parameters:
            path = str(Path(monitor_parameters).expanduser().resolve())
            words = (*watching.arguments, '--ros-args', '--params-file', path)
            watching = replace(watching, arguments=words)
        nodes.append(watching)
    return tuple(nodes)


def ros_arguments(node: NodePlan) -> tuple[str, ...]:
    """Command line that gives a node its name, parameters and remappings, without a launch system.

    :returns: what follows the executable on the command line
    """
    words = [*node.arguments, '--ros-args']
    words += ['-r', f'__node:={node.name}', '-r', f'__ns:={node.namespace}']
    for name, value in node.parameters.items():
        # JSON quotes texts: rcl reads a bare robot name such as "on" as a boolean.
        words += ['-p', f'{name}:={json.dumps(value, ensure_ascii=False)}']
    for origin, target in node.remappings:
        words += ['-r', f'{origin}:={target}']
    return tuple(words)


def _unknown_worker(fleet: Fleet, name: str) -> ConfigProblem:
    return ConfigProblem(
        path='workers',
        value=name,
        message=f'{name!r} is not a worker of fleet {fleet.name}',
        remedy=suggestion(name, list(fleet.workers), 'worker'),
    )


def _dds_environment(environ: Mapping[str, str]) -> FrozenDict[str, str]:
    """Our Fast DDS profile, unless the user has one or another middleware is chosen."""
    middleware = environ.get('RMW_IMPLEMENTATION', '')
    if any(environ.get(name) for name in DDS_PROFILE_VARIABLES):
        return FrozenDict()
    if middleware and 'fastrtps' not in middleware:
        return FrozenDict()
    profile = str(config_path(DDS_PROFILE))
    return FrozenDict(dict.fromkeys(DDS_PROFILE_VARIABLES, profile))
