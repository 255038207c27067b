"""How gradients become new weights.

Shapes: V rows of an embedding, E numbers per row, K rows that a batch read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from textlstm.config import TrainingConfig
from textlstm.nn.device import cpu_threads
from textlstm.nn.layers import RowEmbedding
from textlstm.nn.optimizers import AdamW

_MANY = 1 << 21  # numbers, of which an update by one thread takes some milliseconds


def update_rows(optimizer: AdamW, args: Any, kwargs: Any) -> None:
    """Take the Adam step of every sparse gradient, on the rows that it holds only.

    A hook for before AdamW's own step, which then finds no gradient there. A row's moments rest
    while no batch reads it, as in `torch.optim.SparseAdam`. The state has AdamW's names.
    """
    with torch.no_grad():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    _adam_rows(parameter, group, optimizer.state[parameter])
                    parameter.grad = None


def _adam_rows(parameter: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
    assert parameter.grad is not None
    rows, gradient = unique_rows(parameter.grad)  # [K], [K, E]
    if not state:
        state["step"] = torch.tensor(0.0)
        state["exp_avg"] = torch.zeros_like(parameter)
        state["exp_avg_sq"] = torch.zeros_like(parameter)
    state["step"] += 1
    step = float(state["step"])
    beta_1, beta_2 = group["betas"]
    mean = state["exp_avg"].index_select(0, rows).lerp_(gradient, 1 - beta_1)  # [K, E]
    square = state["exp_avg_sq"].index_select(0, rows).mul_(beta_2)  # [K, E]
    square.addcmul_(gradient, gradient, value=1 - beta_2)
    state["exp_avg"].index_copy_(0, rows, mean)
    state["exp_avg_sq"].index_copy_(0, rows, square)
    scale = square.div_(1 - beta_2**step).sqrt_().add_(group["eps"])
    rate = group["lr"] / (1 - beta_1**step)
    values = parameter.index_select(0, rows).addcdiv_(mean, scale, value=-rate)
    parameter.index_copy_(0, rows, values)


def make_optimizer(model: nn.Module, config: TrainingConfig) -> AdamW:
    """Build AdamW (Loshchilov & Hutter 2019) for a model.

    Weight decay goes to matrices only. Biases have no scale to hold down. Embeddings are left
    out because the decay of each step would reach every row: a rare word's vector would fade
    between the few steps that have it. Gradients of a `RowEmbedding` become sparse, and a step
    changes only the rows of its batch.

    Args:
        model: its parameters, on their device.
        config: learning rate and weight decay.

    Returns:
        The optimizer, with torch's fused kernel where torch has one for the device. A group's
        `share` is for `set_rate`.
    """
    embeddings = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters(recurse=False)
    }
    groups: dict[str, list[nn.Parameter]] = {"matrices": [], "rest": [], "embeddings": []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            kind = "matrices" if parameter.ndim > 1 else "rest"
            groups["embeddings" if id(parameter) in embeddings else kind].append(parameter)
    pretrained = config.vectors is not None or config.init_from is not None
    of_vectors = config.vector_rate if pretrained else 1.0
    settings = [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if kind == "matrices" else 0.0,
            "share": of_vectors if kind == "embeddings" else 1.0,
        }
        for kind, parameters in groups.items()
        if parameters
    ]
    # torch before 2.4 has no fused kernel for a CPU
    fused = next(model.parameters()).is_cuda or torch.__version__ >= "2.4"
    optimizer = AdamW(settings, lr=config.learning_rate, fused=fused)
    for module in model.modules():
        if isinstance(module, RowEmbedding):
            module.sparse = True
    optimizer.register_step_pre_hook(update_rows)
    return optimizer


def update_threads(model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Compute with one CPU thread inside the block if an update of the weights is little work.

    Beside other work, each operation that threads share may wait for one that is not running.
    """
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    dense = sum(gradient.numel() for gradient in gradients if not gradient.is_sparse)
    return cpu_threads(1 if dense < _MANY else None)


def set_rate(optimizer: AdamW, rate: float) -> None:
    """Set the learning rate of a step, of which each group takes its share.

    Args:
        optimizer: as `make_optimizer` gives it.
        rate: the learning rate.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def clip_gradients(parameters: Iterable[Tensor], norm: float) -> Tensor:
    """Scale all gradients down together, sparse ones too, if their norm is above a limit.

    Args:
        parameters: those whose gradients count (Pascanu et al. 2013).
        norm: the limit.

    Returns:
        The norm before, a scalar.
    """
    gradients = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            rows, values = unique_rows(parameter.grad)
            parameter.grad = torch.sparse_coo_tensor(
                rows[None], values, parameter.shape, is_coalesced=True, check_invariants=False
            )
            gradients.append(values)
        else:
            gradients.append(parameter.grad)
    total = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    scale = (norm / (total + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale)
    return cast(Tensor, total)


def unique_rows(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of a sparse gradient [V, E], each once: row numbers [K], values [K, E]."""
    rows = gradient._indices()[0]
    if not gradient.is_coalesced() and not bool((rows[1:] > rows[:-1]).all()):
        gradient = gradient.coalesce()  # two backward passes were added up
        rows = gradient._indices()[0]
    values: Tensor = gradient._values()
    return rows, values
