"""The terminal: a command a file."""

import os


def passive_waiting() -> None:
    """Have torch's threads sleep while they wait for each other; call it before torch is imported.

    They spin otherwise: next to a decoder and an encoder that costs up to twenty times the work.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
