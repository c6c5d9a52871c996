# shellcheck shell=bash
# What launcher/quickstart, tests/run and .ci/run share. Sourced, never run.

# Exit codes of DESIGN: the same numbers as the binary's (README.md, "Exit codes").
export EXIT_USAGE=64 EXIT_INTERNAL=70

trireme_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
trireme_binary="$trireme_root/build/release/bin/trireme"
export trireme_binary

fail() { # fail CODE MESSAGE...
  local code="$1"
  shift
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit "$code"
}

# `run` shows a command before it runs it; with dry_run=1 it only shows it.
dry_run=0
run() {
  printf '  +'
  printf ' %q' "$@"
  printf '\n'
  ((dry_run)) || "$@"
}

step_started=0
step() { # step MESSAGE: a heading with the time since the script started
  ((step_started)) && printf '  (%d s)\n' "$((SECONDS - step_started_at))"
  step_started=1
  step_started_at=$SECONDS
  printf '[%3d s] %s\n' "$SECONDS" "$*"
}

# Open MPI refuses root unless told twice. One host: more ranks than cores is allowed, a rank may use every core
# that its threads need, and a rank that waits gives its core away.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpirun_on_this_host=(mpirun --oversubscribe --bind-to none)
if (($(nproc) < 2)); then
  mpirun_on_this_host+=(--mca mpi_yield_when_idle 1)
fi
export mpirun_on_this_host

# Two clones of one commit share the compiler cache.
export CCACHE_BASEDIR="$trireme_root" CCACHE_NOHASHDIR=1

# A dry run shows what would be installed.
install_deps() {
  local options=()
  ((dry_run)) && options=(--dry-run)
  "$trireme_root/cluster/install-deps" "${options[@]}"
}

# configure_and_build TARGET...: preset release; `all` is everything, tests included.
configure_and_build() {
  run cmake --preset release -S "$trireme_root" &&
    run cmake --build "$trireme_root/build/release" --parallel "$(nproc)" --target "$@"
}
