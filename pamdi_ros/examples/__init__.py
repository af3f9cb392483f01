# SPDX-License-Identifier: Apache-2.0
"""Nodes that show how a robot's software acts on a fleet's answers."""
