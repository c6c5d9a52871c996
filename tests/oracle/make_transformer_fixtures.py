#!/usr/bin/env python3
"""Makes marian.safetensors and torch_transformer.safetensors: encoder-decoder Transformers, for model_oracle_test.cpp.

    python tests/oracle/make_transformer_fixtures.py      (torch, transformers, safetensors; versions are recorded in the files)

marian: Hugging Face's MarianMTModel as the paper has it: norms after the sums, ReLU, embeddings times sqrt(d) and shared by
source, target and softmax; Marian's sinusoids (sines first, then cosines). torch_transformer: torch.nn's encoder and decoder layers
with norms before the parts, a last norm on both stacks, GELU, the paper's interleaved sinusoids, no sharing. Sources and targets
are padded; the padding holds tokens that must not matter. What is recorded: see fixture.py.
"""
import math

import torch
import torch.nn.functional as F
import transformers

import fixture
from fixture import BATCH, HERE, LENGTH, STEPS, VOCAB

SOURCE_LENGTH, SOURCE_VOCAB, WIDTH, HEADS, FFN = 11, 29, 24, 4, 36


def draw_inputs(generator, source_vocab):
    source = torch.randint(0, source_vocab, (STEPS, BATCH, SOURCE_LENGTH), generator=generator)
    # The last token is Marian's padding, whose embedding gets no gradient there.
    windows = torch.randint(0, VOCAB - 1, (STEPS, BATCH, LENGTH + 1), generator=generator)
    source_lengths = torch.tensor([SOURCE_LENGTH, 6, 1]).expand(STEPS, BATCH).contiguous()
    lengths = torch.tensor([7, LENGTH, 3]).expand(STEPS, BATCH).contiguous()
    targets = windows[..., 1:].clone()
    for sample in range(BATCH):
        targets[:, sample, lengths[0, sample]:] = -1
    return {"tokens": windows[..., :-1].contiguous(), "targets": targets, "lengths": lengths, "source_tokens": source,
            "source_lengths": source_lengths}


def mask_of(lengths, size):
    return torch.arange(size)[None, :] < lengths[:, None]


def loss_of(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)


def marian():
    config = transformers.MarianConfig(
        vocab_size=VOCAB, d_model=WIDTH, encoder_layers=2, decoder_layers=2, encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS, encoder_ffn_dim=FFN, decoder_ffn_dim=FFN, activation_function="relu", dropout=0.0,
        attention_dropout=0.0, activation_dropout=0.0, scale_embedding=True, share_encoder_decoder_embeddings=True,
        max_position_embeddings=16, pad_token_id=VOCAB - 1, eos_token_id=1, decoder_start_token_id=0, attn_implementation="eager")
    return transformers.MarianMTModel(config)


def marian_names(tensors):
    modules = {"self_attn.q_proj": "attention.query", "self_attn.k_proj": "attention.key", "self_attn.v_proj": "attention.value",
               "self_attn.out_proj": "attention.output", "self_attn_layer_norm": "attention_norm",
               "encoder_attn.q_proj": "cross_attention.query", "encoder_attn.k_proj": "cross_attention.key",
               "encoder_attn.v_proj": "cross_attention.value", "encoder_attn.out_proj": "cross_attention.output",
               "encoder_attn_layer_norm": "cross_norm", "fc1": "mlp.up", "fc2": "mlp.down", "final_layer_norm": "mlp_norm"}
    result = {}
    for name, tensor in tensors.items():
        parts = name.removeprefix("model.").split(".")
        if parts[0] == "shared":
            result["embedding.word.weight"] = tensor
        elif "embed_positions" not in name:
            module, kind = ".".join(parts[3:-1]), parts[-1]
            result[f"{parts[0]}.layers.{parts[2]}.{modules[module]}.{kind}"] = tensor
    return result


