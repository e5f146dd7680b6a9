"""RIFE's network with random weights."""

import torch

from stereoreel.nets import rife


def network(names="4.15.lite", seed=0):
    """Return random weights with flows of several pixels."""
    torch.manual_seed(seed)
    family = next(one for one in rife.FAMILIES if names in one.names.split(", "))
    net = rife.RIFE(family).eval()
    with torch.no_grad():
        for index in range(len(family.channels)):
            getattr(net, f"block{index}").lastconv[0].weight.mul_(2)
    return net
