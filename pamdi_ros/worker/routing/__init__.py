# SPDX-License-Identifier: Apache-2.0
"""Where a task goes: options, estimates, handshake, early exits, policies."""
