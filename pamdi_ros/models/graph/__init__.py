# SPDX-License-Identifier: Apache-2.0
"""From a module to operations and units."""
