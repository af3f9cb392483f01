# SPDX-License-Identifier: Apache-2.0
"""Reads what a Fast DDS profile file says about buffers and shared memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
import xml.etree.ElementTree as ElementTree

from pamdi_ros.doctor.host_facts import ProfileFacts
from pamdi_ros.fleet.launch_plan import DDS_PROFILE_VARIABLES


def named_profiles(environment: Mapping[str, str]) -> tuple[ProfileFacts, ...]:
    """Return the profiles that the environment names, each file once."""
    found: dict[str, ProfileFacts] = {}
    for variable in DDS_PROFILE_VARIABLES:
        path = environment.get(variable, '')
        if path and path not in found:
            found[path] = read_profile_file(variable, path)
    return tuple(found.values())


def read_profile_file(variable: str, path: str) -> ProfileFacts:
    """Read one file; what is wrong with it is told, not raised."""
    try:
        root = ElementTree.fromstring(Path(path).read_bytes())
    except OSError as error:
        return ProfileFacts(variable=variable, path=path, problem=error.strerror or str(error))
    except ElementTree.ParseError as error:
        return ProfileFacts(variable=variable, path=path, problem=f'is no XML: {error}')
    return ProfileFacts(
        variable=variable,
        path=path,
        receive_buffer=_least(root, 'UDPv4', 'receiveBufferSize'),
        send_buffer=_least(root, 'UDPv4', 'sendBufferSize'),
        segment=_least(root, 'SHM', 'segment_size'),
    )


def _least(root: ElementTree.Element, kind: str, key: str) -> int | None:
    """Least value of a setting in the transports of one kind; None where none has it."""
    values = []
    for transport in root.iter():
        if _name(transport) != 'transport_descriptor':
            continue
        settings = {_name(child): (child.text or '').strip() for child in transport}
        if settings.get('type') == kind and settings.get(key, '').isdigit():
            values.append(int(settings[key]))
    return min(values, default=None)


def _name(element: ElementTree.Element) -> str:
    """Tag without its XML namespace, which differs from version to version."""
    return element.tag.rpartition('}')[2]
