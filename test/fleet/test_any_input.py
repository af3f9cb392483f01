# SPDX-License-Identifier: Apache-2.0
"""Whatever is parsed gives a Fleet or a FleetError, never another exception."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
from pamdi_ros.fleet import config_path, Fleet, FleetError, load_fleet, parse_fleet
from sweep import cases
import yaml

GOOD: dict[str, Any] = yaml.safe_load(
    config_path('examples/jetson_warehouse.yaml').read_text(encoding='utf-8')
)
SLOW = settings(
    max_examples=cases(40),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def _words(value: object) -> set[str]:
    """Every key and text of a nested value: what a person mixes up."""
    if isinstance(value, dict):
        return set(value).union(*map(_words, value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(_words, value)) if value else set()
    return {value} if isinstance(value, str) else set()


def _paths(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Path of every entry below a nested value."""
    entries: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    below = [place for key, item in entries for place in _paths(item, (*path, key))]
    return [(*path, key) for key, _ in entries] + below


words = st.sampled_from(sorted(_words(GOOD)))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**4400, max_value=10**4401)
    | st.floats()
    | st.text(max_size=8)
    | words
    | st.dates()
    | st.binary(max_size=3)
)
keys = words | st.text(max_size=5) | st.integers() | st.none() | st.booleans()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=12,
)


def assert_parses_or_is_refused(mapping: object) -> None:
    try:
        fleet = parse_fleet(mapping)  # type: ignore[arg-type]
    except FleetError as error:
        assert error.problems
        assert str(error)
        assert all(problem.message and problem.remedy for problem in error.problems)
    else:
        assert isinstance(fleet, Fleet)


@SLOW
@given(st.dictionaries(st.sampled_from(sorted(GOOD)) | keys, values, max_size=8))
def test_random_mappings(mapping: dict[Any, Any]) -> None:
    assert_parses_or_is_refused(mapping)


@SLOW
@given(
    st.lists(st.tuples(st.sampled_from(_paths(GOOD)), values | st.just('REMOVE')), max_size=5),
)
def test_mutations_of_a_good_fleet(mutations: list[tuple[tuple[Any, ...], object]]) -> None:
    mapping = copy.deepcopy(GOOD)
    for (*above, last), value in mutations:
        entry: Any = mapping
        try:
            for key in above:
                entry = entry[key]
            if value == 'REMOVE':
                del entry[last]
            else:
                entry[last] = value
        except (LookupError, TypeError):
            continue  # an earlier mutation has removed the place
    assert_parses_or_is_refused(mapping)


@SLOW
@given(st.data())
def test_damaged_files(tmp_path: Path, data: st.DataObject) -> None:
    text = config_path('examples/jetson_warehouse.yaml').read_bytes()
    at = data.draw(st.integers(min_value=0, max_value=len(text)))
    cut = data.draw(st.integers(min_value=0, max_value=40))
    junk = data.draw(st.binary(max_size=6) | st.text(max_size=6).map(lambda t: t.encode('utf-8')))
    path = tmp_path / 'fleet.yaml'
    path.write_bytes(text[:at] + junk + text[at + cut :])
    try:
        load_fleet(path)
    except FleetError as error:
        assert str(error)


def test_a_number_beyond_bounds_anywhere_is_refused() -> None:
    beyond = (float('inf'), float('nan'), 2**70, -float('inf'), -(2**70))
    taken = []
    for path in _paths(GOOD):
        for value in beyond[: cases(3)]:
            mapping = copy.deepcopy(GOOD)
            entry: Any = mapping
            for key in path[:-1]:
                entry = entry[key]
            entry[path[-1]] = value
            try:
                parse_fleet(mapping)
            except FleetError:
                continue
            taken.append(f'{path}: {value}')
    assert not taken, '\n'.join(taken)
