# SPDX-License-Identifier: Apache-2.0
"""The command line: ``pamdi check`` and its sisters, one module a command."""
