# SPDX-License-Identifier: Apache-2.0
"""The run-time policies: small classes on the machinery that all of them share."""

from pamdi_ros.worker.routing.policies.choice import make_policy

__all__ = ['make_policy']
