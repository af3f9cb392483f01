# SPDX-License-Identifier: Apache-2.0
"""Who owns an item, and how it ends: ledger, task table, receiver, execution, completion."""
