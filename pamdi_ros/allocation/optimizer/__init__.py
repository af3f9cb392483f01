# SPDX-License-Identifier: Apache-2.0
"""The placement and the shares of PA-MDI+: priced search, exact program."""
