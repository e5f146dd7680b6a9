"""Parallel work on CPU cores."""

import threading

import pytest
import torch

from stereoreel.image.compute import Spread, parallel_map


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_items_keep_their_order_and_use_one_core_each(two_threads):
    assert parallel_map(lambda item: (item, torch.get_num_threads()), range(5)) == [
        (item, 1) for item in range(5)
    ]


def test_other_threads_keep_their_setting(two_threads):
    parallel_map(str, range(2))
    seen = [torch.get_num_threads()]
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [2, 2]


def test_nested_work_does_not_deadlock(two_threads):
    assert parallel_map(lambda item: parallel_map(str, range(item)), range(4)) == [
        [],
        ["0"],
        ["0", "1"],
        ["0", "1", "2"],
    ]


def test_inference_mode_and_grad_mode_reach_the_workers(two_threads):
    def modes(_):
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    with torch.inference_mode():
        assert parallel_map(modes, range(2)) == [(True, False)] * 2
    with torch.no_grad():
        assert parallel_map(modes, range(2)) == [(False, False)] * 2


def test_error_reaches_the_caller(two_threads):
    with pytest.raises(ZeroDivisionError):
        parallel_map(lambda item: 1 / item, range(3))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_spread_function_sees_every_frame_once(count, two_threads):
    batch = torch.arange(count * 12.0).reshape(count, 3, 2, 2)
    assert torch.equal(Spread(lambda part: part * 2)(batch), batch * 2)
