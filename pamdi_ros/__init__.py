# SPDX-License-Identifier: Apache-2.0
"""Priority-aware model-distributed inference for fleets of edge robots."""

# The generated messages (pamdi_ros.msg) live in the install space under the same name: merge.
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
