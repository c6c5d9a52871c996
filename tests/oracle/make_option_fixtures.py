#!/usr/bin/env python3
"""Makes option_*.safetensors: encoder-decoders with the options of attention and layers on, for model_oracle_test.cpp.

    python tests/oracle/make_option_fixtures.py      (torch, safetensors; versions are recorded in the files)

A Transformer written out here from the papers' equations, with explicit loops over queries, keys and heads where distances count;
float64. Shaw et al. 2018 (arXiv 1803.02155), equations 3 to 5; Dai et al. 2019 (arXiv 1901.02860), section 3.3; Press et al. 2022
(arXiv 2108.12409), section 3 (three heads: two slopes of two heads, one of four); Bahdanau et al. 2015, appendix A.1.2, in each
head; Wang et al. 2020 (ICLR, "Encoding word order in complex embeddings"), equation 5, in torch.complex128,
one set of tables for source and target; Li et al. 2018 (arXiv 1810.10183), section 3: minus COEFFICIENT times the disagreement of heads, averaged over samples and the
three attentions, is a part of the loss. Relative positions are in self-attention alone. Post-norm; padding holds tokens that must not matter. What is recorded: see
fixture.py.
"""
import math

import torch
import torch.nn.functional as F

import fixture
from fixture import BATCH, STEPS

LENGTH, SOURCE_LENGTH, VOCAB, WIDTH, HEADS, FFN = 6, 7, 13, 12, 3, 10
HEAD = WIDTH // HEADS
CLIPPED = 2
COEFFICIENT = 2.5
SLOPES = [2.0 ** -4, 2.0 ** -8, 2.0 ** -2]


class Options:
    def __init__(self, positions="none", values=True, additive=False, scaled=True, shared=False, residual=True, norm=True,
                 feed_forward=True, activation=torch.relu, disagreement=None):
        self.positions, self.values, self.additive, self.scaled, self.shared = positions, values, additive, scaled, shared
        self.residual, self.norm, self.feed_forward, self.activation = residual, norm, feed_forward, activation
        self.disagreement = disagreement


