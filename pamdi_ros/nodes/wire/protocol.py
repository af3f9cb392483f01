# SPDX-License-Identifier: Apache-2.0
"""Which version of the messages between workers and allocator is spoken here."""

from __future__ import annotations

from pamdi_ros.nodes.wire.cdr import BadMessage

#: Raised by one when a message keeps its fields but means something else by them, or when who
#: does not know a new field would do harm. 0 is what was spoken before there was a version.
PROTOCOL_VERSION = 1


def check_version(who: str, version: int) -> None:
    """Refuse a message of another version: nobody can tell what it means.

    :param who: sent it.
    :raises BadMessage: word ``other_version``.
    """
    if version != PROTOCOL_VERSION:
        raise BadMessage(
            'other_version',
            f'{who} speaks version {version} of the protocol, this is {PROTOCOL_VERSION}; install '
            'one version of pamdi_ros on all machines',
        )
