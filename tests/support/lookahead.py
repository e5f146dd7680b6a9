"""How far a stage reads ahead of what it has given."""

from stereoreel.core.pull import pull


def lookahead(source, made, host, chunk: int) -> tuple[int, int]:
    """Frames that the clip ``made`` of ``source`` gave in all, and the most that had been read of ``source``
    beyond those given.
    """
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
