"""``python -m stereoreel``: the terminal; see ``cli``."""

from .cli import interrupt, passive_waiting, share_heaps

if __name__ == "__main__":
    interrupt.listen()  # before the imports that take a second
passive_waiting()
share_heaps()

import torch

from .cli.main import main


def run() -> None:
    """The console script: end the process with the command's status."""
    torch.set_grad_enabled(False)
    interrupt.leave(main())


if __name__ == "__main__":
    run()
