#!/usr/bin/env python3
"""Times saving and restoring 2 GB from two ranks against plain writes and reads of the same bytes, and against torch.save and
torch.distributed.checkpoint. Run by checkpoint.sh; Python 3.9, no packages.

All sides are alive and take turns, in an order that is drawn anew each round (a disk remembers who wrote before); ratios
are of medians, plain over the side: 1 is as fast as the disk was in the same run. Files of the round before are removed untimed. `cold`: the files were written, fsynced and dropped from
the page cache (posix_fadvise); a host may still cache them. `warm`: they are in the page cache.
"""
import argparse
import json
import os
import random
import shutil
import statistics
import tempfile

import compare

RANKS = 2
# Commands of the two sides
OURS = ["write", "save", "start", "copy", "digest"]
PEERS = ["torch_save", "dcp_save", "dcp_start"]


class Measured:
    """Seconds of the slowest rank, by name."""

    def __init__(self):
        self.seconds = {}
        self.extra = {}

    def take(self, side, command, name=None):
        answers = side.tell(command)
        self.seconds.setdefault(name or command, []).append(max(answer["seconds"] for answer in answers))
        for key in ("whole", "peak_bytes"):
            if key in answers[0]:
                self.extra.setdefault(f"{name or command}/{key}", []).append(max(answer[key] for answer in answers))

    def median(self, name):
        return statistics.median(self.seconds[name])


def start(args, folder, replicated):
    sizes = ["--matrices", str(args.matrices), "--width", str(args.width)]
    os.makedirs(os.path.join(folder, "trireme"))
    options = sizes + ["--folder", os.path.join(folder, "trireme")] + (["--replicated"] if replicated else [])
    sides = [compare.start_trireme(args.trireme, options, 1, RANKS)]
    if args.python and not replicated:
        os.makedirs(os.path.join(folder, "peer"))
        command = [args.python, os.path.join(os.path.dirname(os.path.abspath(__file__)), "checkpoint_peer.py")]
        command += sizes + ["--folder", os.path.join(folder, "peer")]
        common = {"OMP_NUM_THREADS": "1", "WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(args.port)}
        sides.append(compare.Side("torch", [command] * RANKS, [dict(common, RANK=str(rank)) for rank in range(RANKS)]))
    return sides


def one_round(sides, measured, turn):
    """Writes in a drawn order, then reads of what the last writes left."""
    writes = [(sides[0], command) for command in OURS] + [(side, command) for side in sides[1:] for command in PEERS]
    random.Random(turn).shuffle(writes)
    for side, command in writes:
        for each in sides:
            each.tell("cycle")
        measured.take(side, command)
    ours = sides[0]
    ours.tell("cycle")
    ours.tell("save")
    reads = [(ours, "read"), (ours, "restore")]
    for side in sides[1:]:
        side.tell("cycle")
        side.tell("torch_save")
        side.tell("dcp_save")
        reads += [(side, "torch_load"), (side, "dcp_load")]
    for state in ("cold", "warm"):
        if state == "cold":
            for side in sides:
                side.tell("cool")
        for side, command in reads if turn % 2 == 0 else reads[::-1]:
            measured.take(side, command, f"{command}, {state}")


def measure(args, replicated):
    folder = tempfile.mkdtemp(prefix="trireme-bench-", dir=args.folder)
    try:
        sides = start(args, folder, replicated)
        measured = Measured()
        sides[0].tell("write")  # the first blocks of the disk, and the plain file that is read
        for turn in range(args.rounds):
            one_round(sides, measured, turn)
        for side in sides:
            side.quit()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return row_of(args, measured, replicated)


def row_of(args, measured, replicated):
    total = 3 * args.matrices * args.width**2 * 4
    ratios = {}
    for name in measured.seconds:
        if name.endswith("save"):
            ratios[name] = measured.median("write") / measured.median(name)
        if ", " in name and not name.startswith("read"):
            ratios[name] = measured.median("read" + name[name.index(","):]) / measured.median(name)
    for name in ("start", "dcp_start"):
        if name in measured.seconds:
            ratios[f"stall of {name} over copy"] = measured.median(name) / measured.median("copy")
    return {
        "bytes": total,
        "ranks": RANKS,
        "replicated": replicated,
        "rounds": args.rounds,
        "ratios": ratios,
        "median_seconds": {name: measured.median(name) for name in measured.seconds},
        "bytes_per_second": {name: total / measured.median(name) for name in measured.seconds},
        "restore_extra_memory_of_a_rank": max(measured.extra["restore, cold/peak_bytes"] + measured.extra["restore, warm/peak_bytes"]),
        "whole_background_save_seconds": {name: statistics.median(measured.extra[name]) for name in measured.extra if "/whole" in name},
        "seconds": measured.seconds,
    }


def print_row(row):
    kind = "held by both ranks" if row["replicated"] else "a half on each rank"
    print(f"\n{row['bytes'] / 1e9:.2f} GB from {row['ranks']} ranks, {kind}, medians of {row['rounds']} rounds")
    for name, seconds in row["median_seconds"].items():
        ratio = f"{row['ratios'][name]:.2f} of plain" if name in row["ratios"] else ""
        print(f"  {name:18} {seconds:8.3f} s  {row['bytes_per_second'][name] / 1e9:6.2f} GB/s  {ratio}")
    for name, seconds in row["whole_background_save_seconds"].items():
        stalled = row["ratios"][f"stall of {name[:-6]} over copy"]
        print(f"  {name[:-6]} stalls its step for {stalled:.2f} of copying the bytes; the save takes {seconds:.2f} s")
    print(f"  memory that a restore takes beside the tensors: {row['restore_extra_memory_of_a_rank'] / 2**20:.0f} MiB a rank")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trireme", default="build/release/bin/bench_checkpoint", help="path of bench_checkpoint")
    parser.add_argument("--python", help="a Python with torch, or none")
    parser.add_argument("--folder", default=None, help="where to write; its disk is what is measured")
    parser.add_argument("--matrices", type=int, default=11)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--port", type=int, default=29613)
    parser.add_argument("--replicated", action="store_true", help="also with every rank holding all")
    parser.add_argument("--smoke", action="store_true", help="a few kilobytes: does everything run?")
    parser.add_argument("--json", help="where to write the results")
    args = parser.parse_args()
    if args.smoke:
        args.matrices, args.width, args.rounds = 2, 64, 1
    results = {"cpu": compare.cpu_model(), "rows": []}
    print(results["cpu"])
    for replicated in (False, True) if args.replicated else (False,):
        results["rows"].append(measure(args, replicated))
        print_row(results["rows"][-1])
        if args.json:
            with open(args.json, "w", encoding="utf-8") as file:
                json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
