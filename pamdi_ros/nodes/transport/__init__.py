# SPDX-License-Identifier: Apache-2.0
"""Peers: their topics, chunks, emulated links."""
