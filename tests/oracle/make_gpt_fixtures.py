#!/usr/bin/env python3
"""Makes gpt2.safetensors and llama.safetensors: what Hugging Face's models compute, for model_oracle_test.cpp.

    python tests/oracle/make_gpt_fixtures.py        (torch, transformers, safetensors; versions are recorded in the files)

Tiny models with random weights in float64: logits, loss and every gradient of a first batch, losses and gradient norms of ten
steps of torch.optim.AdamW (clip at 1.0, no decay on norms and biases), and the weights after steps 1 and 10. Parameters carry
Trireme's names, with GPT-2's packed and transposed Conv1D weights unpacked. Llama's rotary angles and RMSNorm are computed in
float32 by Transformers whatever the model's type; they are replaced here by the same formulas in float64 (and the logits are
compared with the original's). The folders gpt2 and llama hold the initial weights as save_pretrained() writes them, for the
import of checkpoints; llama in several files.
"""
import copy

import torch
import torch.nn.functional as F
import transformers
from transformers.models.llama import modeling_llama

import fixture
from fixture import BATCH, HERE, LENGTH, STEPS, VOCAB


def exact_rms_norm(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def exact_rotary(self, x, position_ids):
    dim = self.config.hidden_size // self.config.num_attention_heads
    theta = self.config.rope_parameters["rope_theta"]
    frequencies = theta ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angles = position_ids.to(torch.float64)[:, :, None] * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


def gpt2():
    config = transformers.GPT2Config(vocab_size=VOCAB, n_positions=16, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0.0,
                                     embd_pdrop=0.0, attn_pdrop=0.0, attn_implementation="sdpa")
    return transformers.GPT2LMHeadModel(config)


def llama():
    config = transformers.LlamaConfig(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                                      num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=16,
                                      rms_norm_eps=1e-5, attn_implementation="sdpa")
    return transformers.LlamaForCausalLM(config)


def gpt2_names(tensors):
    """{Hugging Face name: tensor} -> {Trireme name: tensor}."""
    modules = {"ln_1": "input_norm", "attn.c_proj": "attention.output", "ln_2": "mlp_norm", "mlp.c_fc": "mlp.up",
               "mlp.c_proj": "mlp.down"}
    result = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("transformer.")
        parts = name.split(".")
        module, kind = ".".join(parts[2:-1]), parts[-1]
        if name.startswith("wte"):
            result["embedding.word.weight"] = tensor
        elif name.startswith("wpe"):
            result["embedding.position.weight"] = tensor
        elif name.startswith("ln_f"):
            result["final_norm." + kind] = tensor
        elif module == "attn.c_attn":
            for piece, value in zip(("query", "key", "value"), tensor.chunk(3, dim=-1)):
                result[f"layers.{parts[1]}.attention.{piece}.{kind}"] = value.t() if kind == "weight" else value
        else:
            conv1d = kind == "weight" and not module.startswith("ln")
            result[f"layers.{parts[1]}.{modules[module]}.{kind}"] = tensor.t() if conv1d else tensor
    return result


def llama_names(tensors):
    """{Hugging Face name: tensor} -> {Trireme name: tensor}."""
    replacements = [("model.", ""), ("embed_tokens", "embedding.word"), ("self_attn.q_proj", "attention.query"),
                    ("self_attn.k_proj", "attention.key"), ("self_attn.v_proj", "attention.value"),
                    ("self_attn.o_proj", "attention.output"), ("input_layernorm", "input_norm"),
                    ("post_attention_layernorm", "mlp_norm"), ("gate_proj", "gate"), ("up_proj", "up"),
                    ("down_proj", "down"), ("lm_head", "head")]
    result = {}
    for name, tensor in tensors.items():
        for old, new in replacements:
            name = name.replace(old, new)
        result["final_norm.weight" if name == "norm.weight" else name] = tensor
    return result


def make(name, model, names_of):
    generator = torch.Generator().manual_seed(20)
    fixture.draw_weights(model, generator)
    windows = torch.randint(0, VOCAB, (STEPS, BATCH, LENGTH + 1), generator=generator)
    tokens, targets = windows[..., :-1].contiguous(), windows[..., 1:].clone()

    model.save_pretrained(HERE / name, max_shard_size="5GB" if name == "gpt2" else "40KB")
    (HERE / name / "generation_config.json").unlink()

    model.eval()
    original = model(tokens[0]).logits.detach()
    model.double()
    modeling_llama.LlamaRMSNorm.forward = exact_rms_norm
    modeling_llama.LlamaRotaryEmbedding.forward = exact_rotary
    exact = model(tokens[0], labels=windows[0, :, :-1])
    assert (exact.logits - original).abs().max() < 2e-5, "the replaced formulas differ"
    own_loss = F.cross_entropy(exact.logits[:, :-1].flatten(0, 1), targets[0, :, :-1].flatten())
    assert (exact.loss - own_loss).abs() < 1e-6, "the loss is not Hugging Face's"

    def error_in(dtype):
        """What a 16-bit type costs Transformers itself."""
        rounded = copy.deepcopy(model).to(dtype)(tokens[0]).logits.detach().double()
        return ((rounded - exact.logits).norm() / exact.logits.norm()).item()

    bf16_error, fp16_error = error_in(torch.bfloat16), error_in(torch.float16)

    targets[:, 0, 2] = targets[:, 2, 5:] = -1  # some count nothing
    def loss_of(step):
        logits = model(tokens[step]).logits
        return F.cross_entropy(logits.flatten(0, 1), targets[step].flatten(), ignore_index=-1)

    fixture.record(name, model, names_of, {"tokens": tokens, "targets": targets}, lambda step: model(tokens[step]).logits, loss_of,
                   __file__, {"bf16_error": bf16_error, "fp16_error": fp16_error})


torch.manual_seed(20)
make("gpt2", gpt2(), gpt2_names)
make("llama", llama(), llama_names)
