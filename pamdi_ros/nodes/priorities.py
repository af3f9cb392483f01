# SPDX-License-Identifier: Apache-2.0
"""The allocator's parameters `priority.<source>`: the class of each source, set at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pamdi_ros.fleet import Fleet
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

PREFIX = 'priority.'


class PriorityParameters:
    """Parameters of one node for one fleet.

    :param node: has the parameters from now on.
    :param fleet: its sources get one each.
    :param initial: class by source where it is not the fleet file's; a parameter override of the
        node goes before both.
    :param changed: called soon after any of them was set.
    :ivar refusal: why none can be set now; empty: they can.
    :raises rclpy.exceptions.InvalidParameterValueException: an override names no class.
    """

    def __init__(
        self,
        node: Node,
        fleet: Fleet,
        initial: Mapping[str, str],
        changed: Callable[[], None],
    ) -> None:
        self._node = node
        self._sources = tuple(fleet.sources)
        self._classes = [priority.name for priority in fleet.priority_classes]
        self._changed = changed
        self.refusal = ''
        node.add_on_set_parameters_callback(self._judge)
        for name, source in fleet.sources.items():
            descriptor = ParameterDescriptor(
                description=f'priority class of source {name}, set at any time: '
                f'{" or ".join(self._classes)} (most urgent first)',
                additional_constraints=f'one of: {", ".join(self._classes)}',
            )
            value = initial.get(name, source.priority)
            node.declare_parameter(f'{PREFIX}{name}', value, descriptor)

    def in_force(self) -> dict[str, str]:
        """Return the class of each source as it is set now."""
        return {name: self._node.get_parameter(f'{PREFIX}{name}').value for name in self._sources}

    def adopt(self, classes: Mapping[str, str]) -> None:
        """Set the classes, by source, that another allocator had in force."""
        known = {name: classes[name] for name in self._sources if name in classes}
        self._node.set_parameters(
            [Parameter(f'{PREFIX}{name}', value=value) for name, value in known.items()]
        )

    def close(self) -> None:
        """Take the parameters away."""
        self._node.remove_on_set_parameters_callback(self._judge)
        for name in self._sources:
            if self._node.has_parameter(f'{PREFIX}{name}'):
                self._node.undeclare_parameter(f'{PREFIX}{name}')

    def _judge(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        """Refuse what is no class; what is set is followed once all who are asked agreed."""
        ours = [parameter for parameter in parameters if parameter.name.startswith(PREFIX)]
        if ours and self.refusal:
            return SetParametersResult(successful=False, reason=self.refusal)
        for parameter in ours:
            if parameter.value not in self._classes:
                return SetParametersResult(
                    successful=False,
                    reason=f'{parameter.name}: {parameter.value!r} is no priority class of this '
                    f'fleet; there are {", ".join(self._classes)}',
                )
        if ours and (executor := self._node.executor) is not None:
            executor.create_task(self._changed)
        return SetParametersResult(successful=True)
