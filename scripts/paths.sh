# SPDX-License-Identifier: Apache-2.0
# Edits PATH and its like for env.sh and setup.sh; bash and zsh.

_pamdi_prepend() { # VARIABLE DIRECTORIES: put them first, once
  [ -n "$2" ] || return 0
  eval "_pamdi_value=\${$1:-}"
  case ":$_pamdi_value:" in
    *":$2:"*) ;;
    *) eval "export $1=\"\$2\${$1:+:\${$1}}\"" ;;
  esac
  unset _pamdi_value
}

_pamdi_remove() { # VARIABLE DIRECTORY: drop the directory and all below it
  eval "_pamdi_value=\${$1:-}"
  _pamdi_value=$(printf '%s' "$_pamdi_value" | tr ':' '\n' |
    _pamdi_gone=$2 awk 'BEGIN { gone = ENVIRON["_pamdi_gone"] }
      $0 != gone && index($0, gone "/") != 1' | paste -sd: -)
  if [ -n "$_pamdi_value" ]; then eval "export $1=\"\$_pamdi_value\""; else unset "$1"; fi
  unset _pamdi_value
}

_pamdi_leave() { # undo an env.sh: this tree's own from before, or another tree's
  [ -n "${PAMDI_ROOT:-}" ] || return 0
  for _pamdi_name in PATH PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH; do
    _pamdi_remove "$_pamdi_name" "$PAMDI_ROOT"
  done
  for _pamdi_name in FASTRTPS_DEFAULT_PROFILES_FILE FASTDDS_DEFAULT_PROFILES_FILE VIRTUAL_ENV; do
    _pamdi_remove "$_pamdi_name" "$PAMDI_ROOT"
  done
  if [ "${PAMDI_ROS:-}" = wheels ]; then unset ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION; fi
  unset PAMDI_ROOT PAMDI_ROS _pamdi_name
}
