#!/usr/bin/env python3
"""Times one global batch on two ranks of one thread, divided by data, tensor and pipeline, against one rank of two threads.

A layout and one rank are alive together and take steps in turn, as in compare.py. A ratio is one rank's median time over
the layout's: 1 is as fast. Beside it stands where each rank's time goes: kernels, waits by group of ranks (the rank's share of the sums is in
them), and the rest, which is the engine's. Build bench_step first: ninja -C build/release bench_step.
"""
import argparse
import json
import statistics

import compare

# (name, ranks, threads a rank, options); a micro-batch is the global batch over data ranks and micro-batches.
ONE_RANK = ("1 rank x 2 threads", 1, 2, {})
LAYOUTS = [
    ("1 rank x 2, 8 micro-batches", 1, 2, {"micro-batches": 8}),
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


def alternate(sides, pairs):
    """Seconds of every counted step, by side."""
    seconds = [[] for _ in sides]
    for turn in range(compare.WARM_UP_STEPS + pairs):
        for index in [0, 1] if turn % 2 == 0 else [1, 0]:
            elapsed, _ = sides[index].step()
            if turn >= compare.WARM_UP_STEPS:
                seconds[index].append(elapsed)
    return seconds


def measure(args, workload, dtype):
    model, global_batch, length = workload
    print(f"\n{model}, global batch {global_batch} x {length}, {dtype}")
    row = {"model": model, "global_batch": global_batch, "length": length, "dtype": dtype, "pairs": args.pairs, "layouts": {}}
    for layout in LAYOUTS:
        if args.only not in layout[0]:
            continue
        sides = [start(args, chosen, model, global_batch, length, dtype) for chosen in (ONE_RANK, layout)]
        one, times = alternate(sides, args.pairs)
        reports = [side.quit() for side in sides]
        row["layouts"][layout[0]] = {
            "ratio_median": statistics.median(one) / statistics.median(times),
            "ratio_best": min(one) / min(times),
            "median_tokens_per_second": global_batch * length / statistics.median(times),
            "peak_bytes_of_a_rank": reports[1]["peak_bytes"],
            "one_rank": shares(reports[0]["breakdown"]),
            "ranks": [shares(breakdown) for breakdown in reports[1]["breakdowns"]],
            "breakdowns": reports[1]["breakdowns"],
            "seconds": times,
            "seconds_of_one_rank": one,
        }
        print_layout(layout[0], row["layouts"][layout[0]])
    return row


def print_layout(name, layout):
    print(f"  {name:28} {layout['ratio_median']:.2f}x (best {layout['ratio_best']:.2f}x)"
              f"  {layout['median_tokens_per_second']:7.0f} tok/s  {layout['peak_bytes_of_a_rank'] / 2**30:.2f} GiB a rank")
    for rank, share in enumerate(layout["ranks"]):
        waits = ", ".join(f"{group} {100 * value:.1f} %" for group, value in share["waits"].items() if value > 5e-4)
        print(f"      rank {rank}: kernels {100 * share['kernels']:.1f} %, engine {100 * share['engine']:.2f} %"
              + (f", waits: {waits}" if waits else ""), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trireme", default="build/release/bin/bench_step", help="path of bench_step")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--dtypes", default="fp32,bf16")
    parser.add_argument("--models", default="", help="substring of the models to run")
    parser.add_argument("--only", default="", help="substring of the layouts to run against one rank")
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
            if args.json:
                with open(args.json, "w", encoding="utf-8") as file:
                    json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
