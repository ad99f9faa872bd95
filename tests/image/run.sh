#!/usr/bin/env bash
# Proves the Dockerfile without a Docker daemon (`make image-test`; root, Debian or a relative of it).
#
#   1. builds a base image with debootstrap, and the `service` image on it with buildah;
#   2. runs that as `docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges` would: with the
#      image's own user, environment, entry point and health check, as process 1 of its own namespace;
#   3. asks it for a prediction, looks at what it may do, and stops it.
#
# One line a promise; exit status 0 if all are kept. All it makes (2 GB, many small files) lies in one temporary folder,
# which goes at the end; only missing Debian packages are installed for good. TMPDIR=/dev/shm is faster on a slow disk.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
models=$repo/models
picture=$repo/service/web/seven.png
ready_s=120 # from start to ready
drain_s=30 # from SIGTERM to exit
image=modelyard-under-test

work=$(mktemp -d)
log=$work/log
broken=0
port=0   # where it listens, while it does
server=  # the job that runs the image, while it does

clean_up() {
  local status=$?
  ((status == 0 || broken)) || say "$(tail -n 60 "$log")" $'\n'"FAIL  a step failed; above is the log's end"
  [[ -z $server ]] || kill_server
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT
exec 3>&1 >"$log" 2>&1 # what the tools print is for the log; `say` speaks to the caller

say() { echo "$*" >&3; }

phase() { say "$(printf '%4d s  %s' "$SECONDS" "$1")"; }

# promise SENTENCE COMMAND…: the command's status says whether it is kept. If not, what was logged meanwhile follows.
promise() {
  local before
  before=$(wc -l <"$log")
  if "${@:2}"; then
    say "PASS  $1"
  else
    say "FAIL  $1"
    tail -n "+$((before + 1))" "$log" | tail -n 15 | sed 's/^/      /' >&3
    broken=$((broken + 1))
  fi
}

not() { ! "$@"; }

# --- tools ------------------------------------------------------------------------------------------------------------

install_tools() {
  local missing=() tool
  for tool in buildah debootstrap curl; do
    type -P "$tool" >/dev/null || missing+=("$tool") # a program: `buildah` is a function here, too
  done
  ((${#missing[@]})) || return 0
  apt-get update
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"
}

# chroot isolation and plain folders for layers: neither user namespaces nor overlay mounts are needed, so this also runs
# inside a container. The machine's own images and containers are not touched.
export BUILDAH_ISOLATION=chroot TMPDIR=$work/tmp
# (the driver as an option: beside --root, buildah does not look at STORAGE_DRIVER)
buildah() { command buildah --storage-driver vfs --root "$work/storage" --runroot "$work/runroot" "$@"; }

# --- build ------------------------------------------------------------------------------------------------------------

# A stand-in with the name of the Dockerfile's base: this Debian with its own Python, and the PATH that such images set.
make_base() {
  local name suite container folder
  name=$(sed -n 's/^ARG BASE=//p' "$repo/Dockerfile")
  suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  container=$(buildah from scratch)
  folder=$(buildah mount "$container")
  # in a mount namespace of its own, so that what debootstrap mounts cannot outlive it
  unshare --mount debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,passwd,ca-certificates \
    "$suite" "$folder"
  rm -rf "$folder"/var/cache/apt/* "$folder"/var/lib/apt/lists/*
  buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah commit --quiet --rm --format docker "$container" "$name"
}

# The caller's value of a pip option, from the environment or else from pip's configuration files.
pip_setting() {
  local variable=PIP_${1^^}
  variable=${variable//-/_}
  echo "${!variable:-$(python3 -m pip config get "global.$1" 2>/dev/null || true)}"
}

# What makes pip work on this machine makes it work in the build: the options as build arguments, and the local files
# that they name as mounts. (docker format: the OCI one has no health check.)
build_image() {
  local arguments=() certificates option value word
  certificates=$(pip_setting cert)
  certificates=${certificates:-${SSL_CERT_FILE:-}}
  if [[ -n $certificates ]]; then
    arguments+=(--volume "$(realpath "$certificates"):/run/pip-cert.pem:ro" --build-arg PIP_CERT=/run/pip-cert.pem)
  fi
  for option in index-url extra-index-url find-links; do
    value=$(pip_setting "$option")
    [[ -n $value ]] || continue
    value=${value//$'\n'/ }
    arguments+=(--build-arg "PIP_$(tr a-z- A-Z_ <<<"$option")=$value")
    for word in $value; do
      case $word in
        file://*) word=$(dirname "${word#file://}") ;; # the pages of an index point to files beside it
        /*) ;;
        *) continue ;;
      esac
      [[ ! -d $word ]] || arguments+=(--volume "$word:$word:ro")
    done
  done
  buildah build --pull-never --format docker --layers=false "${arguments[@]}" --tag "$image" "$repo"
}

# --- run --------------------------------------------------------------------------------------------------------------

inspect() { buildah inspect --type image --format "$1" "$image"; }

read_image() {
  user=$(inspect '{{.Docker.Config.User}}')
  mapfile -t environment < <(inspect '{{range .Docker.Config.Env}}{{println .}}{{end}}' | grep .)
  mapfile -t entrypoint < <(inspect '{{range .Docker.Config.Entrypoint}}{{println .}}{{end}}' | grep .)
  mapfile -t health < <(inspect '{{with .Docker.Config.Healthcheck}}{{range .Test}}{{println .}}{{end}}{{end}}' | grep .)
  health=("${health[@]:1}") # the first word is CMD
  root=$(buildah mount "$(buildah from --pull-never "$image")")
  export root models
}

# The inside of `jail`: in fresh mount and process namespaces, makes the image's folder a container's root and enters it.
enter() {
  mount --bind "$root" "$root"
  mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs -o nosuid,nodev,noexec,mode=1777 tmpfs "$root/tmp"
  mount --bind "$models" "$root/models"
  mount -o remount,bind,ro "$root/models"
  mount -o remount,bind,ro "$root"
  exec chroot "$root" "$@"
}
export -f enter

# jail USER:GROUP [NAME=VALUE…] COMMAND…: runs a command in the image, without a privilege, with the image's environment.
# Root may be named too: what it cannot write is read-only, and not merely somebody else's.
jail() {
  local ids=$1
  shift
  # exec: the job's process id is unshare's, and its child is the image's process 1
  exec unshare --mount --pid --fork bash -euc 'enter "$@"' enter \
    env -i "${environment[@]}" "MODELYARD_PORT=$port" \
    setpriv --reuid "${ids%:*}" --regid "${ids#*:}" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs \
    env "$@"
}

url() { echo "http://${1:-127.0.0.1}:$port"; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }

start() {
  port=$(free_port)
  jail "$user" "$@" "${entrypoint[@]}" 3>&- &
  server=$!
}

becomes_ready() {
  local deadline=$((SECONDS + ready_s))
  until curl --silent --fail --noproxy '*' --output /dev/null "$(url)/v2/health/ready"; do
    kill -0 "$server" && ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

# The image's process 1, as this machine numbers it: the child of the job, which is unshare.
process() { tr -d ' ' <"/proc/$server/task/$server/children"; }

# status FIELD PATTERN: what the kernel says about the image's process 1
status() { grep -Ex "$1:[[:space:]]+$2" "/proc/$(process)/status"; }

no_capability() { (($(status 'Cap(Inh|Prm|Eff|Bnd|Amb)' 0+ | wc -l) == 5)); }

root_is_read_only() { awk '$5 == "/" && $6 ~ /(^|,)ro(,|$)/ { found = 1 } END { exit !found }' "/proc/$(process)/mountinfo"; }

# read_only FOLDER: not even root can write there, and the reason is the mount
read_only() {
  (jail 0:0 python -c '
import errno, sys
try:
    open(sys.argv[1] + "/written", "w")
except OSError as error:
    sys.exit(error.errno != errno.EROFS)
sys.exit(1)' "$1")
}

writable() { (jail "$user" python -c 'import sys; open(sys.argv[1] + "/written", "w")' "$1"); }

importable() { (jail "$user" python -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec(sys.argv[1]))' "$1"); }

# has FOLDER PATTERN: whether the image's folder holds such a name
has() { find "$root$1" -maxdepth 1 -mindepth 1 -regextype posix-extended -regex ".*/$2" | grep .; }

healthy() { ((${#health[@]})) && (jail "$user" "${health[@]}"); }

says_seven() {
  curl --silent --fail-with-body --noproxy '*' --header 'Content-Type: image/png' --data-binary "@$picture" \
    "$(url "${1:-}")/v1/classify" |
    python3 -c 'import json, sys; body = json.load(sys.stdin); print(body); sys.exit(body["predictions"][0]["label"] != "7")'
}

# With process 1 all processes of its namespace end.
kill_server() {
  kill -KILL "$(process)" || true
  wait "$server" || true
  server=
}

# SIGTERM to the image's process 1, as `docker stop` sends it. 0 only if it then ends in time and with status 0.
stops() {
  local deadline=$((SECONDS + drain_s)) job=$server
  kill -TERM "$(process)"
  while kill -0 "$job"; do
    ((SECONDS < deadline)) || { kill_server && return 1; }
    sleep 0.1
  done
  server=
  wait "$job"
}

# --- the promises -----------------------------------------------------------------------------------------------------

main() {
  local module folder
  ((EUID == 0)) || { say "FAIL  this makes mounts and a base system: run it as root" && exit 1; }
  mkdir -p "$TMPDIR"

  phase "tools" && install_tools
  phase "base image, by debootstrap" && make_base
  phase "the service image" && build_image
  phase "run" && read_image

  promise "the image's user is a number, and not 0" grep -Eqx '[1-9][0-9]*:[1-9][0-9]*' <<<"$user"
  for module in service onnxruntime; do promise "$module can be imported" importable "$module"; done
  for module in torch training pip; do promise "$module cannot be imported" not importable "$module"; done
  promise "no compiler is in the image" not has /usr/bin '(cc|gcc|c\+\+|g\+\+|clang|make)'
  promise "no model is in the image" not has /models '.+'

  start MODELYARD_OPEN=true
  promise "on a read-only root it is ready within $ready_s s" becomes_ready
  promise "$(basename "$picture") is a 7" says_seven
  promise "it listens on every address, so that a published port reaches it" says_seven 127.0.0.2
  promise "its health check passes" healthy
  promise "its process has no root id" status Uid '[1-9][0-9]*([[:space:]]+[1-9][0-9]*){3}'
  promise "its process has no capability" no_capability
  promise "its process cannot gain privileges" status NoNewPrivs 1
  promise "its root is mounted read-only" root_is_read_only
  for folder in / /venv /models; do promise "$folder cannot be written, not even by root" read_only "$folder"; done
  promise "/tmp can be written" writable /tmp
  promise "SIGTERM ends it within $drain_s s, with status 0" stops
  promise "its health check then fails" not healthy

  start MODELYARD_OPEN=true MODELYARD_WORKERS=2
  promise "with two workers it is ready within $ready_s s" becomes_ready
  promise "with two workers $(basename "$picture") is a 7" says_seven
  promise "with two workers SIGTERM ends it within $drain_s s, with status 0" stops

  phase "done"
  ((broken == 0)) || { say "FAIL  $broken promises broken" && exit 1; }
  say "PASS  all promises kept"
}

main
