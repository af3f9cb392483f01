# SPDX-License-Identifier: Apache-2.0
"""A dict that cannot be changed, for the mappings inside a frozen Fleet."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

K = TypeVar('K')
V = TypeVar('V')


class FrozenDict(dict[K, V]):
    """A read-only dict: reads at a dict's speed, pickles, copies and hashes, refuses changes.

    ``types.MappingProxyType`` would not do: it can neither be pickled (the simulator runs fleets
    in several processes) nor written as JSON.
    """

    __slots__ = ()

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError('a fleet is frozen: build a new one with dataclasses.replace')

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __copy__(self) -> FrozenDict[K, V]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenDict[K, V]:
        return self

    def __reduce__(self) -> tuple[type[FrozenDict[K, V]], tuple[dict[K, V]]]:
        return type(self), (dict(self),)


def freeze(value: object) -> object:
    """Value with its dicts as FrozenDict and its lists as tuples, all the way down."""
    if isinstance(value, dict):
        return FrozenDict({key: freeze(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    return value


def thaw(value: object) -> object:
    """Inverse of freeze: plain dicts and lists, as the fleet file has them."""
    if isinstance(value, dict):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    return value
