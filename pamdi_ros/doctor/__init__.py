# SPDX-License-Identifier: Apache-2.0
"""Is this machine, and the fleet around it, fit to run? Facts collected apart from judgement."""
