"""``python -m stereoreel``: the terminal; see ``cli``."""

import gc

from .cli import interrupt, passive_waiting, share_heaps

if __name__ == "__main__":
    interrupt.listen()  # before the imports that take a second
passive_waiting()
share_heaps()
gc.disable()  # imports leave no garbage, and looking for it takes a fifth of their time

import torch

from .cli.main import main

gc.freeze()
gc.enable()


def run() -> None:
    """The console script: end the process with the command's status."""
    torch.set_grad_enabled(False)
    interrupt.leave(main())


if __name__ == "__main__":
    run()
