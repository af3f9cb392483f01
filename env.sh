# SPDX-License-Identifier: Apache-2.0
# source env.sh: a shell in which python, pamdi, rclpy and pamdi_ros.msg work, from any directory.
# Keeps a ROS 2 that is already sourced; bash and zsh. Sourcing it again changes nothing.
if [ -z "${BASH_VERSION:-}${ZSH_VERSION:-}" ]; then
  echo 'env.sh: source it from bash or zsh' >&2
  return 1
fi
_pamdi_self=${BASH_SOURCE[0]:-${(%):-%x}}
_pamdi_root=$(cd "$(dirname "$_pamdi_self")" > /dev/null && pwd)
_pamdi_venv=$_pamdi_root/.venv
if [ ! -e "$_pamdi_venv/ready" ]; then
  echo "env.sh: not set up yet; run: make -C '$_pamdi_root' setup" >&2
  unset _pamdi_self _pamdi_root _pamdi_venv
  return 1
fi
. "$_pamdi_root/scripts/paths.sh"
_pamdi_leave
if [ "$(cat "$_pamdi_venv/ros")" != "${ROS_DISTRO:-wheels}" ]; then
  echo "env.sh: $_pamdi_root was set up for ROS 2 '$(cat "$_pamdi_venv/ros")', this shell has" \
    "'${ROS_DISTRO:-none}' sourced; source that one first, or run 'make setup' for this one" >&2
  unset _pamdi_self _pamdi_root _pamdi_venv
  unset -f _pamdi_prepend _pamdi_remove _pamdi_leave
  return 1
fi
export PAMDI_ROOT=$_pamdi_root PAMDI_ROS=${ROS_DISTRO:-wheels}
export VIRTUAL_ENV=$_pamdi_venv # CMake's FindPython3 looks there first
if [ "$PAMDI_ROS" = wheels ]; then
  export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
  _pamdi_prepend AMENT_PREFIX_PATH "$_pamdi_venv"
  _pamdi_prepend CMAKE_PREFIX_PATH "$_pamdi_venv"
  _pamdi_prepend LD_LIBRARY_PATH "$_pamdi_venv/lib"
fi
_pamdi_prepend LD_LIBRARY_PATH "$(cat "$_pamdi_venv/libraries")"
_pamdi_prepend AMENT_PREFIX_PATH "$_pamdi_root/install/pamdi_ros"
_pamdi_prepend CMAKE_PREFIX_PATH "$_pamdi_root/install/pamdi_ros"
_pamdi_prepend LD_LIBRARY_PATH "$_pamdi_root/install/pamdi_ros/lib"
_pamdi_prepend PYTHONPATH \
  "$_pamdi_root/install/pamdi_ros/lib/$(cat "$_pamdi_venv/python")/site-packages"
_pamdi_prepend PYTHONPATH "$_pamdi_root"
_pamdi_prepend PATH "$_pamdi_venv/bin"
_pamdi_prepend PATH "$_pamdi_root/scripts"
# Out of the box Fast DDS loses most best-effort images above 500 KB, in any node of this shell.
if [ -z "${FASTRTPS_DEFAULT_PROFILES_FILE:-}${FASTDDS_DEFAULT_PROFILES_FILE:-}" ]; then
  export FASTRTPS_DEFAULT_PROFILES_FILE=$_pamdi_root/config/fastdds_host.xml
  export FASTDDS_DEFAULT_PROFILES_FILE=$_pamdi_root/config/fastdds_host.xml
fi
unset _pamdi_self _pamdi_root _pamdi_venv
unset -f _pamdi_prepend _pamdi_remove _pamdi_leave
