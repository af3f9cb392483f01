# SPDX-License-Identifier: Apache-2.0
"""Parameters of the policy: told alike by the code, the schema and the documentation."""

from __future__ import annotations

from dataclasses import fields
import json
from pathlib import Path
import re

from pamdi_ros.fleet import config_path, parse_fleet
from pamdi_ros.fleet.checks.policy import POSITIVE
from pamdi_ros.fleet.policy import POLICIES, policy_parameters, PolicyParameters
import pytest

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'fleet_yaml.md'
FIELDS = {field.name: field.default for field in fields(PolicyParameters)}


def meanings() -> dict[str, str]:
    """What the code says of each parameter."""
    found = re.finditer(
        r':param (\w+): (.*?)(?=\n\s*:param|\Z)', PolicyParameters.__doc__ or '', re.DOTALL
    )
    return {match[1]: ' '.join(match[2].split()).rstrip('.') for match in found}


def test_every_parameter_has_a_meaning() -> None:
    assert list(meanings()) == list(FIELDS)
    assert set(FIELDS) >= POSITIVE


def test_the_schema_offers_every_parameter() -> None:
    schema = json.loads(config_path('fleet.schema.json').read_text(encoding='utf-8'))
    offered = schema['properties']['policy_parameters']['properties']
    wanted = {
        name: {'description': meaning, 'default': FIELDS[name]}
        for name, meaning in meanings().items()
    }
    assert offered == wanted


def test_the_documentation_lists_every_parameter_and_policy() -> None:
    page = PAGE.read_text(encoding='utf-8')
    section = page.split('## policy_parameters\n')[1].split('\n## ')[0]
    rows = [line for line in section.splitlines() if line.startswith('| `')]
    wanted = []
    for name, meaning in meanings().items():
        default = FIELDS[name]
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        wanted.append(f'| `{name}` | {shown} | {meaning} |')
    assert rows == wanted, 'write these rows:\n' + '\n'.join(wanted)
    for name, meaning in POLICIES.items():
        assert f'| `{name}` | {meaning} |' in page


def test_the_fleet_keeps_what_was_given() -> None:
    fleet = parse_fleet(
        {
            'fleet': 'test',
            'policy_parameters': {'aging_s': 5, 'rtc': False, 'attempts': 2},
            'priority_classes': {'only': {'weight': 1}},
            'models': {'net': {'zoo': 'resnet18'}},
            'workers': {'a': {}},
            'sources': {
                's': {
                    'worker': 'a', 'topic': 't', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
                    'priority': 'only',
                },
            },
        }
    )  # fmt: skip
    parameters = policy_parameters(fleet.policy_parameters)
    assert (parameters.aging_s, parameters.rtc, parameters.attempts) == (5.0, False, 2)
    assert parameters.lease_s == FIELDS['lease_s']


@pytest.mark.parametrize('name', FIELDS)
def test_every_default_may_be_written_down(name: str) -> None:
    assert policy_parameters({name: FIELDS[name]}) == PolicyParameters()


def test_half_of_the_peers_may_be_asked_and_a_few_in_small_fleets() -> None:
    asked = PolicyParameters().asked_among
    assert [asked(peers) for peers in (0, 2, 9, 17, 20, 99)] == [0, 2, 9, 9, 10, 50]
    assert PolicyParameters(best_peers=1, best_share=0.01).asked_among(4) == 1


def test_a_transfer_is_charged_by_its_time_on_the_wire() -> None:
    assert PolicyParameters().charge_s(0.004) == pytest.approx(0.003)
