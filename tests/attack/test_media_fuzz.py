"""A damaged file gives its declared frames or one clear error, without a crash, hang or leak.

The error contains no library's own words. ``pytest --fuzz=5000`` runs that many mutants, ``--fuzz=812:813``
repeats one.
"""

from tests.attack.media_fuzz import fuzz, table
from tests.attack.media_mutants import MUTATORS
from tests.attack.media_seeds import CONTAINERS

SHORT = len(CONTAINERS) * len(MUTATORS)


def test_mutants_give_frames_or_an_error(request, tmp_path):
    first, last = numbers(request.config.getoption("--fuzz"))
    results = list(fuzz(range(first, last), tmp_path))
    print(table(results))
    assert [str(one) for one in results if one.outcome == "worse"] == []
    if last - first >= SHORT:  # a harness that makes nothing, or opens nothing, would find nothing
        assert {one.container for one in results if one.outcome == "frames"} == set(CONTAINERS)
        assert {"frames", "sentence"} == {one.outcome for one in results} - {"unmade"}
        assert sum(one.outcome == "unmade" for one in results) < len(results) / 100


def numbers(words: str) -> tuple[int, int]:
    """Return the first case, and the one after the last."""
    first, _, last = (words or str(SHORT)).rpartition(":")
    return int(first or 0), int(last)
