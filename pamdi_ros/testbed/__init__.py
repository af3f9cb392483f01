# SPDX-License-Identifier: Apache-2.0
"""A network of hosts on one machine: real processes, each worker in a network namespace."""
