# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording tell of a fleet, and whose they are, by name and type."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
import re

from pamdi_ros.recording.errors import RecordingError


class Kind(Enum):
    """What a message tells; the value is the topic below the fleet's namespace, to be recorded."""

    RESULT = 'results'
    STATS = 'sources/<source>/stats'
    STATUS = 'workers/<worker>/status'
    ASSIGNMENT = 'assignment'


#: Message type, and pattern of the topic below the fleet's namespace. The topic of one source's
#: results counts where the fleet's was not recorded.
PATTERNS = (
    (Kind.RESULT, 'InferenceResult', r'results'),
    (Kind.RESULT, 'InferenceResult', r'sources/[^/]+/result'),
    (Kind.STATS, 'SourceStats', r'sources/[^/]+/stats'),
    (Kind.STATUS, 'WorkerStatus', r'workers/[^/]+/status'),
    (Kind.ASSIGNMENT, 'Assignment', r'assignment'),
)
#: Types that only this package has: a recording with one of them is of a fleet.
OURS = 'pamdi_ros/msg/'
#: Where the copies of an assignment are that executors pass on; they tell nothing new.
COPIES = re.compile(r'.*/workers/[^/]+/assignment')


def kind_of(topic: str, message_type: str) -> tuple[str, Kind] | None:
    """Return the fleet's namespace and what the topic tells; None: nothing for a report.

    :param topic: absolute name, such as ``/demo/workers/robot1/status``.
    :param message_type: such as ``pamdi_ros/msg/WorkerStatus``.
    """
    if COPIES.fullmatch(topic):
        return None
    for kind, name, pattern in PATTERNS:
        if message_type != OURS + name:
            continue
        if found := re.fullmatch(rf'(?P<fleet>(/[^/]+)*)/{pattern}', topic):
            return found['fleet'] or '/', kind
    return None


def choose_fleet(namespaces: Iterable[str], wanted: str | None) -> str:
    """Return the namespace of the fleet to report.

    :param namespaces: of all fleets in the recording, at least one.
    :param wanted: a fleet's name or its namespace; None: the only one.
    :raises RecordingError: it is not there, or nobody said which of several.
    """
    known = sorted(set(namespaces))
    names = ', '.join(known)
    if wanted is None:
        if len(known) > 1:
            raise RecordingError(f'several fleets were recorded: {names}; choose one: --fleet F')
        return known[0]
    fitting = [
        name for name in known if wanted.strip('/') in (name.strip('/'), name.rpartition('/')[2])
    ]
    if len(fitting) > 1:
        raise RecordingError(f'{wanted} fits {", ".join(fitting)}; give the whole namespace')
    if not fitting:
        raise RecordingError(f'no fleet {wanted} was recorded, only {names}')
    return fitting[0]
