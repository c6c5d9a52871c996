#!/usr/bin/env python3
"""Makes batch_norm.safetensors: a BERT of two layers with BatchNorm, for model_oracle_test.cpp.

    python tests/oracle/make_batch_norm_fixture.py      (torch, safetensors; versions are recorded in the file)

torch.nn.BatchNorm1d over the tokens that are no padding, after the embedding, after each residual sum and in the masked-language-model
head; torch.nn.MultiheadAttention between. The logits are those of evaluation: by running statistics, which begin with values of
their own. Samples are padded; the padding holds tokens that must not matter. What is recorded: see fixture.py.
"""
import torch
import torch.nn.functional as F

import fixture
from fixture import BATCH, LENGTH, STEPS

VOCAB, WIDTH, HEADS, FFN, MOMENTUM, EPSILON = 23, 16, 4, 20, 0.3, 1e-5


class BatchNorm(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(WIDTH, eps=EPSILON, momentum=MOMENTUM)

    def forward(self, x, seen):
        result = torch.zeros_like(x)
        result[seen] = self.norm(x[seen])
        return result


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.up, self.down = torch.nn.Linear(WIDTH, FFN), torch.nn.Linear(FFN, WIDTH)
        self.attention_norm, self.mlp_norm = BatchNorm(), BatchNorm()

    def forward(self, x, seen):
        x = self.attention_norm(x + self.attention(x, x, x, key_padding_mask=~seen, need_weights=False)[0], seen)
        return self.mlp_norm(x + self.down(F.gelu(self.up(x))), seen)


class Bert(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.word, self.position = torch.nn.Embedding(VOCAB, WIDTH), torch.nn.Embedding(LENGTH, WIDTH)
        self.segment = torch.nn.Embedding(2, WIDTH)
        self.norm = BatchNorm()
        self.layers = torch.nn.ModuleList([Layer(), Layer()])
        self.transform, self.head_norm = torch.nn.Linear(WIDTH, WIDTH), BatchNorm()
        self.bias = torch.nn.Parameter(torch.zeros(VOCAB))

    def forward(self, tokens, segments, seen):
        x = self.word(tokens) + self.position(torch.arange(tokens.shape[1])) + self.segment(segments)
        x = self.norm(x, seen)
        for layer in self.layers:
            x = layer(x, seen)
        return self.head_norm(F.gelu(self.transform(x)), seen) @ self.word.weight.T + self.bias


def trireme_name(name):
    """Of what is one tensor on both sides."""
    name = name.replace(".norm.running_var", ".running_variance").replace(".norm.running_mean", ".running_mean")
    name = name.replace("norm.norm.", "norm.")
    if name.startswith(("word", "position", "segment", "norm")):
        return "embedding." + name
    if name.startswith("layers"):
        return name.replace("out_proj", "output").replace(".up.", ".mlp.up.").replace(".down.", ".mlp.down.")
    return {"bias": "head.bias"}.get(name, name.replace("head_norm", "head.norm").replace("transform", "head.transform"))


def names_of(tensors):
    result = {}
    for name, tensor in tensors.items():
        if "in_proj" in name:
            for piece, value in zip(("query", "key", "value"), tensor.chunk(3)):
                result[name.replace("in_proj_", piece + ".")] = value
        else:
            result[trireme_name(name)] = tensor
    return result


torch.manual_seed(43)
generator = torch.Generator().manual_seed(43)
model = Bert()
fixture.draw_weights(model, generator)
for name, buffer in model.named_buffers():
    if "running" in name:
        buffer.copy_(torch.rand(WIDTH, generator=generator) + (0.5 if "var" in name else -0.5))
model.double()
lengths = torch.tensor([6, LENGTH, 3]).expand(STEPS, BATCH).contiguous()
tokens = torch.randint(0, VOCAB, (STEPS, BATCH, LENGTH), generator=generator)
targets = torch.randint(0, VOCAB, (STEPS, BATCH, LENGTH), generator=generator)
segments = torch.randint(0, 2, (STEPS, BATCH, LENGTH), generator=generator)
seen = torch.arange(LENGTH)[None, :] < lengths[0][:, None]
targets[:, ~seen] = -1
targets[:, :, 1] = -1  # BERT scores some of its tokens


def logits_of(step):
    model.eval()
    logits = model(tokens[step], segments[step], seen)
    model.train()
    return logits


def loss_of(step):
    return F.cross_entropy(model(tokens[step], segments[step], seen).flatten(0, 1), targets[step].flatten(), ignore_index=-1)


buffers_of = lambda: {trireme_name(name): value for name, value in model.named_buffers() if "running" in name}
fixture.record("batch_norm", model, names_of, {"tokens": tokens, "targets": targets, "segments": segments, "lengths": lengths}, logits_of,
               loss_of, __file__, eps=1e-4, buffers_of=buffers_of)
