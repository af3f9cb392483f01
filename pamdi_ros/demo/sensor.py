# SPDX-License-Identifier: Apache-2.0
"""One simulated sensor: what it publishes, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pamdi_ros.fleet import Source, TEXT_TYPE

#: A reader that is matched here may not know the writer yet: the first message waits this long.
SETTLE_S = 0.5


@dataclass(kw_only=True, slots=True)
class DemoSensor:
    """One source's publisher and what it publishes next.

    :param due_s: time of the next message; None until somebody listens
    """

    source: Source
    publisher: Any
    messages: Iterator[Any]
    gaps: Iterator[float]
    due_s: float | None = None

    def step(self, now_s: float, stamp: Any) -> None:
        """Publish what is due; begin when a subscriber is there."""
        if self.due_s is None:
            if self.is_heard():
                self.due_s = now_s + SETTLE_S
            return
        if now_s < self.due_s:
            return
        self.publish(stamp)
        # After a stall the next one comes at once, but what was missed is not made up for.
        self.due_s = max(self.due_s + next(self.gaps), now_s)

    def is_heard(self) -> bool:
        """Whether anybody subscribes."""
        return bool(self.publisher.get_subscription_count())

    def publish(self, stamp: Any) -> None:
        """Publish the next message now."""
        message = next(self.messages)
        if self.source.type != TEXT_TYPE:
            message.header.stamp = stamp
        self.publisher.publish(message)
