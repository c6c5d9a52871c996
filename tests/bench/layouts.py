#!/usr/bin/env python3
"""Times one global batch on two ranks of one thread, divided by data, tensor and pipeline, against one rank of two threads.

All sides are alive and take steps in turn, as in compare.py. A ratio is one rank's median time over the layout's: 1 is as
fast. Beside it stands where each rank's time goes: kernels, waits by group of ranks (the rank's share of the sums is in
them), and the rest, which is the engine's. Build bench_step first: ninja -C build/release bench_step.
"""
import argparse
import json
import statistics

import compare

# (name, ranks, threads a rank, options); a micro-batch is the global batch over data ranks and micro-batches.
LAYOUTS = [
    ("1 rank x 2 threads", 1, 2, {}),
    ("data 2", 2, 1, {}),
    ("data 2, ZeRO-1", 2, 1, {"zero": 1}),
    ("tensor 2", 2, 1, {"tensor": 2}),
    ("tensor 2, sequence parallel", 2, 1, {"tensor": 2, "sequence": True}),
    ("pipeline 2, 1f1b", 2, 1, {"pipeline": 2, "schedule": "1f1b", "micro-batches": 8}),
    ("pipeline 2, zb-h1", 2, 1, {"pipeline": 2, "schedule": "zb-h1", "micro-batches": 8}),
]
# (model, global batch, length)
WORKLOADS = [("small", 8, 256), ("gpt2-124m", 8, 256)]
SMOKE_WORKLOADS = [("tiny", 8, 32)]


def start(args, layout, model, global_batch, length, dtype):
    name, ranks, threads, chosen = layout
    data = ranks // (chosen.get("tensor", 1) * chosen.get("pipeline", 1))
    options = compare.options_of(model, global_batch // (data * chosen.get("micro-batches", 1)), length, threads, dtype)
    for key, value in chosen.items():
        options += [f"--{key}"] if value is True else [f"--{key}", str(value)]
    return compare.start_trireme(args.trireme, options, threads, ranks, name)


def shares(breakdown):
    """Of a rank's step: kernels, waits by group, the rest."""
    step = breakdown["step"]
    kernels = sum(breakdown["op"].values()) / step
    waits = {group: seconds / step for group, seconds in breakdown.get("wait", {}).items()}
    return {"kernels": kernels, "waits": waits, "engine": 1 - kernels - sum(waits.values())}


def measure(args, workload, dtype):
    model, global_batch, length = workload
    layouts = [layout for layout in LAYOUTS if args.only in layout[0] or layout is LAYOUTS[0]]
    sides = [start(args, layout, model, global_batch, length, dtype) for layout in layouts]
    seconds = {side.name: [] for side in sides}
    for turn in range(compare.WARM_UP_STEPS + args.pairs):
        for side in sides[turn % len(sides):] + sides[: turn % len(sides)]:
            elapsed, _ = side.step()
            if turn >= compare.WARM_UP_STEPS:
                seconds[side.name].append(elapsed)
    reports = {side.name: side.quit() for side in sides}
    first = seconds[LAYOUTS[0][0]]
    row = {"model": model, "global_batch": global_batch, "length": length, "dtype": dtype, "pairs": args.pairs, "layouts": {}}
    for name, times in seconds.items():
        row["layouts"][name] = {
            "ratio_median": statistics.median(first) / statistics.median(times),
            "ratio_best": min(first) / min(times),
            "median_tokens_per_second": global_batch * length / statistics.median(times),
            "peak_bytes_of_a_rank": reports[name]["peak_bytes"],
            "ranks": [shares(breakdown) for breakdown in reports[name]["breakdowns"]],
            "breakdowns": reports[name]["breakdowns"],
            "seconds": times,
        }
    return row


def print_row(row):
    print(f"\n{row['model']}, global batch {row['global_batch']} x {row['length']}, {row['dtype']}")
    for name, layout in row["layouts"].items():
        print(f"  {name:28} {layout['ratio_median']:.2f}x (best {layout['ratio_best']:.2f}x)"
              f"  {layout['median_tokens_per_second']:7.0f} tok/s  {layout['peak_bytes_of_a_rank'] / 2**30:.2f} GiB a rank")
        for rank, share in enumerate(layout["ranks"]):
            waits = ", ".join(f"{group} {100 * value:.1f} %" for group, value in share["waits"].items() if value > 5e-4)
            print(f"      rank {rank}: kernels {100 * share['kernels']:.1f} %, engine {100 * share['engine']:.2f} %"
                  + (f", waits: {waits}" if waits else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trireme", default="build/release/bin/bench_step", help="path of bench_step")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--dtypes", default="fp32,bf16")
    parser.add_argument("--models", default="", help="substring of the models to run")
    parser.add_argument("--only", default="", help="substring of the layouts to run beside one rank")
    parser.add_argument("--smoke", action="store_true", help="a tiny model: does everything run?")
    parser.add_argument("--json", help="where to write the results")
    args = parser.parse_args()
    results = {"cpu": compare.cpu_model(), "rows": []}
    print(results["cpu"])
    for dtype in args.dtypes.split(","):
        for workload in SMOKE_WORKLOADS if args.smoke else WORKLOADS:
            if args.models not in workload[0]:
                continue
            results["rows"].append(measure(args, workload, dtype))
            print_row(results["rows"][-1])
            if args.json:
                with open(args.json, "w", encoding="utf-8") as file:
                    json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
