# SPDX-License-Identifier: Apache-2.0
"""The rqt plugin "PA-MDI Fleet", and a window that shows it where there is no rqt."""
