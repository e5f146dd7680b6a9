"""A texture and a square that move in opposite directions."""

import torch

HEIGHT, WIDTH = 36, 52


def scene(count: int, seed: int = 0) -> torch.Tensor:
    """Return smooth texture and a square that move in opposite directions: ``[count, H, W, 3]``."""
    torch.manual_seed(seed)
    waves = torch.rand(6, 4)
    rows, columns = torch.meshgrid(torch.arange(HEIGHT) / 7, torch.arange(WIDTH) / 7, indexing="ij")
    made = []
    for time in range(count):
        layers = [torch.sin(3 * a * (columns + 0.2 * time) + 3 * b * rows + 6 * c) for a, b, c, _ in waves]
        image = torch.stack([layers[i] + layers[i + 3] for i in range(3)], -1) / 6 + 0.5
        image[10:20, (30 - time) % 40 : (30 - time) % 40 + 8] = torch.tensor([0.9, 0.3, 0.2])
        made.append(image)
    return torch.stack(made).clamp(0, 1)
