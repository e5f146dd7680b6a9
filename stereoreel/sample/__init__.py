"""The pack's own clip, and the renderer with its true depth and its other views."""

from pathlib import Path

FILE = Path(__file__).with_name("sample.mp4")  # rendered by ``stereoreel.sample.clip.write_sample``
