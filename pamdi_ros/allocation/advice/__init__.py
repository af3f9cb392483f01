# SPDX-License-Identifier: Apache-2.0
"""What `pamdi plan` tells of a plan: predictions, what would help, what to buy."""
