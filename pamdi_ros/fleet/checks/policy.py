# SPDX-License-Identifier: Apache-2.0
"""Cross-checks of the policy's parameters: known, of the right kind, and within sense."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from pamdi_ros.fleet.document import Document, table
from pamdi_ros.fleet.policy import policy_parameters, PolicyParameters
from pamdi_ros.fleet.problems import ConfigProblem, join, shown, suggestion

SECTION = 'policy_parameters'
#: What a time, a share or a count of nothing would make no sense of.
POSITIVE = frozenset(
    {
        'quantum_s', 'aging_s', 'best_peers', 'best_share', 'asked_peers', 'reconsider_period_s',
        'lease_s', 'retransmit_s', 'attempts', 'chunk_airtime_s', 'least_chunk_bytes',
        'most_chunk_bytes', 'most_credit', 'ewma_weight',
    }
)  # fmt: skip
#: Parts of a whole.
SHARES = {
    'ewma_weight': 'that the newest measurement has',
    'best_share': 'of the peers that are good enough to be asked',
}
_KINDS = {bool: 'true or false', int: 'a whole number', float: 'a number'}


def problems(document: Document) -> Iterator[ConfigProblem]:
    """Parameters that the policy cannot work with."""
    defaults = {field.name: field.default for field in fields(PolicyParameters)}
    good: dict[str, object] = {}
    for name, value in table(document.mapping.get(SECTION)).items():
        path = join(SECTION, name)
        if name not in defaults:
            yield ConfigProblem(
                path=path,
                value=value,
                message=f'{shown(name)} is not a parameter of the policy',
                remedy=suggestion(name, list(defaults), 'parameter'),
            )
            continue
        try:
            policy_parameters({name: value})
            if name in POSITIVE and not value:
                raise ValueError(f'{name}: {value} is not more than 0')
        except ValueError as error:
            kind, default = _KINDS[type(defaults[name])], _as_yaml(defaults[name])
            sign = ' more than 0' if name in POSITIVE else ''
            yield ConfigProblem(
                path=path,
                value=value,
                message=str(error).removeprefix(f'{name}: ').replace(repr(value), shown(value)),
                remedy=f'write {kind}{sign}, such as the default, {default}',
            )
        else:
            good[name] = value
    yield from _contradictions(policy_parameters(good), good)


def _contradictions(
    parameters: PolicyParameters, given: dict[str, object]
) -> Iterator[ConfigProblem]:
    """Parameters that are right each by itself, and wrong together or out of range."""
    for name, what in SHARES.items():
        share = getattr(parameters, name)
        if share > 1:
            yield ConfigProblem(
                path=join(SECTION, name),
                value=share,
                message=f'{share:g} is more than 1',
                remedy=f'write the share {what}, at most 1',
            )
    least, most = parameters.least_chunk_bytes, parameters.most_chunk_bytes
    if least > most:
        name = 'least_chunk_bytes' if 'least_chunk_bytes' in given else 'most_chunk_bytes'
        yield ConfigProblem(
            path=join(SECTION, name),
            value=given[name],
            message=f'the smallest chunk, {least} bytes, is above the largest, {most} bytes',
            remedy='lower least_chunk_bytes or raise most_chunk_bytes',
        )


def _as_yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'{value}'
