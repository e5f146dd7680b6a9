"""A stage that counts the frames it receives."""

from collections.abc import Callable
from dataclasses import dataclass, field


def mean(*chunks):
    return sum(chunks) / len(chunks)


@dataclass
class Counting:
    """``work`` maps one chunk (or several inputs' chunks) to one; ``seen`` counts the frames."""

    work: Callable = mean
    label: str = "Counting"
    joint: bool = False
    nets: list = field(default_factory=list)
    seen: int = 0

    def describe(self, *infos):
        return infos[0]

    def load(self, host):
        return self

    def __call__(self, shot, *chunks):
        for parts in zip(*chunks):
            self.seen += parts[0].shape[-4]
            yield self.work(*parts)
