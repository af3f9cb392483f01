# SPDX-License-Identifier: Apache-2.0
"""Changes a source's priority class at run time, through the allocator's parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pamdi_ros.nodes.priorities import PREFIX
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future

#: Time that the allocator may take to be found and to answer [s].
PATIENCE_S = 3.0


@dataclass(slots=True)
class _Order:
    """A wish that has not been answered yet."""

    client: Client
    request: SetParameters.Request
    done: Callable[[str], None]
    until_s: float
    future: Future | None = field(default=None)


class PriorityClient:
    """Asks allocators; the node's executor must be spun by the same thread.

    :param node: makes the clients.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._clients: dict[str, Client] = {}
        self._orders: list[_Order] = []

    def ask(
        self, prefix: str, source: str, priority: str, done: Callable[[str], None], now: float
    ) -> None:
        """Ask for another class of a source.

        :param prefix: absolute namespace of the fleet.
        :param done: called once by :meth:`look`, with why not, or an empty text.
        :param now: monotonic [s].
        """
        service = f'{prefix}/allocator/set_parameters'
        if service not in self._clients:
            self._clients[service] = self._node.create_client(SetParameters, service)
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=priority)
        wish = Parameter(name=f'{PREFIX}{source}', value=value)
        request = SetParameters.Request(parameters=[wish])
        self._orders.append(_Order(self._clients[service], request, done, now + PATIENCE_S))

    def look(self, now: float) -> None:
        """Send what can be sent, and pass on what was answered or was waited for in vain."""
        for order in list(self._orders):
            if order.future is None and order.client.service_is_ready():
                order.future = order.client.call_async(order.request)
            if order.future is not None and order.future.done():
                self._orders.remove(order)
                order.done(_refusal(order.future))
            elif now >= order.until_s:
                self._orders.remove(order)
                order.done(
                    f'no answer from {order.client.srv_name}: does the allocator run? The fleet '
                    'runs on without it, but priorities cannot be changed'
                )


def _refusal(future: Future) -> str:
    if (error := future.exception()) is not None:
        return f'the allocator could not be asked: {error}'
    (result,) = future.result().results
    return '' if result.successful else (result.reason or 'the allocator refused')
