#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up everything `make demo` and `make test` need: .venv (real ROS 2 from wheels unless one is
# sourced, torch, the rest) and install/ (messages and package, built by colcon).
# Idempotent: what is already there, and made from the same inputs, is left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
venv=$root/.venv

if [ "${PAMDI_ROOT:-}" = "$root" ]; then
  # Called from a shell that has sourced this tree's env.sh: look at what was there before it.
  ROS_DISTRO=${PAMDI_SOURCED_ROS:-} AMENT_PREFIX_PATH=${PAMDI_AMENT_PREFIX_PATH:-}
  PATH=$(printf %s "$PATH" | tr : '\n' | grep -vxF "$venv/bin" | paste -sd:)
fi

say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
fail() { printf '[setup] ERROR: %s\n        remedy: %s\n' "$1" "$2" >&2; exit 1; }

# --- what this machine offers ------------------------------------------------------------------
[ "$(uname -s)" = Linux ] || fail "unsupported platform $(uname -s)" 'use Linux (a container will do)'
command -v cmake >/dev/null || fail 'cmake not found' 'apt-get install cmake'
{ command -v c++ || command -v g++; } >/dev/null || fail 'no C++ compiler found' 'apt-get install g++'

supported='import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'
if [ -n "${ROS_DISTRO:-}" ]; then
  python=${PYTHON:-python3}
  "$python" -c 'import rclpy' 2>/dev/null || fail \
    "ROS_DISTRO=$ROS_DISTRO is set, but $(command -v "$python") cannot import rclpy" \
    'source its setup.bash first, or unset ROS_DISTRO to use ROS 2 from wheels'
else
  [ "$(uname -m)" = x86_64 ] || fail \
    "ROS 2 wheels exist for x86_64 only, this is $(uname -m)" \
    'install ROS 2 (Humble or newer), source its setup.bash and run this again'
  python=
  for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.13 python3.10}; do
    if "$candidate" -c "$supported" 2>/dev/null; then python=$candidate; break; fi
  done
  [ -n "$python" ] || fail \
    "no Python 3.10-3.13 found (tried ${PYTHON:-python3, python3.10 to python3.13})" \
    'install one, or name it: make setup PYTHON=/path/to/python3.12'
fi
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail \
  "$python has no venv module" 'apt-get install python3-venv'

# --- the environment ---------------------------------------------------------------------------
interpreter() { # what a change of which needs a new .venv
  "$python" -c 'import sys; print(sys.version, sys.base_prefix)'
  echo "${ROS_DISTRO:-wheels}:${AMENT_PREFIX_PATH:-}"
}
have=$(interpreter)
want=$( { echo "$have"; cat requirements/*.txt scripts/*.py; } | sha256sum | cut -d' ' -f1)
if [ "$(cat "$venv/ready" 2>/dev/null)" != "$want" ]; then
  start=$SECONDS
  rm -f "$venv/ready"
  [ "$(cat "$venv/interpreter" 2>/dev/null)" = "$have" ] || rm -rf "$venv"
  pip=("$venv/bin/python" -m pip install --disable-pip-version-check --no-input)
  if [ -t 1 ]; then pip+=(--progress-bar on); else pip+=(--quiet --progress-bar off); fi
  if [ -n "${ROS_DISTRO:-}" ]; then
    say "1/3 .venv on top of the sourced ROS 2 $ROS_DISTRO ($("$python" --version))"
    "$python" -m venv --system-site-packages "$venv"
    # A venv made from a venv sees the base interpreter's packages only: add the parent's.
    "$python" -c 'import site, sys; sys.prefix != sys.base_prefix and print(*site.getsitepackages(), sep="\n")' \
      > "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/sourced_ros.pth"
    "$venv/bin/python" scripts/missing_requirements.py requirements/{build,torch,base,test}.txt \
      > "$venv/missing.txt" || fail 'the sourced Python misses a package that cannot be added safely' \
      'see the message above'
    say "2/3 installing what it lacks: $(paste -sd' ' "$venv/missing.txt" | sed 's/^$/nothing/')"
    [ ! -s "$venv/missing.txt" ] || "${pip[@]}" -r "$venv/missing.txt"
  else
    say "1/3 .venv with $("$python" --version)"
    "$python" -m venv "$venv"
    say '2/3 installing ROS 2 Jazzy, torch, torchvision and the rest (6 GB on disk; 1-3 minutes)'
    "${pip[@]}" -r requirements/ros.txt -r requirements/build.txt -r requirements/torch.txt \
      -r requirements/base.txt -r requirements/test.txt
    "$venv/bin/python" scripts/repair_wheels.py "$venv"
  fi
  echo "$have" > "$venv/interpreter"
  echo "$want" > "$venv/ready"
  rm -rf build install
  say "    done in $((SECONDS - start)) s"
fi

# --- the package -------------------------------------------------------------------------------
inputs() {
  echo "$want"
  cat msg/*.msg CMakeLists.txt package.xml
  find pamdi_ros launch config scripts -type f -not -path '*/__pycache__/*' | LC_ALL=C sort
}
built=$(inputs | sha256sum | cut -d' ' -f1)
if [ "$(cat install/.built 2>/dev/null)" != "$built" ]; then
  say '3/3 building messages and package with colcon (up to a minute)'
  start=$SECONDS
  # shellcheck disable=SC1091
  . "$root/env.sh"
  python_exe=$venv/bin/python
  log=$root/build/setup.log
  mkdir -p build
  if ! "$python_exe" -m colcon --log-base "$root/build/log" build --symlink-install \
      --base-paths "$root" --packages-select pamdi_ros --cmake-args \
      "-DPython3_EXECUTABLE=$python_exe" "-DPYTHON_EXECUTABLE=$python_exe" -DBUILD_TESTING=OFF \
      > "$log" 2>&1; then
    tail -n 40 "$log" >&2
    fail 'colcon build failed' "the log is $log"
  fi
  echo "$built" > install/.built
  say "    done in $((SECONDS - start)) s"
fi
say "ready: 'source env.sh' for a shell, 'make demo', 'make test'"
