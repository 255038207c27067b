"""How gradients become new weights."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW

from textlstm.config import TrainingConfig


def make_optimizer(model: nn.Module, config: TrainingConfig) -> AdamW:
    """Build AdamW (Loshchilov & Hutter 2019) for a model.

    Weight decay goes to matrices only. Biases have no scale to hold down. Embeddings are left
    out because the decay of each step would reach every row: a rare word's vector would fade
    between the few steps that have it.

    Args:
        model: its parameters, on their device.
        config: learning rate and weight decay.

    Returns:
        The optimizer, with torch's fused kernel where torch has one for the device.
    """
    embeddings = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters(recurse=False)
    }
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups[parameter.ndim > 1 and id(parameter) not in embeddings].append(parameter)
    settings = [
        {"params": parameters, "weight_decay": config.weight_decay if decayed else 0.0}
        for decayed, parameters in groups.items()
        if parameters
    ]
    try:
        return AdamW(settings, lr=config.learning_rate, fused=True)
    except RuntimeError:  # torch before 2.4 has no fused AdamW on a CPU
        return AdamW(settings, lr=config.learning_rate)
