# SPDX-License-Identifier: Apache-2.0
"""Ties a process's life to its parent's, by the kernel: no orphan, however the parent dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

#: Holds the id of the process whose end is a node's too; `pamdi up` sets it to its own.
PARENT_VARIABLE = 'PAMDI_PARENT'


def ask_for_signal_at_parents_death(parent: int) -> bool:
    """Have the kernel send SIGTERM to this process when its parent dies, however it dies.

    The parent is the thread that started this process: one that ends early counts as dead.

    :param parent: process id of the parent.
    :returns: False where it has died already.
    """
    if not sys.platform.startswith('linux'):
        return True
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    return os.getppid() == parent
