# SPDX-License-Identifier: Apache-2.0
"""The monitor, and what observes a fleet for people."""
