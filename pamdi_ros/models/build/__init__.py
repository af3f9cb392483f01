# SPDX-License-Identifier: Apache-2.0
"""From a request to a model on disk: zoo, builder process, cache, weights, profiles."""
