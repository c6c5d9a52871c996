#!/usr/bin/env python3
"""Makes functions.safetensors: what PyTorch and Transformers compute, for functions_oracle_test.cpp.

    python tests/oracle/make_function_fixtures.py        (torch, transformers, safetensors; versions are recorded in the file)

All in float64 with random weights. Recurrent layers: torch.nn.RNN, GRU and LSTM in both directions over a packed padded batch;
outputs, last states, and every gradient of random projections of them. BatchNorm1d over the rows that count, two training steps
and inference. The complex-valued embedding written with torch.complex128. Marian's table of positions.
"""
import pathlib

import torch
import transformers
from safetensors.torch import save_file
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

HERE = pathlib.Path(__file__).parent
BATCH, LENGTH, INPUT, HIDDEN = 4, 7, 5, 6
LENGTHS = [7, 1, 4, 6]
tensors = {}


def keep(name, tensor):
    tensors[name] = tensor.detach().clone().contiguous()


def recurrent(name, layer, has_cell):
    x = torch.randn(BATCH, LENGTH, INPUT, requires_grad=True)
    first = [torch.randn(2, BATCH, HIDDEN, requires_grad=True) for _ in range(2 if has_cell else 1)]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    out, last = layer(packed, tuple(first) if has_cell else first[0])
    out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=LENGTH)
    last = list(last) if has_cell else [last]
    roots = [out] + last
    directions = [torch.randn_like(root) for root in roots]
    sum((root * direction).sum() for root, direction in zip(roots, directions)).backward()
    keep(f"{name}/x", x)
    keep(f"{name}/d_x", x.grad)
    for i, part in enumerate(("hidden", "cell")[: len(first)]):
        keep(f"{name}/first_{part}", first[i])
        keep(f"{name}/d_first_{part}", first[i].grad)
        keep(f"{name}/last_{part}", last[i])
        keep(f"{name}/d_last_{part}", directions[1 + i])
    keep(f"{name}/out", out)
    keep(f"{name}/d_out", directions[0])
    for key, parameter in layer.named_parameters():
        keep(f"{name}/{key}", parameter)
        keep(f"{name}/d_{key}", parameter.grad)


def batch_norm():
    rows, cols = 11, 5
    layer = torch.nn.BatchNorm1d(cols)
    with torch.no_grad():
        layer.weight.normal_(1.0, 0.3)
        layer.bias.normal_()
    keep("batch_norm/weight", layer.weight)
    keep("batch_norm/bias", layer.bias)
    counted = torch.ones(rows, dtype=torch.int32)
    counted[[3, 4, 9]] = 0
    keep("batch_norm/counted", counted)
    for step in range(2):
        x = torch.randn(rows, cols) * 2 + 1
        d_y = torch.randn(rows, cols)
        real = x[counted == 1].clone().requires_grad_()
        layer.zero_grad()
        y = layer(real)
        (y * d_y[counted == 1]).sum().backward()
        whole_y, d_x = torch.zeros(rows, cols), torch.zeros(rows, cols)
        whole_y[counted == 1] = y.detach()
        d_x[counted == 1] = real.grad
        for key, tensor in dict(x=x, y=whole_y, d_y=d_y, d_x=d_x, d_weight=layer.weight.grad, d_bias=layer.bias.grad,
                                running_mean=layer.running_mean, running_variance=layer.running_var).items():
            keep(f"batch_norm/{step}/{key}", tensor)
    layer.eval()
    keep("batch_norm/inference", layer(x))


def complex_embedding():
    vocab, half = 6, 4
    tables = {key: torch.randn(vocab, half, requires_grad=True) for key in ("amplitude", "frequency", "phase")}
    ids = torch.tensor([3, 0, 3, 5, 1, 3, 0], dtype=torch.int32)
    positions = torch.tensor([0, 1, 2, 0, 1, 2, 40], dtype=torch.int32)
    row = ids.long()
    angle = tables["frequency"][row] * positions[:, None] + tables["phase"][row]
    words = tables["amplitude"][row].to(torch.complex128) * torch.exp(1j * angle)
    out = torch.cat((words.real, words.imag), dim=1)
    d_out = torch.randn_like(out)
    (out * d_out).sum().backward()
    for key, tensor in dict(ids=ids, positions=positions, out=out, d_out=d_out).items():
        keep(f"complex/{key}", tensor)
    for key, table in tables.items():
        keep(f"complex/{key}", table)
        keep(f"complex/d_{key}", table.grad)


torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
recurrent("rnn_tanh", torch.nn.RNN(INPUT, HIDDEN, batch_first=True, bidirectional=True), False)
recurrent("rnn_relu", torch.nn.RNN(INPUT, HIDDEN, batch_first=True, bidirectional=True, nonlinearity="relu"), False)
recurrent("gru", torch.nn.GRU(INPUT, HIDDEN, batch_first=True, bidirectional=True), False)
recurrent("lstm", torch.nn.LSTM(INPUT, HIDDEN, batch_first=True, bidirectional=True), True)
batch_norm()
complex_embedding()
marian = MarianSinusoidalPositionalEmbedding(9, 8)
marian.weight = torch.nn.Parameter(marian.create_weight() if hasattr(marian, "create_weight") else marian._init_weight())
keep("marian", marian.weight.double())
tensors["lengths"] = torch.tensor(LENGTHS, dtype=torch.int32)
save_file(tensors, HERE / "functions.safetensors",
          metadata={"torch": torch.__version__, "transformers": transformers.__version__})
