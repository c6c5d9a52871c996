#!/usr/bin/env python3
"""Times Trireme's training step against PyTorch's: both alive, step by step in turn. Run by cpu.sh; Python 3.9, no packages.

Each side is one process a rank, with a folder of named pipes. Rank r reads commands from in.<r> and answers on out.<r>,
one JSON object a line: {"ready": NAME} once; {"seconds": S, "loss": L} to every `step`; a last object with
"peak_bytes" when it reads `quit`, to which bench_step adds its measured GEMM rate and where the time went.
A side waits for its turn in a blocking read, so it uses no core; every rank has pipes of its own for that reason.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

SHAPES = {
    "small": {"layers": 6, "width": 384, "heads": 6, "vocabulary": 8192},
    "gpt2-124m": {"layers": 12, "width": 768, "heads": 12, "vocabulary": 50304},
    "tiny": {"layers": 2, "width": 64, "heads": 2, "vocabulary": 512},
}
# (model, batch a rank, length, threads a rank, ranks)
WORKLOADS = [
    ("small", 8, 256, 2, 1),
    ("gpt2-124m", 4, 64, 2, 1),
    ("gpt2-124m", 4, 256, 2, 1),
    ("gpt2-124m", 1, 1024, 2, 1),
    ("small", 4, 256, 1, 2),
]
SMOKE_WORKLOADS = [("tiny", 2, 32, 2, 1), ("tiny", 1, 32, 1, 2)]
WARM_UP_STEPS = 3
# The threads of the side that just finished spin for a few milliseconds before they sleep.
SETTLE_SECONDS = 0.02


class Side:
    """One program on one or more ranks."""

    def __init__(self, name, commands, environments):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix="trireme-bench-")
        ranks = len(environments)
        for rank in range(ranks):
            os.mkfifo(f"{self.folder}/in.{rank}")
            os.mkfifo(f"{self.folder}/out.{rank}")
        self.log = open(f"{self.folder}/log", "w+", encoding="utf-8")
        self.processes = [
            subprocess.Popen(command + ["--pipes", self.folder], env=dict(os.environ, **environment), stdin=subprocess.DEVNULL,
                             stdout=self.log, stderr=self.log)
            for command, environment in zip(commands, environments)
        ]
        self.pipes = [(self.open_pipe(f"in.{rank}", "w"), self.open_pipe(f"out.{rank}", "r")) for rank in range(ranks)]
        self.label = self.read()[0]["ready"]

    def open_pipe(self, name, mode):
        # A blocking open would wait for ever for a program that died at its start.
        path = f"{self.folder}/{name}"
        if mode == "r":
            return open(path, encoding="utf-8")
        while True:
            try:
                return os.fdopen(os.open(path, os.O_WRONLY | os.O_NONBLOCK), "w")
            except OSError:
                self.check_alive()
                time.sleep(0.01)

    def check_alive(self):
        if any(process.poll() is not None for process in self.processes):
            self.log.seek(0)
            sys.exit(f"{self.name} ended early (exit code {self.processes[0].poll()}):\n{self.log.read()[-4000:]}")

    def read(self):
        lines = [answers.readline() for _, answers in self.pipes]
        if not all(lines):
            for process in self.processes:
                process.wait()
            self.log.seek(0)
            sys.exit(f"{self.name} stopped answering:\n{self.log.read()[-4000:]}")
        return [json.loads(line) for line in lines]

    def tell(self, command):
        for commands, _ in self.pipes:
            commands.write(command + "\n")
            commands.flush()
        return self.read()

    def step(self):
        """Seconds of the slowest rank."""
        time.sleep(SETTLE_SECONDS)
        answers = self.tell("step")
        return max(answer["seconds"] for answer in answers), answers[0]["loss"]

    def quit(self):
        report = self.tell("quit")
        for process in self.processes:
            process.wait(timeout=60)
        self.log.close()
        shutil.rmtree(self.folder)
        return report[0] | {"peak_bytes": max(answer["peak_bytes"] for answer in report),
                            "breakdowns": [answer.get("breakdown") for answer in report]}


def options_of(model, batch, length, threads, dtype):
    values = dict(SHAPES[model], batch=batch, length=length, threads=threads, dtype=dtype)
    return [item for key, value in values.items() for item in (f"--{key}", str(value))]


def start_trireme(program, options, threads, ranks, name="trireme"):
    command = [program] + options
    if ranks > 1:
        command = ["mpirun", "-n", str(ranks), "--oversubscribe", "--bind-to", "none"] + command
    environment = {"OMP_NUM_THREADS": str(threads)}
    # mpirun starts all ranks: one command, one environment, but pipes for each rank.
    return Side(name, [command], [environment] + [{}] * (ranks - 1))


def start_torch(args, options, threads, ranks, compiled, port):
    command = [args.python, os.path.join(os.path.dirname(__file__), "torch_peer.py")] + options
    command += ["--compile"] if compiled else []
    common = {"OMP_NUM_THREADS": str(threads)}
    if ranks > 1:
        common.update(WORLD_SIZE=str(ranks), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    name = "torch compile" if compiled else "torch eager"
    return Side(name, [command] * ranks, [dict(common, RANK=str(rank)) for rank in range(ranks)])


def flops_per_token(model, length):
    """6N + 12LdT, with N without the position table."""
    shape = SHAPES[model]
    layers, width = shape["layers"], shape["width"]
    weights = layers * (12 * width * width + 13 * width) + shape["vocabulary"] * width + 2 * width
    return 6 * weights + 12 * layers * width * length


def measure(args, workload, dtype, row_number):
    model, batch, length, threads, ranks = workload
    options = options_of(model, batch, length, threads, dtype)
    sides = [start_trireme(args.trireme, options, threads, ranks)]
    if "eager" in args.peers:
        sides.append(start_torch(args, options, threads, ranks, False, args.port + 2 * row_number))
    if "compile" in args.peers:
        sides.append(start_torch(args, options, threads, ranks, True, args.port + 2 * row_number + 1))
    seconds = {side.name: [] for side in sides}
    for turn in range(WARM_UP_STEPS + args.pairs):
        # Who goes first rotates, so that nobody always runs behind the same neighbour.
        for side in sides[turn % len(sides):] + sides[: turn % len(sides)]:
            elapsed, _ = side.step()
            if turn >= WARM_UP_STEPS:
                seconds[side.name].append(elapsed)
    reports = {side.name: side.quit() for side in sides}

    tokens = batch * length * ranks
    row = {"model": model, "batch": batch, "length": length, "dtype": dtype, "threads": threads, "ranks": ranks, "pairs": args.pairs,
           "sides": {}}
    for side in sides:
        times = seconds[side.name]
        row["sides"][side.name] = {
            "program": side.label,
            "median_tokens_per_second": tokens / statistics.median(times),
            "best_tokens_per_second": tokens / min(times),
            "peak_bytes": reports[side.name]["peak_bytes"],
            "seconds": times,
        }
    ours = reports["trireme"]
    row["gemm_flops"] = ours.get("gemm_flops")
    row["breakdown"] = ours.get("breakdown")
    mine = row["sides"]["trireme"]
    if row["gemm_flops"]:
        limit = row["gemm_flops"] * ranks / flops_per_token(model, length)
        row["roofline_tokens_per_second"] = limit
        for side in row["sides"].values():
            side["roofline_share"] = side["median_tokens_per_second"] / limit
    row["ratios"] = {
        name: {
            "median": mine["median_tokens_per_second"] / side["median_tokens_per_second"],
            "best": mine["best_tokens_per_second"] / side["best_tokens_per_second"],
            "memory": mine["peak_bytes"] / side["peak_bytes"],
        }
        for name, side in row["sides"].items()
        if name != "trireme"
    }
    return row


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        fields = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
    clean = {key.strip(): value.strip() for key, value in fields.items()}
    return f"{clean.get('model name', 'unknown')} (family {clean.get('cpu family', '?')}), {os.cpu_count()} cores"


def row_name(row):
    ranks = f", {row['ranks']} ranks x {row['threads']} thread" if row["ranks"] > 1 else ""
    return f"{row['model']} B{row['batch']} T{row['length']} {row['dtype']}{ranks}"


def print_row(row):
    print(f"\n{row_name(row)}" + (f"   GEMM {row['gemm_flops'] / 1e9:.0f} GFLOP/s a rank" if row["gemm_flops"] else ""))
    for name, side in row["sides"].items():
        share = f"  {100 * side['roofline_share']:5.1f} % of roofline" if "roofline_share" in side else ""
        ratio = row["ratios"].get(name)
        against = f"  trireme is {ratio['median']:.2f}x (best {ratio['best']:.2f}x, memory {ratio['memory']:.2f}x)" if ratio else ""
        print(f"  {name:14} {side['median_tokens_per_second']:8.0f} tok/s (best {side['best_tokens_per_second']:.0f})"
              f"  {side['peak_bytes'] / 2**30:.2f} GiB{share}{against}")
    if row["breakdown"]:
        total = row["breakdown"]["step"]
        for kind in sorted(row["breakdown"].keys() - {"step"}):
            entries = row["breakdown"][kind]
            parts = sorted(entries.items(), key=lambda item: -item[1])
            print(f"  {kind}, ms a step: " + ", ".join(f"{key} {1e3 * value:.1f} ({100 * value / total:.0f} %)" for key, value in parts))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trireme", required=True, help="path of bench_step")
    parser.add_argument("--python", help="a Python with torch; not needed without peers")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--peers", default="eager,compile")
    parser.add_argument("--dtypes", default="fp32,bf16")
    parser.add_argument("--only", default="", help="substring of the rows to run, as they are printed")
    parser.add_argument("--smoke", action="store_true", help="a tiny model: does everything run?")
    parser.add_argument("--port", type=int, default=29511)
    parser.add_argument("--json", help="where to write the results")
    args = parser.parse_args()
    args.peers = [peer for peer in args.peers.split(",") if peer]

    workloads = SMOKE_WORKLOADS if args.smoke else WORKLOADS
    results = {"cpu": cpu_model(), "rows": []}
    print(results["cpu"])
    for number, (workload, dtype) in enumerate((w, d) for d in args.dtypes.split(",") for w in workloads):
        model, batch, length, threads, ranks = workload
        name = row_name({"model": model, "batch": batch, "length": length, "dtype": dtype, "ranks": ranks, "threads": threads})
        if args.only not in name:
            continue
        row = measure(args, workload, dtype, number)
        results["rows"].append(row)
        print_row(row)
        if args.json:
            with open(args.json, "w", encoding="utf-8") as file:
                json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
