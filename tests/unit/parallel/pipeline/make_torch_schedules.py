#!/usr/bin/env python3
"""Makes torch_schedules.txt, for schedule_test.cpp: the order of work in PyTorch's pipeline schedules.

    python tests/unit/parallel/pipeline/make_torch_schedules.py        (torch; its version is recorded in the file)

One line a stage: schedule, stages, chunks, micro-batches, stage, and the work as schedule_test.cpp writes it. 1f1b is left out: its
order in torch 2.13.0 drops micro-batch 0 on the last stage.
"""
import pathlib

import torch
from torch.distributed.pipelining import schedules

KINDS = {"gpipe": schedules.ScheduleGPipe, "interleaved": schedules.ScheduleInterleaved1F1B,
         "zb-h1": schedules.ScheduleInterleavedZeroBubble}
LETTERS = {"FORWARD": "F", "FULL_BACKWARD": "B", "BACKWARD_INPUT": "I", "BACKWARD_WEIGHT": "W"}
CASES = [("gpipe", 3, 1, 4), ("interleaved", 2, 2, 4), ("interleaved", 3, 3, 6), ("interleaved", 4, 2, 8), ("interleaved", 4, 2, 10),
         ("interleaved", 4, 3, 5), ("interleaved", 5, 4, 5), ("zb-h1", 2, 1, 6), ("zb-h1", 4, 1, 8), ("zb-h1", 8, 1, 9)]


def orders(kind, num_stages, num_chunks, num_micro_batches):
    """By stage. The constructors want process groups; the attributes below are what they derive from them."""
    schedule = object.__new__(KINDS[kind])
    schedule._n_microbatches = num_micro_batches
    schedule._num_stages = num_stages * num_chunks
    if kind == "gpipe":
        return schedule._get_pipeline_order()
    schedule.pp_group_size = num_stages
    schedule.n_local_stages = num_chunks
    schedule.number_of_rounds = max(1, num_micro_batches // num_stages)
    schedule.microbatches_per_round = num_micro_batches // schedule.number_of_rounds
    assert num_micro_batches % schedule.number_of_rounds == 0
    return {stage: schedule._calculate_single_rank_operations(stage) for stage in range(num_stages)}


def word(action, num_stages, num_chunks):
    chunk = f".{action.stage_index // num_stages}" if num_chunks > 1 else ""
    return f"{LETTERS[action.computation_type.name]}{action.microbatch_index}{chunk}"


lines = [f"torch {torch.__version__}"]
for case in CASES:
    _, num_stages, num_chunks, _ = case
    for stage, actions in orders(*case).items():
        work = [word(action, num_stages, num_chunks) for action in actions
                if action is not None and action.computation_type.name in LETTERS]
        lines.append(" ".join(map(str, [*case, stage])) + ": " + " ".join(work))
(pathlib.Path(__file__).parent / "torch_schedules.txt").write_text("\n".join(lines) + "\n")
