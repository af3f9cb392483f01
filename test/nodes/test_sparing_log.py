# SPDX-License-Identifier: Apache-2.0
"""What keeps the log readable."""

from __future__ import annotations

import logging

from pamdi_ros.nodes.sparing_log import ChangeLog, Complaints, RecordThrottle


def test_a_text_is_told_when_it_has_changed_and_not_too_often() -> None:
    log = ChangeLog(5.0)
    assert log.is_due('camera', 'waiting for b', 0.0)
    assert not log.is_due('camera', 'waiting for b', 60.0)
    assert log.is_due('camera', 'waiting for c', 60.1)
    assert not log.is_due('camera', 'waiting for d', 61.0)
    assert log.is_due('lidar', 'waiting for d', 61.0)
    assert log.is_due('camera', 'waiting for d', 65.2)


def test_what_is_over_may_be_told_again() -> None:
    log = ChangeLog(5.0)
    assert log.is_due('camera', 'waiting for b', 0.0)
    assert not log.is_due('camera', '', 1.0)
    assert not log.is_due('camera', 'waiting for b', 2.0)
    assert log.is_due('camera', 'waiting for b', 5.0)


def test_complaints_of_a_kind_are_summed_up() -> None:
    complaints = Complaints(10.0)
    assert complaints.take(['bad_task: x', 'bad_task: y', 'two_workers: b'], 0.0) == [
        'refused a message: bad_task: y (2 such messages)',
        'refused a message: two_workers: b',
    ]
    for second in range(1, 10):
        assert complaints.take(['two_workers: b'] * 10, float(second)) == []
    assert complaints.take([], 10.0) == ['refused a message: two_workers: b (90 such messages)']
    assert complaints.take([], 30.0) == []
    assert complaints.take(['no word at all'], 30.0) == ['refused a message: no word at all']


def test_a_line_of_code_that_fails_again_and_again_writes_one_record() -> None:
    throttle = RecordThrottle(3600.0)
    record = logging.makeLogRecord({'pathname': 'a.py', 'lineno': 7, 'msg': 'failed'})
    other = logging.makeLogRecord({'pathname': 'a.py', 'lineno': 8, 'msg': 'failed'})
    assert [throttle.filter(one) for one in (record, record, other)] == [True, False, True]
    at_once = RecordThrottle(0.0)
    assert at_once.filter(record) and at_once.filter(record)