def shapes(options):
    """Trireme's names and shapes."""
    if options.positions == "complex":
        result = {f"embedding.{table}.weight": (VOCAB, WIDTH // 2) for table in ("amplitude", "frequency", "phase")}
        result["head.weight"] = (VOCAB, WIDTH)
    else:
        result = {"embedding.word.weight": (VOCAB, WIDTH)}

    def linear(name, outputs, inputs):
        result[name + ".weight"] = (outputs, inputs)
        result[name + ".bias"] = (outputs,)

    def norm(name):
        if options.norm:
            result[name + ".weight"] = (WIDTH,)
            result[name + ".bias"] = (WIDTH,)

    def attention(name, own):
        for piece in ("query", "value", "output") if own and options.shared else ("query", "key", "value", "output"):
            linear(f"{name}.{piece}", WIDTH, WIDTH)
        if options.additive:
            result[name + ".score.weight"] = (HEADS, HEAD)
        if own and options.positions == "relative":
            for kind in ("key", "value") if options.values else ("key",):
                result[f"{name}.relative_{kind}.weight"] = (2 * CLIPPED + 1, HEAD)
        if own and options.positions == "relative_xl":
            result[name + ".position.weight"] = (WIDTH, WIDTH)
            result[name + ".content.bias"] = result[name + ".position.bias"] = (HEADS, HEAD)

    for stack in ("encoder", "decoder"):
        layer = stack + ".layers.0."
        attention(layer + "attention", True)
        norm(layer + "attention_norm")
        if stack == "decoder":
            attention(layer + "cross_attention", False)
            norm(layer + "cross_norm")
        if options.feed_forward:
            linear(layer + "mlp.up", FFN, WIDTH)
            linear(layer + "mlp.down", WIDTH, FFN)
            norm(layer + "mlp_norm")
    return result


def sinusoids(positions, interleaved):
    angles = positions.double()[:, None] * 10000.0 ** (-2.0 * torch.arange(WIDTH // 2, dtype=torch.float64) / WIDTH)
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1) if interleaved else torch.cat([angles.sin(), angles.cos()], 1)


class Model(torch.nn.Module):
    """Biases of heads are kept flat, so that they get no weight decay."""

    def __init__(self, options, generator):
        super().__init__()
        self.options = options
        self.shapes = shapes(options)
        self.held = torch.nn.ParameterDict()
        self.disagreements = []  # of every attention of the samples under way
        for name, shape in self.shapes.items():
            flat = (math.prod(shape),) if name.endswith(".bias") else shape
            start = torch.ones if "norm.weight" in name else torch.zeros
            self.held[name.replace(".", "/")] = torch.nn.Parameter(start(flat))
        fixture.draw_weights(self, generator)
        self.double()

    def names_of(self, tensors):
        names = {n.removeprefix("held.").replace("/", "."): t for n, t in tensors.items()}
        return {n: t.reshape(self.shapes[n]) for n, t in names.items()}

    def get(self, name):
        return self.held[name.replace(".", "/")].reshape(self.shapes[name])

    def linear(self, name, x):
        return x @ self.get(name + ".weight").T + self.get(name + ".bias")

    def norm(self, name, x):
        return F.layer_norm(x, (WIDTH,), self.get(name + ".weight"), self.get(name + ".bias")) if self.options.norm else x

    def disagreement(self, outputs, values, maps, length, memory_length):
        """Of one attention and sample, pair by pair; [rows][heads] vectors, of which the first count."""
        form = self.options.disagreement
        if form is None:
            return
        rows = {"subspace": values[:memory_length], "output": outputs[:length], "map": maps[:length]}[form]
        total = 0.0
        for heads in rows:
            for a in heads:
                for b in heads:
                    total = total - (a * b).sum() / (1.0 if form == "map" else a.norm() * b.norm())
        self.disagreements.append(total / HEADS ** 2 / (1 if form == "map" else len(rows)))

    def attention(self, name, x, memory, own, visible, length, memory_length):
        """x [T, D], memory [S, D], of one sample; visible(i, j); the first `length` rows are no padding."""
        options = self.options
        query = self.linear(name + ".query", x)
        key = query if own and options.shared else self.linear(name + ".key", memory)
        value = self.linear(name + ".value", memory)
        kind = options.positions if own else "none"
        scale = 1.0 / math.sqrt(HEAD) if options.scaled and not options.additive else 1.0
        rows, outputs, maps = [], [], []
        for i in range(len(x)):
            heads, weights = [], []
            for h in range(HEADS):
                part = slice(h * HEAD, (h + 1) * HEAD)
                q, scores, values = query[i, part], [], []
                keys = [j for j in range(len(memory)) if visible(i, j)]
                for j in keys:
                    k, v = key[j, part], value[j, part]
                    if options.additive:
                        score = (self.get(name + ".score.weight")[h] * torch.tanh(q + k)).sum()
                    elif kind == "relative_xl":
                        r = self.get(name + ".position.weight")[part] @ sinusoids(torch.tensor([i - j]), False)[0]
                        score = scale * ((q + self.get(name + ".content.bias")[h]) @ k + (q + self.get(name + ".position.bias")[h]) @ r)
                    else:
                        clipped = max(-CLIPPED, min(CLIPPED, j - i)) + CLIPPED
                        if kind == "relative":
                            k = k + self.get(name + ".relative_key.weight")[clipped]
                            if options.values:
                                v = v + self.get(name + ".relative_value.weight")[clipped]
                        score = scale * (q @ k)
                    if kind == "alibi":
                        score = score - SLOPES[h] * abs(i - j)
                    scores.append(score)
                    values.append(v)
                weights.append(torch.stack(scores).softmax(0) if keys else torch.zeros(0).double())
                heads.append((weights[-1][:, None] * torch.stack(values)).sum(0) if keys else torch.zeros(HEAD).double())
            rows.append(torch.cat(heads))
            outputs.append(heads)
            maps.append(weights)
        by_head = [[row[h * HEAD:(h + 1) * HEAD] for h in range(HEADS)] for row in value]
        self.disagreement(outputs, by_head, maps, length, memory_length)
        return self.linear(name + ".output", torch.stack(rows))

    def around(self, norm, x, branch):
        return self.norm(norm, x + branch if self.options.residual else branch)

    def embed(self, tokens):
        if self.options.positions == "complex":
            amplitude, frequency, phase = (F.embedding(tokens, self.get(f"embedding.{table}.weight"))
                                           for table in ("amplitude", "frequency", "phase"))
            words = amplitude * torch.exp(1j * (frequency * torch.arange(len(tokens)).double()[:, None] + phase))
            return torch.cat([words.real, words.imag], 1) * math.sqrt(WIDTH)
        x = F.embedding(tokens, self.get("embedding.word.weight")) * math.sqrt(WIDTH)
        return x + sinusoids(torch.arange(len(tokens)), True) if self.options.positions == "sinusoidal" else x

    def feed_forward(self, layer, x):
        if not self.options.feed_forward:
            return x
        branch = self.linear(layer + "mlp.down", self.options.activation(self.linear(layer + "mlp.up", x)))
        return self.around(layer + "mlp_norm", x, branch)

    def sample(self, source, source_length, tokens, length):
        layer, x = "encoder.layers.0.", self.embed(source)
        seen = lambda i, j: j < source_length
        x = self.around(layer + "attention_norm", x, self.attention(layer + "attention", x, x, True, seen, source_length, source_length))
        memory = self.feed_forward(layer, x)
        layer, x = "decoder.layers.0.", self.embed(tokens)
        x = self.around(layer + "attention_norm", x, self.attention(layer + "attention", x, x, True, lambda i, j: j <= i, length, length))
        x = self.around(layer + "cross_norm", x, self.attention(layer + "cross_attention", x, memory, False, seen, length, source_length))
        return self.feed_forward(layer, x) @ self.get("head.weight" if self.options.positions == "complex" else "embedding.word.weight").T


def make(name, seed, options):
    generator = torch.Generator().manual_seed(seed)
    model = Model(options, generator)
    windows = torch.randint(0, VOCAB, (STEPS, BATCH, LENGTH + 1), generator=generator)
    inputs = {"tokens": windows[..., :-1], "targets": windows[..., 1:].clone(),
              "source_tokens": torch.randint(0, VOCAB, (STEPS, BATCH, SOURCE_LENGTH), generator=generator),
              "lengths": torch.tensor([4, LENGTH, 3]).expand(STEPS, BATCH),
              "source_lengths": torch.tensor([SOURCE_LENGTH, 5, 1]).expand(STEPS, BATCH)}
    for sample in range(BATCH):
        inputs["targets"][:, sample, inputs["lengths"][0, sample]:] = -1

    def logits_of(step):
        model.disagreements = []
        return torch.stack([model.sample(inputs["source_tokens"][step, b], inputs["source_lengths"][step, b], inputs["tokens"][step, b],
                                         inputs["lengths"][step, b]) for b in range(BATCH)])

    def loss_of(step):
        loss = F.cross_entropy(logits_of(step).flatten(0, 1), inputs["targets"][step].flatten(), ignore_index=-1)
        return loss - COEFFICIENT * torch.stack(model.disagreements).mean() if model.disagreements else loss

    fixture.record("option_" + name, model, model.names_of, inputs, logits_of, loss_of, __file__, eps=1e-4)


make("relative", 31, Options(positions="relative"))
make("shared", 32, Options(positions="relative", values=False, shared=True))
make("relative_xl", 33, Options(positions="relative_xl"))
make("alibi", 34, Options(positions="alibi", scaled=False, activation=torch.sigmoid))
make("additive", 35, Options(positions="sinusoidal", additive=True, norm=False, activation=torch.tanh))
make("bare", 36, Options(positions="sinusoidal", residual=False, feed_forward=False))
for seed, form in enumerate(("subspace", "output", "map"), 37):
    make("disagreement_" + form, seed, Options(positions="sinusoidal", disagreement=form))
make("complex", 40, Options(positions="complex"))
