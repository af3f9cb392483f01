# SPDX-License-Identifier: Apache-2.0
"""Control traffic on the wire: what is sent comes back equal, what cannot be is refused."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from nodes.wire_cases import FLEET
from pamdi_ros.msg import ClearToCompute, Control, ItemRelease, RequestToCompute, TaskAck
from pamdi_ros.msg import Credit as CreditMsg
from pamdi_ros.nodes.conversions.control_message import from_message, to_message
from pamdi_ros.nodes.executor.inbox import read_control
from pamdi_ros.nodes.wire import BadMessage, limits
from pamdi_ros.worker import ItemKey
from pamdi_ros.worker.control import Ack, Clearance, ControlItem, Credit, Release, Request
from pamdi_ros.worker.items.completion import MOST_TOLD
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sweep import cases

U16 = st.integers(0, 2**16 - 1)
NUMBERS = st.integers(0, limits.LARGEST_NUMBER)
SECONDS = st.floats(0, limits.LONGEST_S)
REASON = st.text(st.characters(codec='utf-8', exclude_characters='\x00'), min_size=1, max_size=20)
NUMBER = st.integers(1, limits.LARGEST_NUMBER)
KEYS = st.builds(ItemKey, st.sampled_from(['eye', 'scan']), NUMBER, NUMBER)
REQUESTS = KEYS.flatmap(
    lambda key: st.builds(
        Request, NUMBERS, st.just(key), st.just(FLEET.sources[key.source].model),
        st.integers(0, 1), U16, st.integers(0, limits.LARGEST_BYTES), SECONDS,
    )
)  # fmt: skip
CLEARANCES = st.builds(
    Clearance, NUMBERS, st.just(True), st.just(''), SECONDS, SECONDS, U16, SECONDS, SECONDS
) | st.builds(Clearance, NUMBERS, st.just(False), REASON)
ACKS = st.builds(Ack, NUMBERS, KEYS, U16, U16, st.just(True), st.just(''), SECONDS) | st.builds(
    Ack, NUMBERS, KEYS, U16, U16, st.just(False), REASON, SECONDS
)
ITEMS = REQUESTS | CLEARANCES | ACKS | st.builds(Release, KEYS) | st.builds(Credit, NUMBERS, U16)
KINDS = (Request, Clearance, Ack, Release, Credit)


@settings(max_examples=cases(200), deadline=None)
@given(st.lists(ITEMS, max_size=8))
def test_what_is_sent_comes_back_equal(items: list[ControlItem]) -> None:
    message = to_message(items, 'a', 77, FLEET)
    received = deserialize_message(serialize_message(message), Control)
    assert (received.sender, received.incarnation) == ('a', 77)
    by_kind = [item for kind in KINDS for item in items if isinstance(item, kind)]
    assert from_message(received, FLEET) == (by_kind, [])


def request(**changes: object) -> Control:
    """Return a message with one request and, as in all of these, one sound credit."""
    values = {
        'request': 1, 'source': 'eye', 'incarnation': 1, 'seq': 1, 'model': 'net',
        'priority_class': 'critical',
    }  # fmt: skip
    return with_credit(Control(requests=[RequestToCompute(**{**values, **changes})]))


def clearance(**changes: object) -> Control:
    """Return a message with one clearance."""
    return with_credit(
        Control(clearances=[ClearToCompute(**{'request': 1, 'granted': True, **changes})])
    )


def ack(**changes: object) -> Control:
    """Return a message with one ack."""
    values = {'source': 'eye', 'incarnation': 1, 'seq': 1, 'accepted': True}
    return with_credit(Control(acks=[TaskAck(**{**values, **changes})]))


def release(**changes: object) -> Control:
    """Return a message with one release."""
    values = {'source': 'eye', 'incarnation': 1, 'seq': 1}
    return with_credit(Control(releases=[ItemRelease(**{**values, **changes})]))


def with_credit(message: Control) -> Control:
    """Add a sound credit to a message of worker a."""
    message.sender, message.incarnation = 'a', 1
    message.credits = to_message([Credit(3, 4)], 'a', 1, FLEET).credits
    return message


NAN, INFINITE = float('nan'), float('inf')


@pytest.mark.parametrize(
    ('message', 'reason'),
    [
        (request(source='nose'), "unknown_source: 'nose'"),
        (request(model='seg'), "unknown_model: source eye uses 'net', not 'seg'"),
        (request(priority_class='royal'), "unknown_class: fleet duo has no class 'royal'"),
        (request(age_s=NAN), 'bad_time: age_s = nan'),
        (request(age_s=-0.5), 'bad_time: age_s = -0.5'),
        (request(seq=0), 'bad_item: eye item 0 of run 1'),
        (request(incarnation=0), 'bad_item: eye item 1 of run 0'),
        (clearance(wait_s=INFINITE), 'bad_time: wait_s = inf'),
        (clearance(service_s=-1.0), 'bad_time: service_s = -1.0'),
        (clearance(expires_s=NAN), 'bad_time: expires_s = nan'),
        (clearance(pushed_back=NAN), 'bad_number: pushed_back = nan'),
        (clearance(pushed_back=-1.0), 'bad_number: pushed_back = -1.0'),
        (request(age_s=2e6), 'bad_time: age_s = 2000000.0 is no duration of 0 to 1e+06 s'),
        (request(request=2**63), 'bad_number: request = 9223372036854775808 is not within'),
        (request(boundary_bytes=2**41), 'bad_number: boundary_bytes = 2199023255552'),
        (request(incarnation=2**63), 'bad_item: eye item 1 of run 9223372036854775808'),
        (clearance(request=2**64 - 1), 'bad_number: request = '),
        (clearance(wait_s=1.1e6), 'bad_time: wait_s = 1100000.0'),
        (clearance(pushed_back=2e12), 'bad_number: pushed_back = 2000000000000.0'),
        (ack(transfer=2**63), 'bad_number: transfer = 9223372036854775808'),
        (ack(held_s=1e300), 'bad_time: held_s = 1e+300'),
        (release(seq=2**64 - 1), 'bad_item: eye item 18446744073709551615 of run 1'),
        (ack(source=''), "unknown_source: ''"),
        (ack(held_s=-1.0), 'bad_time: held_s = -1.0'),
        (release(source='nose'), "unknown_source: 'nose'"),
        (release(seq=0), 'bad_item'),
    ],
)
def test_what_cannot_be_is_refused_and_the_rest_is_taken(message: Control, reason: str) -> None:
    items, refused = from_message(message, FLEET)
    assert items == [Credit(3, 4)]
    (error,) = refused
    assert str(error).startswith(reason)
    assert error.sender == 'a'


@pytest.mark.parametrize(
    ('credit', 'text'),
    [(CreditMsg(transfer=2**63), 'transfer = 92'), (CreditMsg(index=2**16), 'index = 65536')],
)
def test_a_credit_for_what_cannot_be_is_refused(credit: CreditMsg, text: str) -> None:
    items, (error,) = from_message(Control(sender='a', incarnation=1, credits=[credit]), FLEET)
    assert items == []
    assert str(error).startswith(f'bad_number: {text}')


@pytest.mark.parametrize(
    ('message', 'text'),
    [
        (Control(sender='a', incarnation=0), 'bad_number: incarnation = 0'),
        (Control(sender='a', incarnation=2**63), 'bad_number: incarnation = 92'),
        (
            Control(sender='a', incarnation=1, requests=[RequestToCompute()] * 65),
            'too_many_requests: 65 in one message, more than 64',
        ),
    ],
)  # fmt: skip
def test_a_message_that_cannot_be_is_refused_as_a_whole(message: Control, text: str) -> None:
    items, (error,) = from_message(message, FLEET)
    assert items == []
    assert str(error).startswith(text)
    assert error.sender == 'a'


def test_a_message_too_long_to_be_read_is_refused_with_its_sender() -> None:
    releases = [ItemRelease(source='eye', incarnation=1, seq=1)] * 1000
    data = bytes(serialize_message(Control(sender='b', incarnation=1, releases=releases)))
    with pytest.raises(BadMessage, match=r'too_large: .* 16384 are taken at most') as refused:
        read_control(data)
    assert refused.value.sender == 'b'
    few = Control(sender='b', incarnation=1, releases=releases[:MOST_TOLD])
    assert read_control(bytes(serialize_message(few))) == few


def test_what_is_estimated_beyond_all_bounds_is_told_as_the_bound() -> None:
    sent = Clearance(1, True, wait_s=INFINITE, service_s=1e9, pushed_back=1e15)
    (told,), _ = from_message(to_message([sent], 'a', 1, FLEET), FLEET)
    assert isinstance(told, Clearance)
    assert (told.wait_s, told.service_s) == (limits.LONGEST_S, limits.LONGEST_S)
    assert told.pushed_back == limits.LARGEST_WEIGHT


def test_a_refusal_without_a_reason_is_given_one() -> None:
    items, _ = from_message(clearance(granted=False), FLEET)
    assert isinstance(items[0], Clearance)
    assert items[0].reason.startswith('unexplained: ')
    items, _ = from_message(ack(accepted=False), FLEET)
    assert isinstance(items[0], Ack)
    assert items[0].reason.startswith('unexplained: ')
