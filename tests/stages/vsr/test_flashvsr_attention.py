"""FlashVSR's sparse attention: the mask by brute force, three equal paths, and the ring buffer."""

import math

import pytest
import torch

from stereoreel.stages.vsr.flashvsr import attention
from stereoreel.stages.vsr.flashvsr.cache import Slots, cache, kept_slots

CPU = torch.device("cpu")


def random(*shape, seed=0, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def brute_force(q, k, rows, columns, reach, keep):
    """Compute the mask pair by pair.

    Probabilities of a row over its neighbourhood, then one threshold for all pairs of a query slot.
    """
    heads, slots, blocks, _ = q.shape
    seen = torch.zeros(heads, slots * blocks, k.shape[1] * blocks, dtype=torch.bool)
    for head in range(heads):
        for slot in range(slots):
            likely = torch.zeros(blocks, k.shape[1] * blocks)
            for block in range(blocks):
                row, column, exps = block // columns, block % columns, {}
                for other in range(k.shape[1] * blocks):
                    r, c = other % blocks // columns, other % blocks % columns
                    if (
                        row - reach // 2 <= r <= row - reach // 2 + reach - 1
                        and column - reach // 2 <= c <= column - reach // 2 + reach - 1
                    ):
                        exps[other] = math.exp(
                            float(q[head, slot, block] @ k[head, other // blocks, other % blocks])
                            / math.sqrt(128)
                        )
                for other, value in exps.items():
                    likely[block, other] = value / sum(exps.values())
            limit = sorted(likely.flatten().tolist(), reverse=True)[min(keep, likely.numel() - 1)]
            seen[head, slot * blocks : (slot + 1) * blocks] = likely > limit
    return seen


@pytest.mark.parametrize(
    ("rows", "columns", "reach"), [(1, 1, 11), (2, 3, 3), (3, 5, 3), (5, 3, 4), (1, 6, 9)]
)
@pytest.mark.parametrize(("slots", "keys"), [(3, 3), (1, 4)])
@pytest.mark.parametrize("keep", [0, 7, 10**6])
def test_mask_equals_brute_force(rows, columns, reach, slots, keys, keep):
    q, k = random(2, slots, rows * columns, 128, scale=2), random(2, keys, rows * columns, 128, seed=1)
    near = attention.nearby(rows, columns, reach)
    assert attention.selected(q, k, near, keep).equal(brute_force(q, k, rows, columns, reach, keep))


def test_mask_depends_on_the_aspect():
    assert not attention.nearby(2, 6, 3).equal(attention.nearby(6, 2, 3))


@pytest.mark.parametrize(("height", "width"), [(768, 1280), (1152, 1920), (2176, 3840), (1024, 1024)])
@pytest.mark.parametrize(("sparsity", "seen"), [(2.0, 120), (1.5, 90)])
def test_visible_blocks_at_every_size(height, width, sparsity, seen):
    blocks = height * width // 16384
    assert seen - 1 <= attention.kept_blocks(height, width, sparsity) / blocks <= seen


def hidden(q, k, v, seen):
    """Return attention over every token with invisible ones masked; zeros where none is visible."""
    scores = q @ k.mT / math.sqrt(128)
    mask = seen.repeat_interleave(128, 1).repeat_interleave(128, 2)
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1).nan_to_num(0)
    return weights @ v


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("path", ["gathered", "dense"])
def test_every_path_attends_to_the_visible_blocks(path, share):
    q, (k, v) = random(2, 4 * 128, 128), random(2, 2, 7 * 128, 128, seed=1)
    seen = torch.rand(2, 4, 7, generator=torch.Generator().manual_seed(2)) < share
    seen[0, 1] = False
    made = attention.attention(path)(q, k, v, seen)
    torch.testing.assert_close(made, hidden(q, k, v, seen), atol=1e-5, rtol=1e-5)
    assert not made[0, 128:256].any()


def test_gathering_in_portions_changes_nothing(monkeypatch):
    q, (k, v) = random(2, 4 * 128, 128), random(2, 2, 7 * 128, 128, seed=1)
    seen = torch.rand(2, 4, 7, generator=torch.Generator().manual_seed(2)) < 0.5
    monkeypatch.setitem(attention.GATHERED_BYTES, "cpu", 1)
    torch.testing.assert_close(attention.gathered(q, k, v, seen), hidden(q, k, v, seen), atol=1e-5, rtol=1e-5)


def test_auto_names_a_path_and_the_reason():
    small, large = (
        attention.choose("auto", CPU, blocks, 4, keep) for blocks, keep in ((1, 119), (500, 60_000))
    )
    assert small == ("dense", "100% of the blocks are selected") and large[0] == "gathered"
    with pytest.raises(ValueError, match="Choose auto"):
        attention.choose("flex", CPU, 60, 4, 100)


@pytest.mark.parametrize(
    ("ratio", "after"),
    [(1.0, [2] * 4), (2.9, [2] * 4), (3.0, [3] * 4), (4.0, [3, 4, 4, 4]), (5.0, [3, 4, 5, 5])],
)
def test_number_of_kept_slots(ratio, after):
    """At most one slot is dropped after each chunk."""
    slots, seen = 0, []
    for index in range(4):
        slots += 3 if index == 0 else 1
        seen.append(slots)
        slots -= slots > int(ratio)
        assert slots == after[index]
    assert [Slots(index, kept_slots(ratio) + 1).seen for index in range(4)] == seen


def joined(chunks, kept):
    """Return what each chunk sees if slots are joined and the oldest are cut off."""
    slots, made = [], []
    for chunk in chunks:
        slots += chunk.chunk(3 if chunk.shape[1] > 256 else 1, 1)
        made.append(torch.cat(slots, 1))
        slots = slots[1:] if len(slots) > kept else slots
    return made


def sorted_slots(x, like):
    """Return slots ``[heads, tokens, 128]`` in the order of ``like``, because a ring buffer reorders them."""
    slots, others = (one.unflatten(1, (-1, 256)).transpose(0, 1).flatten(1) for one in (x, like))
    return slots[torch.cdist(others, slots).argmin(1)]


@pytest.mark.parametrize("store", ["device", "cpu", "int8"])
@pytest.mark.parametrize("kept", [2, 3, 4])
def test_ring_buffer_equals_joining(store, kept):
    blocks, heads, windows = 3, 2, 2
    chunks = [
        random(blocks, 2, heads, (3 if index == 0 else 1) * windows * 128, 128, seed=index)
        for index in range(7)
    ]
    ring = cache(store, blocks, heads, windows, kept, torch.float32, CPU)
    close = 0.02 if store == "int8" else 1e-6
    wanted = [
        [joined([chunk[block, part] for chunk in chunks], kept) for part in (0, 1)] for block in range(blocks)
    ]
    for index, chunk in enumerate(chunks):
        ring.begin(index)
        for block in range(blocks):
            keys, values, means = ring.exchange(block, *chunk[block])
            for made, part in ((keys, 0), (values, 1)):
                whole = wanted[block][part][index]
                assert made.shape == whole.shape
                slots = whole.unflatten(1, (-1, 256)).transpose(0, 1).flatten(1)
                torch.testing.assert_close(sorted_slots(made, whole), slots, atol=close, rtol=0)
            exact = attention.means(wanted[block][0][index])
            torch.testing.assert_close(means.sum((1, 2)), exact.sum(1), atol=1e-5, rtol=0)
