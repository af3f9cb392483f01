# SPDX-License-Identifier: Apache-2.0
"""Messages over simulated links; 1 Mbit/s makes 125 bytes a millisecond."""

from __future__ import annotations

from typing import Any

from pamdi_ros.fleet import Link
from pamdi_ros.simulation.clock import Clock
from pamdi_ros.simulation.faults import Faults
from pamdi_ros.simulation.network import SimulatedNetwork
import pytest
from simulation.worlds import fleet_of, source_of

MBIT = {'bandwidth_mbps': 1, 'latency_ms': 2}
LINE = {'pairs': [{'between': list(pair), **MBIT} for pair in ('ab', 'bc', 'cd')]}


class Wire:
    """A network whose deliveries are noted as (message, time [ms])."""

    def __init__(self, links: dict[str, Any], faults: Faults | None = None, seed: int = 0) -> None:
        self.clock = Clock()
        fleet = fleet_of(
            {name: {} for name in 'abcd'}, {'s': source_of('a', 'm', 'normal', 1)}, links=links
        )
        self.network = SimulatedNetwork(self.clock, fleet, faults or Faults(), seed)
        self.came: list[tuple[str, float]] = []

    def send(self, origin: str, target: str, size: int, name: str = '') -> bool:
        return self.network.send(origin, target, size, self._arrived, name or origin + target)

    def _arrived(self, name: str) -> None:
        self.came.append((name, round(self.clock.now * 1000, 6)))

    def run(self, until: float = 100.0) -> list[tuple[str, float]]:
        self.clock.run(until)
        return self.came


def test_a_message_takes_its_size_over_the_bandwidth_and_the_latency() -> None:
    wire = Wire({'default': MBIT})
    assert wire.send('a', 'b', 1250)
    assert wire.run() == [('ab', 12.0)]


def test_an_interface_sends_one_message_at_a_time_in_the_order_given() -> None:
    wire = Wire({'default': MBIT})
    wire.send('a', 'b', 1250, 'first')
    wire.send('a', 'c', 125, 'second')
    assert wire.run() == [('first', 12.0), ('second', 13.0)]


def test_two_directions_of_an_interface_do_not_wait_for_one_another() -> None:
    wire = Wire({'default': MBIT})
    wire.send('a', 'b', 1250)
    wire.send('b', 'a', 1250)
    assert wire.run() == [('ab', 12.0), ('ba', 12.0)]


def test_what_comes_from_two_senders_at_once_is_received_one_after_the_other() -> None:
    wire = Wire({'default': MBIT})
    wire.send('a', 'c', 1250)
    wire.send('b', 'c', 1250)
    assert wire.run() == [('ac', 12.0), ('bc', 22.0)]


def test_a_long_queue_at_one_sender_does_not_hold_up_another_sender() -> None:
    wire = Wire({'default': MBIT})
    for _ in range(3):
        wire.send('a', 'b', 12_500)
    wire.send('a', 'c', 1250, 'late')
    wire.send('d', 'c', 1250, 'soon')
    assert ('soon', 12.0) in wire.run()
    assert ('late', 312.0) in wire.came


def test_a_shared_medium_carries_one_message_of_the_fleet_at_a_time() -> None:
    wire = Wire({'default': {**MBIT, 'shared': True}})
    wire.send('a', 'b', 1250)
    wire.send('b', 'a', 1250)
    wire.send('c', 'd', 1250)
    assert wire.run() == [('ab', 12.0), ('ba', 22.0), ('cd', 32.0)]


def test_relays_store_and_forward_and_their_interfaces_are_busy_with_it() -> None:
    wire = Wire(LINE)
    assert wire.send('a', 'c', 1250)
    wire.clock.run(0.0121)
    assert wire.send('b', 'c', 125)
    assert wire.run() == [('ac', 24.0), ('bc', 25.0)]


def test_no_way_is_told() -> None:
    wire = Wire(LINE)
    wire.network.change(frozenset('bc'), None)
    assert not wire.send('a', 'c', 100)
    assert not wire.network.reaches('a', 'c')
    assert wire.network.reaches('a', 'b')


def test_a_link_may_change_and_be_cut_while_the_fleet_runs() -> None:
    wire = Wire(LINE)
    pair = frozenset('ab')
    wire.network.change(pair, Link(bandwidth_bytes_per_s=1_250_000.0, latency_s=0.0))
    wire.send('a', 'b', 1250)
    assert wire.run() == [('ab', 1.0)]
    wire.network.change(pair, None)
    assert not wire.send('a', 'b', 1250)


def test_a_split_lets_nothing_pass_between_the_halves_until_it_heals() -> None:
    wire = Wire({'default': MBIT})
    wire.network.split(frozenset('ab'))
    for origin, target in ('ab', 'ac', 'ca', 'cd'):
        assert wire.send(origin, target, 125)
    assert [name for name, _ in wire.run(1.0)] == ['ab', 'cd']
    assert not wire.network.reaches('a', 'c')
    assert wire.network.cut_off('a')
    wire.network.split(frozenset())
    wire.send('a', 'c', 125)
    assert wire.run(2.0)[-1] == ('ac', 1003.0)


def test_losses_and_doubles_come_as_often_as_asked() -> None:
    wire = Wire({'default': {'bandwidth_mbps': 1000}}, Faults(loss=0.1, duplication=0.2))
    for number in range(10_000):
        wire.send('a', 'b', 100, str(number))
    came = [name for name, _ in wire.run()]
    once = set(came)
    # A message is lost and doubled independently, so a doubled one may still come once.
    assert len(once) / 10_000 == pytest.approx(1 - 0.1 * 0.8, abs=0.01)
    assert len(came) / 10_000 == pytest.approx(0.9 + 0.2, abs=0.015)


def test_delayed_messages_are_overtaken() -> None:
    wire = Wire({'default': {'bandwidth_mbps': 1000}}, Faults(delayed=0.3, delay_s=0.05))
    for number in range(200):
        wire.send('a', 'b', 1000, f'{number:03}')
    came = [name for name, _ in wire.run()]
    assert sorted(came) == [f'{number:03}' for number in range(200)]
    assert came != sorted(came)


def test_the_seed_decides_the_faults() -> None:
    faults = Faults(loss=0.3, duplication=0.3, delayed=0.3, delay_s=0.01)
    runs = []
    for seed in (1, 1, 2):
        wire = Wire({'default': MBIT}, faults, seed)
        for number in range(50):
            wire.send('a', 'b', 100, str(number))
        runs.append(wire.run())
    assert runs[0] == runs[1] != runs[2]
