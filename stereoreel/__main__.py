"""``python -m stereoreel``: the terminal; see ``cli``."""

from .cli import interrupt

if __name__ == "__main__":
    interrupt.listen()  # before the imports that take a second

from .cli.main import main


def run() -> None:
    """The console script: end the process with the command's status."""
    interrupt.leave(main())


if __name__ == "__main__":
    run()
