"""The command line: one module per command."""

import os


def passive_waiting() -> None:
    """Make torch's threads sleep while they wait for each other; call it before torch is imported.

    Otherwise they spin, which next to a decoder and an encoder costs up to twenty times the work.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
