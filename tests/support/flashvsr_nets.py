"""FlashVSR with few channels and random weights, saved like the official files."""

from pathlib import Path

import torch
from torch import Tensor

from stereoreel.nets import flashvsr, flashvsr_decoder, flashvsr_projector, wan_vae

FAMILY = flashvsr.Family(width=256, blocks=2, inner=96, text=32, frequencies=64)
PROJECTOR, DECODER, VAE = (24, 32, 256), (16, 12, 8, 8), 2


def random_state(net: torch.nn.Module, seed: int = 0) -> dict[str, Tensor]:
    """Return weights that keep the signal's magnitude; norms are about one."""
    torch.manual_seed(seed)
    state = {}
    for name, tensor in net.state_dict().items():
        if "gamma" in name or ("norm" in name and name.endswith("weight")):
            state[name] = 1 + 0.2 * torch.randn(tensor.shape)
        elif tensor.dim() > 1 and name.endswith("weight"):
            state[name] = torch.randn(tensor.shape) * (1.5 / tensor[0].numel()) ** 0.5
        else:
            state[name] = 0.1 * torch.randn(tensor.shape)
    return state


def dit_state(seed: int = 0) -> dict[str, Tensor]:
    state = random_state(flashvsr.WanDiT(FAMILY), seed)
    for name in state:  # attention that is not the same everywhere
        if name.endswith(("self_attn.q.weight", "self_attn.k.weight")):
            state[name] *= 3
    return state


def projector_state(seed: int = 1) -> dict[str, Tensor]:
    return random_state(flashvsr_projector.Projector(*PROJECTOR), seed)


def decoder_state(seed: int = 2) -> dict[str, Tensor]:
    return random_state(flashvsr_decoder.TCDecoder(*DECODER), seed)


def vae_state(seed: int = 3) -> dict[str, Tensor]:
    return random_state(wan_vae.WanDecoder(VAE), seed)


def prompt(seed: int = 4) -> Tensor:
    return torch.randn(1, 7, FAMILY.text, generator=torch.Generator().manual_seed(seed))


def folded(seed: int = 0) -> flashvsr.FoldedDiT:
    return flashvsr.load(dit_state(seed)).folded(prompt(), torch.float32).eval()


def projector(causal: bool = True, stacked: bool = True) -> flashvsr_projector.Projector:
    net = flashvsr_projector.load(projector_state())
    net.causal = causal
    return net.stacked() if stacked else net


def save(folder: Path, version: str = "1.1", vae: bool = False) -> None:
    """Write the official files of a version below a weights folder."""
    from safetensors.torch import save_file

    place = folder / {"1.1": "FlashVSR-v1.1", "1": "FlashVSR"}[version]
    place.mkdir(parents=True, exist_ok=True)
    save_file(dit_state(), place / "diffusion_pytorch_model_streaming_dmd.safetensors")
    torch.save(projector_state(), place / "LQ_proj_in.ckpt")
    torch.save(decoder_state(), place / "TCDecoder.ckpt")
    torch.save(prompt(), place / "posi_prompt.pth")
    if vae:
        torch.save(
            {**vae_state(), "encoder.conv1.weight": torch.zeros(3), "conv1.weight": torch.zeros(3)},
            place / "Wan2.1_VAE.pth",
        )
