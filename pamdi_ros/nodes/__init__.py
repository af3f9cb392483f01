# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 nodes: partition executor, allocator, and what carries tensors between them."""
