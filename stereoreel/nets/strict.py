"""Load the tensors of a checkpoint into a network, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

Net = TypeVar("Net", bound=nn.Module)


class Unfit(ValueError):
    """A checkpoint that fits no supported network, in one sentence for the user."""


def load_strict(net: Net, state: Mapping[str, Tensor], name: str) -> Net:
    """Return ``net``, created on the meta device, with these tensors unchanged, ready for inference.

    Dtype and device stay too. Raise Unfit, which calls the network ``name``, if a tensor is missing, unknown
    or of another shape.
    """
    expected = {key: tensor.shape for key, tensor in net.state_dict().items()}
    wrong = sorted(expected.keys() ^ state.keys()) or [
        key for key, shape in expected.items() if state[key].shape != shape
    ]
    whole = [key for key, tensor in state.items() if not tensor.is_floating_point()]
    if wrong:
        raise Unfit(
            f"{name} has {len(expected)} tensors and this checkpoint {len(state)}; "
            f"{len(wrong)} missing, unknown or of another shape: {', '.join(wrong[:3])}."
        )
    if whole:
        raise Unfit(
            f"{name} needs floating-point tensors and this checkpoint has integers: {', '.join(whole[:3])}."
        )
    net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False)
