"""AdamW and L-BFGS do what torch's do, to the last bit."""

import pytest
import torch

from textlstm.nn.optimizers import LBFGS, AdamW


def fitted(kind, **settings):
    """Weights after some steps; their state moves to another optimizer on the way."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    inputs, targets = torch.randn(8, 3), torch.randint(2, (8,))
    optimizers = [kind(model.parameters(), lr=0.1, **settings) for _ in range(2)]
    calls = []
    for optimizer in optimizers:
        optimizer.register_step_pre_hook(lambda *_: calls.append(1))

        def closure(optimizer=optimizer):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
        optimizers[1].load_state_dict(optimizer.state_dict())
    assert len(calls) == 6
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize(
    ("ours", "settings"),
    [(AdamW, {"weight_decay": 0.5}), (LBFGS, {"line_search_fn": "strong_wolfe", "max_iter": 2})],
)
def test_every_step_is_that_of_torch(ours, settings):
    theirs = getattr(torch.optim, ours.__name__)
    assert torch.equal(fitted(ours, **settings), fitted(theirs, **settings))
