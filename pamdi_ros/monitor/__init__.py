# SPDX-License-Identifier: Apache-2.0
"""Watching a fleet: what is known of it, and what is wrong with it. Needs neither ROS nor Qt."""
