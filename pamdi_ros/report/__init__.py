# SPDX-License-Identifier: Apache-2.0
"""A recorded run as one HTML page: figures by plotly, which is inlined, so it opens offline."""
