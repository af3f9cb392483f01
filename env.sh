# SPDX-License-Identifier: Apache-2.0
# source env.sh: a shell in which python, pamdi, rclpy and pamdi_ros.msg work, from any directory.
# Keeps a ROS 2 that is already sourced; bash and zsh.
_pamdi_self=${BASH_SOURCE[0]:-${(%):-%x}}
_pamdi_root=$(cd "$(dirname "$_pamdi_self")" && pwd)
_pamdi_prepend() { # VARIABLE DIRECTORY: put it first, once
  eval "_pamdi_value=\${$1:-}"
  case ":$_pamdi_value:" in
    *":$2:"*) ;;
    *) eval "export $1=\"$2\${_pamdi_value:+:\$_pamdi_value}\"" ;;
  esac
}
if [ "${PAMDI_ROOT:-}" != "$_pamdi_root" ]; then
  export PAMDI_AMENT_PREFIX_PATH=${AMENT_PREFIX_PATH:-}   # what was sourced before us
  export PAMDI_SOURCED_ROS=${ROS_DISTRO:-}
fi
export PAMDI_ROOT=$_pamdi_root
_pamdi_site=$(echo "$_pamdi_root"/.venv/lib/python3.*/site-packages)
_pamdi_version=$(basename "$(dirname "$_pamdi_site")")
_pamdi_prepend PATH "$_pamdi_root/.venv/bin"
if [ -z "${PAMDI_SOURCED_ROS}" ]; then
  export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
  _pamdi_prepend AMENT_PREFIX_PATH "$_pamdi_root/.venv"
  _pamdi_prepend CMAKE_PREFIX_PATH "$_pamdi_root/.venv"
  _pamdi_prepend LD_LIBRARY_PATH "$_pamdi_root/.venv/lib"
fi
_pamdi_prepend AMENT_PREFIX_PATH "$_pamdi_root/install/pamdi_ros"
_pamdi_prepend CMAKE_PREFIX_PATH "$_pamdi_root/install/pamdi_ros"
_pamdi_prepend LD_LIBRARY_PATH "$_pamdi_root/install/pamdi_ros/lib"
_pamdi_prepend PYTHONPATH "$_pamdi_root/install/pamdi_ros/lib/$_pamdi_version/site-packages"
_pamdi_prepend PYTHONPATH "$_pamdi_root"
_pamdi_prepend PATH "$_pamdi_root/scripts"
# Out of the box Fast DDS loses most best-effort images above 500 KB, in any node of this shell.
if [ -z "${FASTRTPS_DEFAULT_PROFILES_FILE:-}${FASTDDS_DEFAULT_PROFILES_FILE:-}" ]; then
  export FASTRTPS_DEFAULT_PROFILES_FILE=$_pamdi_root/config/fastdds_host.xml
  export FASTDDS_DEFAULT_PROFILES_FILE=$_pamdi_root/config/fastdds_host.xml
fi
unset _pamdi_self _pamdi_root _pamdi_site _pamdi_version _pamdi_value
unset -f _pamdi_prepend
