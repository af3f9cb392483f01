# SPDX-License-Identifier: Apache-2.0
"""From what is heard of a fleet to its next assignment, step by step."""
