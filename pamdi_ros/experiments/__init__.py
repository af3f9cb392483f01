# SPDX-License-Identifier: Apache-2.0
"""What the claims rest on: simulated experiments, their numbers, tables and figures."""
