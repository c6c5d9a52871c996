#!/usr/bin/env python3
"""Makes optimizers.safetensors: ten steps of torch.optim's optimizers, for unit/core/optim/optimizer_oracle_test.cpp.

    python tests/oracle/make_optimizer_fixtures.py        (torch, safetensors; the version is recorded in the file)

A matrix with weight decay and a vector without; gradients that do not depend on the weights, among them zeros, tiny and huge
ones. For each optimizer the weights after steps 1 and 10, in float64 and float32. BERT's optimizer is not in torch: its update
is written out here from its description (Devlin et al. 2019, appendix A.2, and google-research/bert, optimization.py: no bias
correction, epsilon outside the root, decoupled decay). `ema` is torch.optim.swa_utils.AveragedModel over the steps of AdamW.
"""
import pathlib

import torch
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

HERE = pathlib.Path(__file__).parent
STEPS, LR, DECAY, EMA_DECAY = 10, 0.05, 0.1, 0.8


class Bert(torch.optim.Optimizer):
    def __init__(self, groups, lr, betas, eps):
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state.setdefault(weight, {"m": torch.zeros_like(weight), "v": torch.zeros_like(weight)})
                state["m"].mul_(group["betas"][0]).add_(weight.grad, alpha=1 - group["betas"][0])
                state["v"].mul_(group["betas"][1]).add_(weight.grad**2, alpha=1 - group["betas"][1])
                update = state["m"] / (state["v"].sqrt() + group["eps"]) + group["weight_decay"] * weight
                weight.sub_(group["lr"] * update)


OPTIMIZERS = {
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.95), eps=1e-8),
    "adam": lambda groups: torch.optim.Adam(groups, lr=LR, betas=(0.9, 0.98), eps=1e-9),
    "bert": lambda groups: Bert(groups, lr=LR, betas=(0.9, 0.999), eps=1e-6),
    "sgd": lambda groups: torch.optim.SGD(groups, lr=LR, momentum=0.9),
    "adagrad": lambda groups: torch.optim.Adagrad(groups, lr=LR),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, lr=LR),
    "rmsprop_momentum": lambda groups: torch.optim.RMSprop(groups, lr=LR, alpha=0.9, momentum=0.8),
    "rmsprop_centered": lambda groups: torch.optim.RMSprop(groups, lr=LR, alpha=0.9, eps=1e-4, centered=True),
    "rmsprop_centered_momentum": lambda groups: torch.optim.RMSprop(groups, lr=LR, alpha=0.9, eps=1e-4, momentum=0.8,
                                                                     centered=True),
}


def main():
    torch.manual_seed(7)
    matrix, vector = torch.randn(5, 7, dtype=torch.float32), torch.randn(6, dtype=torch.float32)
    gradients = {"matrix": torch.randn(STEPS, 5, 7), "vector": torch.randn(STEPS, 6)}
    gradients["matrix"][:, 0, 0] = 0.0
    gradients["matrix"][3, 1, :] = 0.0
    gradients["vector"][:, 0] *= 1e-4
    gradients["vector"][:, 1] *= 1e4
    tensors = {"initial/matrix": matrix, "initial/vector": vector,
               **{f"gradient/{name}": value for name, value in gradients.items()}}
    for name, make in OPTIMIZERS.items():
        for dtype in (torch.float64, torch.float32):
            module = torch.nn.Module()
            module.matrix = torch.nn.Parameter(matrix.to(dtype, copy=True))
            module.vector = torch.nn.Parameter(vector.to(dtype, copy=True))
            optimizer = make([{"params": [module.matrix], "weight_decay": DECAY},
                              {"params": [module.vector], "weight_decay": 0.0}])
            average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY))
            for step in range(STEPS):
                module.matrix.grad = gradients["matrix"][step].to(dtype)
                module.vector.grad = gradients["vector"][step].to(dtype)
                optimizer.step()
                average.update_parameters(module)
                if step + 1 in (1, STEPS):
                    for key in ("matrix", "vector"):
                        prefix = f"{name}/{str(dtype).removeprefix('torch.')}/after_{step + 1}"
                        tensors[f"{prefix}/{key}"] = getattr(module, key).detach().clone()
                        if name == "adamw":
                            tensors[f"{prefix}/ema/{key}"] = getattr(average.module, key).detach().clone()
    save_file(tensors, HERE / "optimizers.safetensors", metadata={"torch": torch.__version__})


if __name__ == "__main__":
    main()
