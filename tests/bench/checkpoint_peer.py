#!/usr/bin/env python3
"""The peer of bench_checkpoint: torch.save and torch.distributed.checkpoint of as many bytes a rank, on command.

Every rank holds its rows of each matrix and of AdamW's two states, as DTensors sharded by rows, so that one whole tensor is
saved by all ranks. Pipes as compare.py says. torch.save is followed by fsync, as distributed.checkpoint does by itself.
"""
import argparse
import json
import os
import shutil
import time

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard


class Peer:
    def __init__(self, args):
        self.rank, self.folder = dist.get_rank(), args.folder
        self.background = dist.new_group()
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        rows = args.width // dist.get_world_size()
        generator = torch.Generator().manual_seed(self.rank)
        self.local = {f"h.{i}.{role}": torch.randn(rows, args.width, generator=generator)
                      for i in range(args.matrices) for role in ("weight", "exp_avg", "exp_avg_sq")}
        self.state = {name: DTensor.from_local(value, mesh, [Shard(0)]) for name, value in self.local.items()}

    def path(self, name):
        return os.path.join(self.folder, name)

    def torch_save(self):
        with open(self.path(f"torch-{self.rank}.pt"), "wb") as file:
            torch.save(self.local, file)
            file.flush()
            os.fsync(file.fileno())

    def torch_load(self):
        loaded = torch.load(self.path(f"torch-{self.rank}.pt"), weights_only=True)
        for name, value in self.local.items():
            value.copy_(loaded[name])

    def dcp_save(self):
        dcp.save(self.state, storage_writer=dcp.FileSystemWriter(self.path("dcp"), sync_files=True))

    def dcp_load(self):
        dcp.load(self.state, storage_reader=dcp.FileSystemReader(self.path("dcp")))

    def dcp_start(self):
        """The stall of the step that starts a save, and the whole save."""
        start = time.perf_counter()
        writer = dcp.FileSystemWriter(self.path("dcp"), sync_files=True)
        # A group of its own: the save's thread has collectives too.
        future = dcp.async_save(self.state, storage_writer=writer, process_group=self.background)
        stall = time.perf_counter() - start
        future.result()
        return {"seconds": stall, "whole": time.perf_counter() - start}

    def cool(self):
        if self.rank == 0:
            for folder, _, names in os.walk(self.folder):
                for name in names:
                    descriptor = os.open(os.path.join(folder, name), os.O_RDONLY)
                    os.fsync(descriptor)
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                    os.close(descriptor)

    def cycle(self):
        if self.rank == 0:
            for name in os.listdir(self.folder):
                if name == "dcp":
                    shutil.rmtree(self.path(name))
                elif name.startswith("torch-"):
                    os.remove(self.path(name))
            os.sync()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--matrices", type=int, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--pipes", required=True)
    args = parser.parse_args()
    rank = os.environ["RANK"]
    with open(f"{args.pipes}/in.{rank}", encoding="utf-8") as commands, open(f"{args.pipes}/out.{rank}", "w", encoding="utf-8") as out:
        def answer(fields):
            out.write(json.dumps(fields) + "\n")
            out.flush()

        torch.set_num_threads(1)
        dist.init_process_group("gloo")
        peer = Peer(args)
        answer({"ready": f"torch {torch.__version__}"})
        for command in map(str.strip, commands):
            if command == "quit":
                break
            dist.barrier()
            start = time.perf_counter()
            figures = getattr(peer, command)()
            answer(figures or {"seconds": time.perf_counter() - start})
        answer({"peak_bytes": 0})
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
