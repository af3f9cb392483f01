# SPDX-License-Identifier: Apache-2.0
"""When emulated links deliver, and that they do."""

from __future__ import annotations

from dataclasses import replace
import threading
import time

from hypothesis import given
from hypothesis import strategies as st
from nodes.wire_cases import FLEET
from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.nodes.transport.link_emulation import (
    caveat,
    EmulatedLinks,
    Interface,
)
from pamdi_ros.worker.control import control_bytes
import pytest

#: Of the small fleet's links.
S_PER_BYTE, LATENCY_S = 8 / 100e6, 0.002
PATIENCE_S = 20.0


def test_one_after_another_then_the_latency() -> None:
    interface = Interface(FLEET, 'a')
    assert interface.arrival_s('b', 12_500, 10.0) == pytest.approx(10.0 + 0.001 + 0.002)
    assert interface.arrival_s('c', 12_500, 10.0) == pytest.approx(10.0 + 0.002 + 0.002)
    assert interface.arrival_s('b', 125, 10.0005) == pytest.approx(10.00201 + 0.002)
    assert interface.arrival_s('b', 12_500, 11.0) == pytest.approx(11.003)


@given(st.lists(st.tuples(st.floats(0, 0.01), st.integers(0, 200_000)), max_size=20))
def test_the_interface_is_never_faster_than_its_bandwidth(sent: list[tuple[float, int]]) -> None:
    interface, now, total, last = Interface(FLEET, 'a'), 0.0, 0, 0.0
    for gap_s, size in sent:
        now, total = now + gap_s, total + size
        arrival_s = interface.arrival_s('b', size, now)
        assert arrival_s is not None
        assert arrival_s >= max(total, size) * S_PER_BYTE + LATENCY_S - 1e-9
        assert arrival_s >= now + size * S_PER_BYTE + LATENCY_S - 1e-9
        assert arrival_s >= last  # none overtakes
        last = arrival_s


def relayed() -> Fleet:
    """Return a fleet whose a and c have no link of their own."""
    return parse_fleet(
        {
            'fleet': 'chain',
            'priority_classes': {'normal': {'weight': 1}},
            'models': {'net': {'zoo': 'resnet18'}},
            'workers': {'a': {}, 'b': {}, 'c': {}},
            'links': {
                'pairs': [
                    {'between': ['a', 'b'], 'bandwidth_mbps': 100, 'latency_ms': 2},
                    {'between': ['b', 'c'], 'bandwidth_mbps': 50, 'latency_ms': 3},
                ]
            },
            'sources': {
                'eye': {
                    'worker': 'a', 'topic': 't', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
                    'priority': 'normal',
                }
            },
        }
    )  # fmt: skip


def test_relays_add_up_and_no_way_is_told() -> None:
    interface = Interface(relayed(), 'a')
    assert interface.arrival_s('c', 12_500, 0.0) == pytest.approx(0.001 + 0.002 + 0.002 + 0.003)
    assert interface.arrival_s('nobody', 1, 0.0) is None


def test_a_shared_medium_is_told() -> None:
    assert caveat(FLEET) == ''
    shared = replace(FLEET, links=replace(FLEET.links, shared=True))
    assert 'shared: true' in caveat(shared)


def test_control_grows_with_its_items() -> None:
    assert control_bytes(()) == 100
    assert control_bytes((1, 2)) == 220


def test_messages_arrive_in_order_and_never_early() -> None:
    links = EmulatedLinks(Interface(FLEET, 'a'), failed=lambda error: None)
    arrived: list[tuple[int, float]] = []
    done = threading.Event()

    def deliver(number: int) -> None:
        arrived.append((number, time.monotonic()))
        if number == 9:
            done.set()

    begin_s = time.monotonic()
    for number in range(10):
        assert links.send('b', 25_000, lambda number=number: deliver(number))
    assert done.wait(PATIENCE_S)
    links.close()
    assert [number for number, _ in arrived] == list(range(10))
    for number, at_s in arrived:
        assert at_s - begin_s >= 25_000 * (number + 1) * S_PER_BYTE + LATENCY_S


def test_a_failed_delivery_costs_no_other() -> None:
    failures: list[Exception] = []
    links = EmulatedLinks(Interface(FLEET, 'a'), failures.append)
    done = threading.Event()
    links.send('b', 1, lambda: [][0])
    links.send('b', 1, done.set)
    assert done.wait(PATIENCE_S)
    links.close()
    assert [type(error) for error in failures] == [IndexError]


def test_closing_ends_the_thread_at_once_and_sends_nothing_more() -> None:
    links = EmulatedLinks(Interface(FLEET, 'a'), failed=lambda error: None)
    delivered: list[int] = []
    assert links.send('b', 10**9, lambda: delivered.append(1))  # due in 80 s
    links.close()
    assert not links._thread.is_alive()
    assert not links.send('b', 1, lambda: delivered.append(2))
    assert delivered == []


def test_a_worker_out_of_reach_is_told() -> None:
    links = EmulatedLinks(Interface(relayed(), 'a'), failed=lambda error: None)
    assert not links.send('nobody', 1, lambda: None)
    links.close()
