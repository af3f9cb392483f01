# SPDX-License-Identifier: Apache-2.0
"""Messages to records and back."""
