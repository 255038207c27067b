"""AdamW and L-BFGS of torch without what `torch.compile` needs of them.

The first call of a method that torch marks for `torch.compile` imports `torch._dynamo`: two
seconds of every training. Nothing here is compiled, so the methods are taken without their marks.
"""

from __future__ import annotations

import inspect

import torch


class _Unmarked(torch.optim.Optimizer):
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class AdamW(_Unmarked, torch.optim.AdamW):
    """`torch.optim.AdamW` (Loshchilov & Hutter 2019)."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class LBFGS(_Unmarked, torch.optim.LBFGS):
    """`torch.optim.LBFGS` (Liu & Nocedal 1989)."""
