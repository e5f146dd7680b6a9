"""Audio and video of a long film stay synchronous to the end."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from stereoreel.core.clip import ClipInfo, Samples, Soundtrack
from stereoreel.media.write.encode import Writer
from stereoreel.media.write.options import extension
from tests.support.encoded_files import settings

FRAMES, RATE, HERTZ = 10_000, Fraction(24000, 1001), 8000
FLASHES = (1, 2500, 5000, 7500, 9990)


def clicks():
    """Return seven minutes of silence with a short tone at every flash."""
    line = np.zeros(round(FRAMES / RATE * HERTZ), np.float32)
    for frame in FLASHES:
        begin = round(frame / RATE * HERTZ)
        line[begin : begin + 40] = 0.8 * np.sin(np.arange(40) * np.pi / 4)
    return torch.from_numpy(line)[None]


@pytest.fixture(scope="module")
def with_clicks(tmp_path_factory):
    """Write a file to copy the audio from; its video does not matter."""
    path = tmp_path_factory.mktemp("sound") / "clicks.mp4"
    with Writer(
        path, ClipInfo(16, 16, Fraction(1), 418), settings(speed="fast"), audio=Samples(clicks(), HERTZ)
    ) as writer:
        writer.write(torch.zeros(418, 16, 16, 3))
    return path


def moments(path):
    """Return the times of bright frames and of loud samples, in seconds from the first frame."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        start, shown, heard, count = video.start_time * Fraction(video.time_base), [], [], 0
        for frame in container.decode(video, audio):
            begin = frame.pts * Fraction(frame.time_base) - start
            if isinstance(frame, av.VideoFrame):
                count += 1
                if np.frombuffer(frame.planes[0], np.uint8)[0] > 128:
                    shown.append(begin)
                continue
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.3)
            heard += [begin + Fraction(int(sample), frame.sample_rate) for sample in loud]
    assert count == FRAMES
    return shown, [time for time, before in zip(heard, [-1, *heard]) if time - before > 1]


@pytest.mark.parametrize("name, copied", [("h264", True), ("ffv1", False)], ids=["copied", "from samples"])
def test_ten_thousand_frames_stay_synchronous(tmp_path, with_clicks, name, copied):
    chosen = settings(format=name, speed="fast")
    path = tmp_path / f"film{extension(chosen)}"
    audio = Soundtrack(with_clicks) if copied else Samples(clicks(), HERTZ)
    with Writer(path, ClipInfo(16, 16, RATE, FRAMES), chosen, audio=audio) as writer:
        for first in range(0, FRAMES, 500):
            chunk = torch.zeros(500, 16, 16, 3)
            chunk[[frame - first for frame in FLASHES if first <= frame < first + 500]] = 1
            writer.write(chunk)
    shown, heard = moments(path)
    assert len(shown) == len(heard) == len(FLASHES)
    assert all(abs(time - frame / RATE) <= Fraction(1, 1000) for time, frame in zip(shown, FLASHES))
    assert max(abs(sound - picture) for sound, picture in zip(heard, shown)) < Fraction(1, 500)
