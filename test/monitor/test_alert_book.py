# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from monitor.messages import diagnostic
from pamdi_ros.monitor.alert_book import AlertBook, KEPT, read_level, SILENT_S
from pamdi_ros.monitor.view import Level


def test_an_alert_stands_since_it_reached_its_level() -> None:
    book = AlertBook('/f')
    book.add(diagnostic('/f: link a b', 1, 'busy'), 1.0)
    book.add(diagnostic('/f: link a b', 1, 'very busy'), 2.0)
    (alert,) = book.alerts(2.0)
    assert (alert.name, alert.message, alert.since_s) == ('link a b', 'very busy', 1.0)
    book.add(diagnostic('/f: link a b', 2, 'cut'), 3.0)
    assert [alert.since_s for alert in book.alerts(3.0)] == [3.0]


def test_an_alert_ends_when_it_is_ok_or_silent() -> None:
    book = AlertBook('/f')
    book.add(diagnostic('/f: x', 1), 1.0)
    book.add(diagnostic('/f: y', 2), 1.0)
    book.add(diagnostic('/f: x', 0), 2.0)
    assert [alert.name for alert in book.alerts(2.0)] == ['y']
    assert book.alerts(1.1 + SILENT_S) == ()


def test_the_gravest_come_first_then_the_newest() -> None:
    book = AlertBook('/f')
    for at_s, (name, level) in enumerate((('a', 1), ('b', 2), ('c', 1))):
        book.add(diagnostic(f'/f: {name}', level), float(at_s))
    assert [alert.name for alert in book.alerts(3.0)] == ['b', 'c', 'a']


def test_levels_come_as_bytes_or_numbers() -> None:
    assert read_level(b'\x01') is Level.WARN
    assert read_level(3) is Level.STALE
    assert read_level(b'\x09') is Level.ERROR


def test_what_is_kept_is_bounded() -> None:
    book = AlertBook('/f')
    for number in range(KEPT + 10):
        book.add(diagnostic(f'/f: {number}', 1), 1.0)
    assert len(book.alerts(1.0)) == KEPT
