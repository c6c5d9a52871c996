#!/usr/bin/env python3
"""The peer: the training step of bench_step.cpp in PyTorch, as people write it today, one step at a time on demand.

A GPT-2 with fused attention, tanh GELU, a tied head and no dropout; autocast for bf16; fused AdamW with decay on
matrices only; gradients clipped at norm 1. With several ranks, DistributedDataParallel over gloo. It answers on pipes
as compare.py says, and takes the same options as bench_step.
"""
import argparse
import contextlib
import json
import os
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)

    def forward(self, x_btd):
        batch, length, width = x_btd.shape
        packed = self.qkv(x_btd).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = (part.transpose(1, 2) for part in packed.unbind(2))
        out = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.projection(out.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x_btd):
        x_btd = x_btd + self.attention(self.attention_norm(x_btd))
        hidden = F.gelu(self.expand(self.feed_forward_norm(x_btd)), approximate="tanh")
        return x_btd + self.contract(hidden)


class GPT(nn.Module):
    """Token ids [B, T] and the ids to predict [B, T] -> mean loss."""

    def __init__(self, layers, width, heads, vocabulary, length):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, targets):
        x_btd = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x_btd = block(x_btd)
        logits = F.linear(self.norm(x_btd), self.tokens.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def parse():
    parser = argparse.ArgumentParser()
    for name in ("layers", "width", "heads", "vocabulary", "batch", "length", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--dtype", choices=["fp32", "bf16"], required=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--pipes", required=True)
    return parser.parse_args()


class Trainer:
    def __init__(self, options, world):
        torch.manual_seed(0)
        model = GPT(options.layers, options.width, options.heads, options.vocabulary, options.length)
        self.parameters = list(model.parameters())
        groups = [
            {"params": [p for p in self.parameters if p.dim() >= 2], "weight_decay": 0.1},
            {"params": [p for p in self.parameters if p.dim() < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=3e-4, betas=(0.9, 0.95), fused=True)
        if world > 1:
            model = nn.parallel.DistributedDataParallel(model)
        self.model = torch.compile(model, dynamic=False) if options.compile else model
        self.options = options

    def autocast(self):
        if self.options.dtype == "bf16":
            return torch.autocast("cpu", torch.bfloat16)
        return contextlib.nullcontext()

    def step(self):
        """Seconds of one step; the batch is made before the clock starts."""
        shape = (self.options.batch, self.options.length + 1)
        window = torch.randint(0, self.options.vocabulary, shape)
        ids, targets = window[:, :-1].contiguous(), window[:, 1:].contiguous()
        start = time.perf_counter()
        with self.autocast():
            loss = self.model(ids, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - start, loss.item()


def main():
    options = parse()
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(options.threads)
    if world > 1:
        torch.distributed.init_process_group("gloo")
    # Opening a pipe waits for the other end, so both sides open them in the same order.
    with open(f"{options.pipes}/in.{rank}", encoding="utf-8") as commands, open(
        f"{options.pipes}/out.{rank}", "w", encoding="utf-8"
    ) as answers:
        def answer(**fields):
            print(json.dumps(fields), file=answers, flush=True)

        trainer = Trainer(options, world)
        answer(ready=f"torch {torch.__version__}")
        for command in commands:
            if command.strip() != "step":
                break
            seconds, loss = trainer.step()
            answer(seconds=seconds, loss=loss)
        answer(peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    if world > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
