"""Run the media fuzz in worker processes; a case that ends its worker is followed by a new one.

``python -m tests.attack.media_fuzz FIRST:LAST`` (in the repository's root) prints what came of a
range.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.attack.media_seeds import make_seeds

ROOT = Path(__file__).resolve().parents[2]


class Result(NamedTuple):
    """The outcome of a case: frames, sentence, or a fault; ``words`` describe the sentence or the fault."""

    number: int
    container: str
    done: str
    outcome: str
    words: str
    seconds: float = 0.0
    memory: int = 0

    def __str__(self) -> str:
        return f"case {self.number} ({self.container}, {self.done}): {self.outcome}: {self.words}"


def fuzz(numbers: Sequence[int], folder: Path) -> Iterator[Result]:
    """Return the results of the cases, in order; ``folder`` is empty and the worker's own."""
    seeds, work = folder / "seeds", folder / "work"
    for place in (seeds, work):
        place.mkdir()
    make_seeds(seeds)
    left = list(numbers)
    while left:
        for result in _one_worker(left, seeds, work):
            yield result
            left.remove(result.number)
        for path in work.iterdir():
            path.unlink()


def _one_worker(numbers: Sequence[int], seeds: Path, work: Path) -> Iterator[Result]:
    """Return the results of the cases until the worker ends; at least one."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "tests.attack.media_worker", str(seeds), str(work), *map(str, numbers)]
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=work,
            env={**os.environ, "PYTHONPATH": paths},
        ) as worker:
            begun, made, anything = None, False, False
            for line in worker.stdout:
                said = json.loads(line)
                if "outcome" in said:
                    yield Result(
                        **begun, **{key: said[key] for key in ("outcome", "words", "seconds", "memory")}
                    )
                    begun = None
                elif "made" in said:
                    made = True
                else:
                    begun, made, anything = said, False, True
        errors.seek(0)
        text = errors.read()[-6000:]
    if begun and made:
        yield Result(**begun, outcome="worse", words=f"the process ended with {worker.returncode}\n{text}")
    elif begun:
        yield Result(
            **begun, outcome="unmade", words="the library that was to write the mutant ended the process"
        )
    elif not anything:
        raise RuntimeError(f"The worker did not begin:\n{text}")


def table(results: Sequence[Result]) -> str:
    """Count frames, sentences and faults by container, without cases that could not be generated."""
    counts: dict[str, Counter] = defaultdict(Counter)
    for one in results:
        counts[one.container][one.outcome] += 1
    rows = [
        f"{name:9}{count['frames']:8}{count['sentence']:10}{count['worse']:7}"
        for name, count in (*counts.items(), ("all", sum(counts.values(), Counter())))
    ]
    return "\n".join([f"{'':9}{'frames':>8}{'sentence':>10}{'worse':>7}", *rows])


def main(words: str) -> int:
    first, last = (int(number) for number in words.split(":"))
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for one in fuzz(range(first, last), Path(folder)):
            results.append(one)
            if one.outcome == "worse":
                print(one, flush=True)
    print(table(results))
    print("sentences:")
    sentences = Counter(
        " ".join(word for word in one.words.split() if "case_" not in word)
        for one in results
        if one.outcome == "sentence"
    )
    for sentence, count in sentences.most_common():
        print(f"{count:6} {sentence}")
    print(
        f"slowest {max(one.seconds for one in results)} s, most memory "
        f"{max(one.memory for one in results) >> 20} MiB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
