#!/usr/bin/env bash
# Trireme's training step against PyTorch's on this machine's CPU, side by side. See --help and tests/bench/README.md.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../cluster/lib.sh"

usage() {
  cat <<'HELP'
tests/bench/cpu.sh [--only TEXT] [--dtypes fp32,bf16] [--pairs 10] [--peers eager,compile]

Builds bench_step and alternates its steps with those of PyTorch (tests/bench/torch_peer.py) on the same shapes, threads
and precision. Prints ratios and where a step's time goes; writes build/release/bench-cpu.json.

The environment variable TRIREME_PEER_PYTHON names a Python that has torch:
    python3 -m venv ENV && ENV/bin/pip install torch==2.13.0 numpy && export TRIREME_PEER_PYTHON=$PWD/ENV/bin/python
(on a machine without a GPU, the CPU build of torch from PyTorch's own index is smaller).
HELP
}
if [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
  usage
  exit 0
fi
if [[ -z "${TRIREME_PEER_PYTHON:-}" ]] || ! "$TRIREME_PEER_PYTHON" -c 'import torch' 2>/dev/null; then
  usage >&2
  fail "$EXIT_USAGE" "TRIREME_PEER_PYTHON='${TRIREME_PEER_PYTHON:-}' is not a Python with torch"
fi

configure_and_build bench_step
python3 "$trireme_root/tests/bench/compare.py" --trireme "$trireme_root/build/release/bin/bench_step" \
  --python "$TRIREME_PEER_PYTHON" --json "$trireme_root/build/release/bench-cpu.json" "$@"
