# SPDX-License-Identifier: Apache-2.0
"""A package, so that its fleet ends with it."""
