"""What the generators of model fixtures share: a model's logits, loss and every gradient of a first batch, losses and gradient
norms of ten steps of torch.optim.AdamW (clip at 1.0, no decay on norms and biases), and the weights after steps 1 and 10."""
import pathlib

import torch
import transformers
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
VOCAB, BATCH, LENGTH, STEPS = 37, 3, 9, 10
LR, BETAS, EPS, DECAY, CLIP = 1e-2, (0.9, 0.95), 1e-8, 0.1, 1.0


def draw_weights(model, generator):
    """Values that float32 holds exactly, and no symmetry of zeros and ones."""
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator) * (0.2 if parameter.dim() > 1 else 0.1)
        parameter.data = noise + (1.0 if parameter.dim() == 1 and parameter.data.mean() > 0.5 else 0.0)


def record(name, model, names_of, inputs, logits_of, loss_of, generator_file, extra=None, eps=EPS, buffers_of=dict):
    """model: in float64. inputs: {name: int32 tensor [STEPS, ...]}. logits_of(step), loss_of(step): of the model, the loss a
    mean. names_of: {their name: tensor} -> {Trireme's name: tensor}. buffers_of(): {Trireme's name: state that is not trained}. eps: of Adam; one near the size of small gradients makes an
    update a smooth function of them, where 1e-8 makes whole steps of what is rounding noise in float32."""
    groups = [dict(params=[p for p in model.parameters() if p.dim() > 1], weight_decay=DECAY),
              dict(params=[p for p in model.parameters() if p.dim() < 2], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=eps)
    named = lambda pick: names_of({n: pick(p).detach().clone() for n, p in model.named_parameters()})
    out = {key: value.int().contiguous() for key, value in inputs.items()}
    losses, norms = [], []
    put = lambda prefix, tensors: out.update({prefix + n: t.contiguous() for n, t in tensors.items()})
    state = lambda: {**named(lambda p: p), **{n: t.clone() for n, t in buffers_of().items()}}
    put("initial/", {n: t.float() for n, t in state().items()})
    for step in range(STEPS):
        if step == 0:
            out["logits"] = logits_of(step).detach().clone().contiguous()
        loss = loss_of(step)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            put("gradient/", named(lambda p: p.grad))
        losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).item())
        optimizer.step()
        if step + 1 in (1, STEPS):
            put(f"after_{step + 1}/", state())
    assert norms[0] > CLIP, "clipping is not tested"
    out["losses"], out["norms"] = torch.tensor(losses, dtype=torch.float64), torch.tensor(norms, dtype=torch.float64)
    if eps != EPS:
        extra = dict(extra or {}, adam_eps=eps)
    for key, value in (extra or {}).items():
        out[key] = torch.tensor([value], dtype=torch.float64)
    path = HERE / f"{name}.safetensors"
    save_file(out, path, metadata={"torch": torch.__version__, "transformers": transformers.__version__,
                                   "generator": pathlib.Path(generator_file).name})
    print(name, path.stat().st_size, "bytes; losses", losses[0], losses[-1], "norm", norms[0], extra or "")
