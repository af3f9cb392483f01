# SPDX-License-Identifier: Apache-2.0
"""The threads in which the allocator plans."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import os
import sys
import threading

from pamdi_ros.nodes.planning import give_way, NICENESS
import pytest


def niceness() -> int:
    """Give that of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux knows a niceness of threads')
def test_who_plans_lets_others_go_first_and_only_that_thread_does() -> None:
    before = niceness()
    with ThreadPoolExecutor(1, 'plan', give_way) as threads:
        assert threads.submit(niceness).result() == max(NICENESS, before)
    assert niceness() == before
