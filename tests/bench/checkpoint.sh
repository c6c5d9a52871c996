#!/usr/bin/env bash
# Speed of checkpoints against plain writes and reads, and against PyTorch's. See --help and tests/bench/README.md.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../cluster/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../cluster/lib.sh"

if [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
  cat <<'HELP'
tests/bench/checkpoint.sh [--folder DIR] [--rounds 7] [--replicated]

Builds bench_checkpoint and alternates saves and restores of 2 GB from two ranks with plain writes and reads of as many
bytes, and with torch.save and torch.distributed.checkpoint where the environment variable TRIREME_PEER_PYTHON names a Python
that has torch (tests/bench/cpu.sh --help says how to make one). Prints ratios, stall, cost of digests, memory of a restore;
writes build/release/bench-checkpoint.json. Takes 7 GB on the disk and 10 GB of memory.
HELP
  exit 0
fi

configure_and_build bench_checkpoint
peer=()
if [[ -n "${TRIREME_PEER_PYTHON:-}" ]]; then
  "$TRIREME_PEER_PYTHON" -c 'import torch' || fail "$EXIT_USAGE" "TRIREME_PEER_PYTHON='$TRIREME_PEER_PYTHON' is not a Python with torch"
  peer=(--python "$TRIREME_PEER_PYTHON")
fi
python3 "$trireme_root/tests/bench/checkpoint.py" --trireme "$trireme_root/build/release/bin/bench_checkpoint" "${peer[@]}" \
  --json "$trireme_root/build/release/bench-checkpoint.json" "$@"
