#!/usr/bin/env python3
"""Makes recurrent_*.safetensors: recurrent encoder-decoders of torch.nn.RNN, LSTM and GRU, for model_oracle_test.cpp.

    python tests/oracle/make_recurrent_fixtures.py      (torch, transformers, safetensors; versions are recorded in the files)

The encoder is one torch module over packed sequences; the decoder's attention is an explicit loop over samples and steps. Which
options each file has is in CASES. Sources and targets are padded; the padding holds tokens that must not matter. What is recorded: see
fixture.py.
"""
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import fixture
from fixture import BATCH, LENGTH, STEPS, VOCAB

SOURCE_LENGTH, SOURCE_VOCAB, WIDTH = 11, 29, 12
CELLS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
CASES = {
    # Plain: two layers on each side, each decoder layer from its own encoder layer; shared and tied embeddings.
    "recurrent_lstm": dict(cell="lstm", layers=2, encoder_layers=2, shared=True),
    # Bahdanau et al. 2015 without its deep output: one layer, both directions.
    "recurrent_gru_additive": dict(cell="gru", layers=1, encoder_layers=1, bidirectional=True, attention="additive", context="input",
                                   gains=(4.0, 2.0)),
    # Luong et al. 2015, dot, without input feeding; fewer decoder layers than encoder layers, norms of the inputs.
    "recurrent_rnn_dot": dict(cell="rnn", layers=1, encoder_layers=2, attention="dot", context="output", norm=True, gains=(3.0, 1.0)),
    # The other way round, with more decoder layers than encoder layers and states of both directions of an LSTM.
    "recurrent_lstm_dot": dict(cell="lstm", layers=2, encoder_layers=1, bidirectional=True, attention="dot", context="input"),
}


class Encoder(torch.nn.Module):
    """Layer by layer, so that a norm can stand between; each is a torch module over packed sequences."""

    def __init__(self, case):
        super().__init__()
        both = case.get("bidirectional", False)
        depth = case["encoder_layers"]
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(WIDTH) for _ in range(depth if case.get("norm") else 0))
        self.layers = torch.nn.ModuleList(
            CELLS[case["cell"]](WIDTH, WIDTH // 2 if both else WIDTH, batch_first=True, bidirectional=both) for _ in range(depth))

    def forward(self, x, lengths):
        states = []
        for i, layer in enumerate(self.layers):
            x = self.norms[i](x) if self.norms else x
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            out, last = layer(packed)
            x, _ = pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])
            last = last if isinstance(last, tuple) else (last,)
            states.append([part.transpose(0, 1).flatten(1) for part in last])  # directions side by side
        return x, states


class Model(torch.nn.Module):
    def __init__(self, case):
        super().__init__()
        self.case, joined = case, case.get("context") == "input"
        self.target = torch.nn.Embedding(VOCAB, WIDTH)
        if not case.get("shared"):
            self.source = torch.nn.Embedding(SOURCE_VOCAB, WIDTH)
            self.head = torch.nn.Linear(WIDTH, VOCAB, bias=False)
        self.encoder = Encoder(case)
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(WIDTH) for _ in range(case["layers"] if case.get("norm") else 0))
        self.cells = torch.nn.ModuleList(
            CELLS[case["cell"]](WIDTH * (2 if joined and i == 0 else 1), WIDTH, batch_first=True) for i in range(case["layers"]))
        if case.get("attention") == "additive":
            self.key = torch.nn.Linear(WIDTH, WIDTH)
            self.query = torch.nn.Linear(WIDTH, WIDTH, bias=False)
            self.score = torch.nn.Linear(WIDTH, 1, bias=False)
        if case.get("context") == "output":
            self.output = torch.nn.Linear(2 * WIDTH, WIDTH)

    def context_of(self, state, memory, lengths):
        """state [B, D] -> [B, D], one sample after the other."""
        rows = []
        for sample in range(state.shape[0]):
            seen = memory[sample, :lengths[sample]]
            if self.case["attention"] == "additive":
                scores = self.score(torch.tanh(self.query(state[sample]) + self.key(seen)))[:, 0]
            else:
                scores = seen @ state[sample]
            rows.append(scores.softmax(0) @ seen)
        return torch.stack(rows)

    def forward(self, source, source_lengths, tokens):
        memory, states = self.encoder((self.target if self.case.get("shared") else self.source)(source), source_lengths)
        first = [states[max(0, i + len(states) - len(self.cells))] for i in range(len(self.cells))]
        unpack = lambda state: tuple(part[None] for part in state) if len(state) > 1 else state[0][None]
        pack = lambda state: [part[0] for part in (state if isinstance(state, tuple) else (state,))]
        x = self.target(tokens)
        for i, cell in enumerate(self.cells):
            x = self.norms[i](x) if self.norms else x
            if i == 0 and self.case.get("context") == "input":
                state, outputs = first[0], []
                for step in range(tokens.shape[1]):
                    context = self.context_of(state[0], memory, source_lengths)
                    out, last = cell(torch.cat([x[:, step], context], dim=1)[:, None], unpack(state))
                    state = pack(last)
                    outputs.append(out[:, 0])
                x = torch.stack(outputs, dim=1)
            else:
                x, _ = cell(x, unpack(first[i]))
        if self.case.get("context") == "output":
            contexts = torch.stack([self.context_of(x[:, step], memory, source_lengths) for step in range(x.shape[1])], dim=1)
            x = torch.tanh(self.output(torch.cat([x, contexts], dim=2)))
        return x @ (self.target if self.case.get("shared") else self.head).weight.T


