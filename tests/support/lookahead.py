"""How far a stage reads ahead of its output."""

from stereoreel.core.pull import pull


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
    for (one,) in pull(made, host, chunk):
        count += one.shape[-4]
        worst = max(worst, read - count)
    return count, worst
