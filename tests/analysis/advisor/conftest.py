"""What the advisor measures of the real clips, once per process."""

import functools

import pytest

from stereoreel.analysis.advisor.measure import Measured, measure
from stereoreel.core.clip import Clip
from stereoreel.media.read.decode import FileSource
from stereoreel.models.headless import Headless


@pytest.fixture
def measured_clip(real_clip):
    """Return what is measured of a real clip, by its file name."""
    return lambda name: _measured(real_clip(name))


@functools.cache
def _measured(path) -> Measured:
    return measure(Clip(FileSource(path, cuts=False)), Headless("cpu"), samples=3)