def names_of(case, tensors):
    def cell_names(place, name, tensor, joined):
        kind, direction = name.split("_l0")[0], name.endswith("_reverse")
        side, half = kind.split("_")[0], kind.split("_")[1]
        if case.get("bidirectional") and place.startswith("encoder"):
            place += ".backward" if direction else ".forward"
        piece = f"{place}.{'input' if half == 'ih' else 'recurrent'}.{side}"
        if joined and half == "ih" and side == "weight":
            return {piece: tensor[:, :WIDTH], f"{place}.attention.context.weight": tensor[:, WIDTH:]}
        return {piece: tensor}

    result = {}
    for name, tensor in tensors.items():
        parts = name.split(".")
        if parts[0] in ("source", "target"):
            side = "" if case.get("shared") else "encoder." if parts[0] == "source" else "decoder."
            result[f"{side}embedding.word.weight"] = tensor
        elif parts[0] == "head":
            result["head.weight"] = tensor
        elif "norms" in parts:
            side, index = ("encoder", parts[2]) if parts[0] == "encoder" else ("decoder", parts[1])
            result[f"{side}.layers.{index}.input_norm.{parts[-1]}"] = tensor
        elif parts[0] == "encoder":
            result |= cell_names(f"encoder.layers.{parts[2]}", parts[3], tensor, False)
        elif parts[0] == "cells":
            joined = parts[1] == "0" and case.get("context") == "input"
            result |= cell_names(f"decoder.layers.{parts[1]}", parts[2], tensor, joined)
        elif parts[0] == "output" and parts[1] == "weight":
            result["decoder.attention.output.weight"] = tensor[:, :WIDTH]
            result["decoder.attention.context.weight"] = tensor[:, WIDTH:]
        else:
            place = "decoder.attention" if case["context"] == "output" else "decoder.layers.0.attention"
            result[f"{place}.{parts[0]}.{parts[1]}"] = tensor
    return result


def draw_inputs(generator, source_vocab):
    source = torch.randint(0, source_vocab, (STEPS, BATCH, SOURCE_LENGTH), generator=generator)
    windows = torch.randint(0, VOCAB, (STEPS, BATCH, LENGTH + 1), generator=generator)
    source_lengths = torch.tensor([SOURCE_LENGTH, 6, 1]).expand(STEPS, BATCH).contiguous()
    lengths = torch.tensor([7, LENGTH, 3]).expand(STEPS, BATCH).contiguous()
    targets = windows[..., 1:].clone()
    for sample in range(BATCH):
        targets[:, sample, lengths[0, sample]:] = -1
    return {"tokens": windows[..., :-1].contiguous(), "targets": targets, "lengths": lengths, "source_tokens": source,
            "source_lengths": source_lengths}


def make(name, case, seed):
    generator = torch.Generator().manual_seed(seed)
    model = Model(case)
    fixture.draw_weights(model, generator)
    embeddings, others = case.get("gains", (8.0, 2.0))  # states and gradients of some size
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter *= embeddings if parameter_name.split(".")[0] in ("source", "target", "head") else others
    model.double()
    inputs = draw_inputs(generator, VOCAB if case.get("shared") else SOURCE_VOCAB)
    logits_of = lambda step: model(inputs["source_tokens"][step], inputs["source_lengths"][step], inputs["tokens"][step])
    loss_of = lambda step: F.cross_entropy(logits_of(step).flatten(0, 1), inputs["targets"][step].flatten(), ignore_index=-1)
    fixture.record(name, model, lambda tensors: names_of(case, tensors), inputs, logits_of, loss_of, __file__, eps=1e-4)


for index, (name, case) in enumerate(CASES.items()):
    make(name, case, 40 + index)
