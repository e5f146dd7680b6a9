"""How far a stage reads ahead of its output."""

from stereoreel.core.meter import Meter
from stereoreel.core.pull import pull


def in_turn() -> Meter:
    """Return a meter of a pull whose stages take turns, so that none runs ahead of its reader."""
    meter = Meter()
    meter.in_turn = True
    return meter


def lookahead(source, made, host, chunk: int) -> tuple[int, int]:
    """Return the frames that ``made`` gave, and the most frames of ``source`` read ahead of its output."""
    read, given = 0, source.maker.chunks

    def chunks(host, count):
        nonlocal read
        for one in given(host, count):
            read += len(one)
            yield one

    source.maker.chunks = chunks
    count, worst = 0, 0
    for (one,) in pull(made, host, chunk, in_turn()):
        count += one.shape[-4]
        worst = max(worst, read - count)
    return count, worst
