"""The memory law for the default workflow: a film ten times as long has the same peak."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("memory_benchmark", ROOT / "benchmarks" / "memory.py")
memory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(memory)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_ten_times_the_frames_need_the_same_memory(tmp_path):
    peaks = {}  # of more than a shot, which is 100 frames long, and of many
    for frames in (120, 1200):
        memory.film(tmp_path / f"{frames}.mp4", frames, 176, 144)
        peaks[frames], _ = memory.peak(
            ROOT / "workflows/api/default.json", tmp_path / f"{frames}.mp4", tmp_path / "out.mp4"
        )
    print({frames: f"{peak / 2**20:.0f} MiB" for frames, peak in peaks.items()}, file=sys.stderr)
    assert peaks[1200] < 1.1 * peaks[120]
