# SPDX-License-Identifier: Apache-2.0
"""Bytes and custody: what leaves, what comes in, what is kept until an item has ended."""