def make_marian():
    generator = torch.Generator().manual_seed(21)
    model = marian()
    positions = {name: value.clone() for name, value in model.state_dict().items() if "embed_positions" in name}
    fixture.draw_weights(model, generator)
    model.load_state_dict(positions, strict=False)
    for name, parameter in model.named_parameters():
        if "embed_positions" in name:
            parameter.requires_grad_(False)
    model.tie_weights()
    model.save_pretrained(HERE / "marian")
    (HERE / "marian" / "generation_config.json").unlink()
    model.eval().double()
    # The table again in float64: the model's own was made in float32.
    angles = torch.arange(16, dtype=torch.float64)[:, None] * 10000.0 ** (-2.0 * torch.arange(WIDTH // 2, dtype=torch.float64) / WIDTH)
    table = torch.cat([angles.sin(), angles.cos()], dim=1)
    for half in (model.model.encoder, model.model.decoder):
        assert (half.embed_positions.weight - table).abs().max() < 1e-6
        half.embed_positions.weight.data = table.clone()
    inputs = draw_inputs(generator, VOCAB - 1)

    def logits_of(step):
        return model(input_ids=inputs["source_tokens"][step], decoder_input_ids=inputs["tokens"][step],
                     attention_mask=mask_of(inputs["source_lengths"][step], SOURCE_LENGTH).long()).logits

    trained = torch.nn.ParameterDict({n.replace(".", "/"): p for n, p in model.named_parameters() if p.requires_grad})
    names_of = lambda tensors: marian_names({n.replace("/", "."): t for n, t in tensors.items()})
    fixture.record("marian", trained, names_of, inputs, logits_of, lambda step: loss_of(logits_of(step), inputs["targets"][step]), __file__, eps=1e-4)


class TorchTransformer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.source = torch.nn.Embedding(SOURCE_VOCAB, WIDTH)
        self.target = torch.nn.Embedding(VOCAB, WIDTH)
        self.stacks = torch.nn.Transformer(WIDTH, HEADS, 3, 2, FFN, 0.0, "gelu", batch_first=True, norm_first=True)
        self.head = torch.nn.Linear(WIDTH, VOCAB, bias=False)

    def embed(self, embedding, tokens):
        angles = torch.arange(tokens.shape[1], dtype=torch.float64)[:, None] * 10000.0 ** (
            -2.0 * torch.arange(WIDTH // 2, dtype=torch.float64) / WIDTH)
        table = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
        return embedding(tokens) * math.sqrt(WIDTH) + table

    def forward(self, source, source_lengths, tokens):
        padding = ~mask_of(source_lengths, source.shape[1])
        causal = torch.nn.Transformer.generate_square_subsequent_mask(tokens.shape[1], dtype=torch.float64)
        return self.head(self.stacks(self.embed(self.source, source), self.embed(self.target, tokens), tgt_mask=causal,
                                     src_key_padding_mask=padding, memory_key_padding_mask=padding))


def torch_names(tensors):
    norms = {"encoder": {"norm1": "input_norm", "norm2": "mlp_norm"},
             "decoder": {"norm1": "input_norm", "norm2": "cross_norm", "norm3": "mlp_norm"}}
    attentions = {"self_attn": "attention", "multihead_attn": "cross_attention"}
    linears = {"linear1": "mlp.up", "linear2": "mlp.down"}
    result = {}
    for name, tensor in tensors.items():
        parts = name.split(".")
        if parts[0] in ("source", "target"):
            result[("encoder" if parts[0] == "source" else "decoder") + ".embedding.word.weight"] = tensor
        elif parts[0] == "head":
            result["head.weight"] = tensor
        elif parts[2] == "norm":
            result[f"{parts[1]}.final_norm.{parts[3]}"] = tensor
        elif parts[4] in attentions:
            layer = f"{parts[1]}.layers.{parts[3]}.{attentions[parts[4]]}"
            if parts[5] == "out_proj":
                result[f"{layer}.output.{parts[6]}"] = tensor
            else:
                for piece, value in zip(("query", "key", "value"), tensor.chunk(3)):
                    result[f"{layer}.{piece}.{parts[5].removeprefix('in_proj_')}"] = value
        else:
            module = {**norms[parts[1]], **linears}[parts[4]]
            result[f"{parts[1]}.layers.{parts[3]}.{module}.{parts[5]}"] = tensor
    return result


def make_torch():
    generator = torch.Generator().manual_seed(22)
    model = TorchTransformer()
    fixture.draw_weights(model, generator)
    model.train().double()  # in training mode: evaluation has a fused path of its own
    inputs = draw_inputs(generator, SOURCE_VOCAB)
    logits_of = lambda step: model(inputs["source_tokens"][step], inputs["source_lengths"][step], inputs["tokens"][step])
    fixture.record("torch_transformer", model, torch_names, inputs, logits_of,
                   lambda step: loss_of(logits_of(step), inputs["targets"][step]), __file__, eps=1e-4)


torch.manual_seed(21)
make_marian()
make_torch()
