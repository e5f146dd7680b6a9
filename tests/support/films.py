"""Small films with audio, text and chapters, and all facts of a file."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from stereoreel.film import CLAIM, FilmSettings, film, job_folder
from stereoreel.media.read.side_data import readable
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from stereoreel.models.headless import Headless
from stereoreel.workflow import graph as workflow
from tests.support.hearing import Hearing
from tests.support.media_files import tone, write_video

SHOTS = (10, 4, 12, 7, 9)  # frames
CUTS = "10, 14, 26, 33"


def source(path: Path, shots=SHOTS, seed=0, sound=True) -> Path:
    """Write a sliding texture, a different one in every shot, with audio, subtitles and chapters.

    Grey but for a tile here and there, because ``graph`` takes its frames for a depth too.
    """
    frames = []
    for number, count in enumerate(shots):
        random = np.random.default_rng(seed + number)
        tiles = random.integers(0, 255, (8, 40, 1)).repeat(3, 2)
        # too little colour for Stereo to take the frames for pictures
        tiles[::8, ::12] = random.integers(64, 192, (1, 4, 3))
        still = tiles.repeat(6, 0).repeat(6, 1).astype(np.uint8)
        frames += [still[:, 2 * index : 2 * index + 64] for index in range(count)]
    seconds = len(frames) / 25
    extras = {"audio": [(tone(seconds), 48000, "aac", "stereo")], "subtitles": [(0.2, 0.9, "Hello")],
              "chapters": [(0, 0.5, "a"), (0.5, seconds, "b")]}  # fmt: skip
    return write_video(path, np.stack(frames), 25, **(extras if sound else {}))


def graph(**encode) -> dict:
    """Return a graph with a stage that doubles the rate and one that renders a stereo pair."""
    return {
        "1": {"class_type": "StereoReelExtract", "inputs": {"video": "film.mp4", "cuts": False}},
        "2": {
            "class_type": "StereoReelInterpolate",
            "inputs": {"clip": ["1", 0], "model": "builtin", "quality": "fast", "cuts": CUTS},
        },
        "3": {
            "class_type": "StereoReelStereo",
            "inputs": {"clip": ["2", 0], "depth": ["2", 0], "model": "builtin"},
        },
        "4": {"class_type": "StereoReelEncode", "inputs": {"clip": ["3", 0], "speed": "fast", **encode}},
    }


def command(folder: Path, video: Path, path: Path) -> list[str]:
    """Return the terminal's command for a film of ``graph`` in units of about one shot."""
    workflow_file = folder / "graph.json"
    workflow_file.write_text(json.dumps(graph()))
    files = [str(workflow_file), "--input", str(video), "--output", str(path)]
    return ["film", *files, "--unit", "8", "--device", "cpu"]


def sink(video: Path, made: dict | None = None):
    return workflow.Assembly(made or graph(), lambda name: video).sinks[0]


def request(video: Path, path: Path, made: dict | None = None) -> RenderRequest:
    job = sink(video, made)
    return RenderRequest(job.clip, path, job.settings, depth=job.depth)


def make(
    video: Path, path: Path, made: dict | None = None, *, tick=None, said=None, observer=None, **how
) -> list[Path]:
    """Render the film of a workflow, in units of about one shot."""
    observer = observer or Hearing()
    observer.say = (lambda line: None) if said is None else said.append
    return film(
        request(video, path, made),
        Headless("cpu", on_tick=tick),
        FilmSettings(group=8, verify=True, **how),
        observer,
    )


def run(video: Path, path: Path, made: dict | None = None) -> list[str]:
    """Render the same without units; return the hash of every frame before encoding."""
    from stereoreel.film.segment import frame_hashes

    found = []
    write(
        request(video, path, made),
        Headless("cpu"),
        Hearing(chunk=lambda frames, shown: found.extend(frame_hashes(shown()[0]))),
    )
    return found


def facts(path: Path) -> dict:
    """Return what a file states, and every packet of its audio and text."""
    with av.open(str(path)) as container:
        picture = container.streams.video[0]
        found = {
            "frames": [frame.pts * Fraction(frame.time_base) for frame in container.decode(picture)],
            "rate": picture.average_rate,
            "duration": container.duration,
            "size": (picture.width, picture.height),
            "codec": picture.codec_context.codec.canonical_name,
            "tag": picture.codec_context.codec_tag,
            "color": (picture.codec_context.colorspace, picture.codec_context.color_range),
            "metadata": {key: value for key, value in container.metadata.items() if key.lower() != CLAIM},
            "stream": dict(picture.metadata),
            "streams": [stream.type for stream in container.streams],
            "chapters": [
                (one["start"] * Fraction(one["time_base"]), one["metadata"]) for one in container.chapters()
            ],
        }
    with av.open(str(path)) as container:
        kinds = readable(next(container.decode(video=0))).side_data  # or the data itself, before PyAV 19
        found["first frame"] = sorted(getattr(kind, "type", kind).name for kind in kinds)
    with av.open(str(path)) as container:
        found["others"] = [
            (packet.stream_index, packet.pts, packet.duration, bytes(packet))
            for packet in container.demux()
            if packet.stream.type != "video" and packet.size
        ]
    return found


def hashes(path) -> list[str]:
    """Return the hashes of a finished job's frames before encoding."""
    records = sorted(job_folder(path).glob("*/units/*.json"))
    return [one for record in records for one in json.loads(record.read_text())["frames"][0]]
