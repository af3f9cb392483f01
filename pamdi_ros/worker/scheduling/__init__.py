# SPDX-License-Identifier: Apache-2.0
"""What is computed next here, and how long it takes: queue, backlog, service times, health."""
