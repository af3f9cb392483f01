# SPDX-License-Identifier: Apache-2.0
"""A fleet under a virtual clock: the state machines that ship, on simulated devices and links."""
