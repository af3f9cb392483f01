# SPDX-License-Identifier: Apache-2.0
"""The placements that PA-MDI+ is compared with, and the routes that they fix."""
