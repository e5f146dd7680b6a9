"""A custom node pack for tests: our VIDEO, and ComfyUI's own over the same frames, are asked the same.

``answers`` are JSON: ``questions`` by name, with the answer of each VIDEO; ``methods`` of the host's
``VideoInput`` with their parameters, and those of ours; ``facts`` about our VIDEO alone.
"""

import gc
import inspect
import io
import json
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import torch
from comfy.utils import common_upscale
from comfy_api.latest import Input, InputImpl, Types
from comfy_execution import caching

COUNT, RATE, WIDTH, HEIGHT = 12, 10, 64, 48
SOUND = 44100
HAS = {name for name, _ in inspect.getmembers(Input.Video, inspect.isfunction) if not name.startswith("_")}
SAVING = inspect.signature(Input.Video.save_to).parameters


def module(name: str):
    """A module of the pack, under the name by which ComfyUI imported it."""
    return next(found for known, found in list(sys.modules.items()) if known.endswith(name))


def pictures(count: int = COUNT, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """``[N, H, W, 3]`` uint8, whose mean names the frame and the place of a crop."""
    index, row, column = np.ogrid[:count, :height, :width]
    red = 20 + 10 * index + column + 0 * row
    green = 30 + 10 * index + 2 * row + 0 * column
    return np.stack([red, green, (red + green) // 2], -1).astype(np.uint8)


def write(path: Path, frames: np.ndarray, pix_fmt="yuv420p", color=None, sound=True) -> str:
    """An H.264 file of high quality, with a tone in AAC."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=RATE, options={"crf": "1"})
        video.height, video.width, video.pix_fmt = *frames.shape[1:3], pix_fmt
        heard = file.add_stream("aac", rate=SOUND, layout="stereo") if sound else None
        encoded = [av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames]
        encoded = [frame.reformat(format=pix_fmt) for frame in encoded]
        for tagged in (video.codec_context, *encoded) if color else ():
            tagged.color_primaries, tagged.color_trc, tagged.colorspace = color
        for frame in encoded:
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        if heard:
            time = np.arange(SOUND * len(frames) // RATE) / SOUND
            wave = np.stack([np.sin(440 * 2 * np.pi * time), np.sin(660 * 2 * np.pi * time)]) / 2
            samples = av.AudioFrame.from_ndarray(wave.astype(np.float32), "fltp", "stereo")
            samples.sample_rate, samples.pts = SOUND, 0
            file.mux(heard.encode(samples))
            file.mux(heard.encode(None))
    return str(path)


def seen(images: torch.Tensor) -> dict:
    """Size and the mean of each channel of each frame, in 8 bits."""
    return {
        "shape": list(images.shape),
        "means": [[round(float(mean) * 255, 2) for mean in frame.mean((0, 1))] for frame in images],
    }


def components(video) -> dict:
    parts = video.get_components()
    sound = parts.audio and [list(parts.audio["waveform"].shape[:2]), parts.audio["sample_rate"]]
    seconds = parts.audio and round(parts.audio["waveform"].shape[2] / parts.audio["sample_rate"], 2)
    return {**seen(parts.images), "fps": str(parts.frame_rate), "sound": sound, "seconds": seconds}


def described(video) -> dict | None:
    """Everything cheap that a VIDEO says of itself, and its frames."""
    if video is None:
        return None
    return {
        "size": list(video.get_dimensions()),
        "duration": round(video.get_duration(), 3),
        "rate": str(video.get_frame_rate()),
        **components(video),
    }


def file_facts(source) -> dict:
    """What a file holds, read by PyAV alone."""
    with av.open(source) as file:
        video, sounds = file.streams.video[0], file.streams.audio
        context = video.codec_context
        found = {
            "container": file.format.name,
            "codec": video.codec.canonical_name,
            "bits": max(component.bits for component in video.format.components),
            "pix_fmt": context.pix_fmt,
            "rate": str(video.average_rate),
            "size": [video.width, video.height],
            "color": [context.color_primaries, context.color_trc, context.colorspace],
            "sound": [
                [stream.codec.canonical_name, stream.codec_context.sample_rate, stream.channels]
                for stream in sounds
            ],
            "tags": {
                name.lower(): text
                for name, text in file.metadata.items()
                if name.lower() in ("prompt", "note")
            },
        }
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video)]
    return {**found, **seen(torch.from_numpy(np.stack(frames)) / 255)}


def saved(video, suffix: str = "", **options) -> dict:
    """The facts of a file that a VIDEO was saved into; a BytesIO without a suffix."""
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / f"film{suffix}") if suffix else io.BytesIO()
        video.save_to(target, **options)
        if not suffix:
            target.seek(0)
        return file_facts(target)


def ask(question: Callable, video):
    try:
        return question(video)
    except (ValueError, RuntimeError, TypeError, av.error.FFmpegError) as error:
        return {"error": type(error).__name__, "said": str(error)}


TRIMS = [
    (0, 0),
    (0.2, 0.5),
    (0.25, 0.5),
    (0.3, 0),
    (-0.4, 0),
    (-0.4, 0.2),
    (0.2, 99),
    (0.2, 0.5, True),
    (1.0, 0.5, True),
    (0.5, 0.7, True),
]
CROPS = [
    (0, 0, 0, 0),
    (3, 5, 21, 17),
    (0, 0, WIDTH, HEIGHT),
    (-4, -4, 1000, 10),
    (60, 40, 10, 10),
    (500, 500, 10, 10),
    (0, 0, WIDTH, 1),
]
SIZES = [(32, 24, "area"), (100, 30, "bilinear", "center"), (80, 80, "lanczos", "disabled", (1, 3, 41, 33))]


def questions() -> dict[str, dict[str, Callable]]:
    """Per method of ``VideoInput``, the calls whose answers are compared."""
    asked: dict[str, dict[str, Callable]] = {
        "get_components": {"": components},
        "get_stream_source": {"": lambda video: file_facts(video.get_stream_source())},
        "get_container_format": {"": lambda video: video.get_container_format()},
        "get_duration": {"": lambda video: round(video.get_duration(), 3)},
        "get_frame_rate": {"": lambda video: str(video.get_frame_rate())},
        "as_trimmed": {str(one): lambda video, one=one: described(video.as_trimmed(*one)) for one in TRIMS},
        "as_cropped": {str(one): lambda video, one=one: described(video.as_cropped(*one)) for one in CROPS},
        "as_resized": {str(one): lambda video, one=one: described(video.as_resized(*one)) for one in SIZES},
        "save_to": dict(savings()),
    }
    for name in (
        "get_dimensions",
        "get_display_dimensions",
        "get_frame_count",
        "get_bit_depth",
        "get_color_space",
        "get_active_trim_window",
        "has_pending_frame_edits",
    ):
        asked[name] = {"": lambda video, name=name: getattr(video, name)()}
        if "as_trimmed" in HAS:
            asked[name]["of a slice"] = lambda video, name=name: getattr(video.as_trimmed(0.2, 0.5), name)()
    return asked


def savings() -> Iterator[tuple[str, Callable]]:
    suffixes = {"auto": ".mp4", "mp4": ".mp4", "mkv": ".mkv", "webm": ".webm"}
    for container in Types.VideoContainer:
        for codec in Types.VideoCodec:
            for suffix in (suffixes[container.value], ""):
                words = {"format": container, "codec": codec}
                yield f"{container.value} {codec.value} {suffix or 'BytesIO'}", save(suffix, **words)
    yield "strings", save(".mp4", format="auto", codec="auto")
    yield "tags", save(".mp4", metadata={"prompt": {"1": "a"}, "note": [1]})
    yield "avi", save(".avi", format="avi")
    yield "vp9", save(".mp4", codec="vp9")
    if "bit_depth" in SAVING:
        yield "8 bits", save(".mp4", bit_depth=8)
        yield "10 bits", save(".mp4", bit_depth=10)
    if "crf" in SAVING:
        yield "crf", save(".mp4", codec="h264", crf=23.5)
        yield "lossless AV1", save(".mkv", format="mkv", codec="av1", crf=0.0)
    if "preset" in SAVING:
        yield "ultrafast", save(".mp4", preset="ultrafast")
    if "color_space" in SAVING:
        yield "sRGB", save(".mp4", color_space="sRGB")
        yield "unknown colour space", save(".mp4", color_space="P3")


def save(suffix: str, **options) -> Callable:
    return lambda video: saved(video, suffix, **options)


def facts(folder: Path) -> dict:
    """What is asked of our VIDEO alone, because the host may not know it yet."""
    lazy, clips = module("nodes._lazy_video"), module("nodes._images")
    ours = lazy.LazyVideo
    path = write(folder / "source.mp4", pictures())

    def of(file: str):
        return ours(clips.as_clip(InputImpl.VideoFromFile(file), "test"))

    video = of(path)
    hdr = [
        of(write(folder / f"{name}.mp4", pictures(3), "yuv420p10le", color, sound=False))
        for name, color in (("pq", (9, 16, 9)), ("hlg", (9, 18, 9)))
    ]
    images = video.get_components().images
    wanted = common_upscale(images.movedim(-1, 1), 80, 80, "lanczos", "disabled")
    wanted = wanted[:, :, 3:36, 1:42].movedim(1, -1)
    resized = video.as_resized(80, 80, "lanczos", "disabled", (1, 3, 41, 33)).get_components().images
    found = {
        "depths": [one.get_bit_depth() for one in (video, *hdr)],
        "spaces": [one.get_color_space() for one in (video, *hdr)],
        "hdr files": [file_facts_of(one, container) for one in hdr for container in ("mp4", "mkv", "webm")],
        "hdr as sRGB": ask(lambda one: saved(one, ".mp4", color_space="sRGB"), hdr[0]),
        "resized": [list(resized.shape), float((resized - wanted.clamp(0, 1)).abs().max())],
        "cropped": described(video.as_cropped(3, 5, 21, 17)),
        "webm": saved(video, format="webm"),
        "mkv": saved(video, format="mkv", codec="av1", crf=30.0, bit_depth=10, color_space="sRGB"),
        "hash": bool({video: 1}[video] and weakref.ref(video)()),
        "pulls": pulls(ours, folder),
        "refused": refusals(video),
        "cache": cached(
            ours(module("core.clip").Clip(module("core.tensor_source").TensorSource(images, 10)))
        ),
        "adopted": adopted(path),
    }
    return found


def file_facts_of(video, container: str) -> dict:
    made = saved(video, format=container)
    return {name: made[name] for name in ("codec", "bits", "color")}


def pulls(ours: type, folder: Path) -> dict[str, int]:
    """How often the frames had been computed after each of several savings."""
    tensors, clip = module("core.tensor_source"), module("core.clip")

    class Counted(tensors.TensorSource):
        pulled = 0

        def chunks(self, host, frames):
            Counted.pulled += 1
            return super().chunks(host, frames)

    source = Counted(torch.from_numpy(pictures()).float() / 255, Fraction(RATE))
    video = ours(clip.Clip(source))
    one, two = str(folder / "one.mp4"), str(folder / "two.mp4")
    steps: dict[str, Callable] = {
        "a hasty preview": lambda: video.save_to(str(folder / "hasty.mp4"), preset="ultrafast"),
        "saved": lambda: video.save_to(one),
        "again, with tags": lambda: video.save_to(two, metadata={"prompt": 1}),
        "over itself": lambda: video.save_to(two, metadata={"prompt": 2}),
        "a preview": lambda: video.save_to(str(folder / "late.mp4"), codec="auto", preset="ultrafast"),
        "a stream": lambda: video.get_stream_source(),
        "another container": lambda: video.save_to(io.BytesIO(), format="mkv"),
        "the same": lambda: video.save_to(io.BytesIO(), format="mkv"),
        "another quality": lambda: video.save_to(str(folder / "other.mp4"), crf=30.0),
    }
    counts = {}
    for name, step in steps.items():
        step()
        counts[name] = Counted.pulled
    assert video.get_stream_source() == video.get_stream_source()
    Counted.pulled = 0
    plan = module("models.lazy_stage").Plan("upscale", {"model": "builtin", "factor": 1.5}, "test")
    computed = ours(clip.apply(plan, clip.Clip(source))["clip"])
    computed.save_to(str(folder / "preview.mp4"), codec="auto", preset="ultrafast")
    computed.save_to(str(folder / "final.mp4"), metadata={"prompt": 1})
    counts["a model's preview and file"] = Counted.pulled
    first, copy = file_facts(one), file_facts(two)
    assert (first.pop("tags"), copy.pop("tags")) == ({}, {"prompt": "2"}) and first == copy
    return counts


def refusals(video) -> list[str]:
    def said(attempt: Callable) -> str:
        try:
            attempt()
        except (TypeError, AttributeError) as error:
            return str(error)
        return ""

    attempts: list[Callable] = [
        lambda: video[0],
        lambda: video[:, 1:],
        lambda: len(video),
        lambda: list(video),
        lambda: next(iter(video)),
        lambda: 1.0 - video,
        lambda: video * 2,
        lambda: video.shape,
        lambda: video.movedim(-1, 1),
        lambda: video.mean(),
    ]
    return [said(attempt) for attempt in attempts]


def cached(video) -> dict:
    """What ComfyUI's caches make of a VIDEO: it is walked, sized and dropped without an error."""
    sized = sum(tensor.nbytes for tensor in video._comfy_cache_tensors())
    found = {"tensors": sized, "true": bool(video), "unhashable": type(caching.to_hashable(video)).__name__}
    if hasattr(caching, "RAMPressureCache"):
        cache = caching.RAMPressureCache(caching.CacheKeySetID)
        cache.cache["key"] = SimpleNamespace(outputs=[[video], [(video, {"a": video})]], ui=None)
        cache.used_generation["key"], cache.timestamps["key"] = cache.generation - 1, 0
        with suppress(AttributeError):
            cache.ram_release(1 << 60)
        found["dropped"] = "key" not in cache.cache
    return found


def adopted(path: str) -> dict:
    """Newer VIDEOs of ComfyUI in our sockets: their edits stay lazy, or their frames are read."""
    clips, source = module("nodes._images"), module("media.read.decode").FileSource
    lazy = module("nodes._lazy_video").LazyVideo

    def made(video) -> list:
        clip = clips.as_clip(video, "test")
        ours = lazy(clip)
        while hasattr(clip.maker, "inputs"):
            clip = clip.maker.inputs[0]
        return [isinstance(clip.maker, source), ours.get_bit_depth(), ours.get_color_space(), described(ours)]

    cropped = InputImpl.VideoFromFile(path)
    cropped._VideoFromFile__crop = (3, 5, 21, 17)
    cropped.get_dimensions = lambda: (20, 16)
    scaled = InputImpl.VideoFromFile(path)
    scaled._VideoFromFile__spatial_ops = [("scale", 32, 24, "area", "disabled"), ("crop", 1, 1, 9, 9)]
    scaled.get_dimensions = lambda: (9, 9)

    class Joined(InputImpl.VideoFromComponents):
        videos = [InputImpl.VideoFromFile(path)]

        def get_stream_source(self):
            return io.BytesIO(Path(path).read_bytes())

    class Bright(InputImpl.VideoFromComponents):
        def get_bit_depth(self):
            return 10

        def get_color_space(self):
            return "HDR PQ"

    parts = InputImpl.VideoFromFile(path).get_components()
    found = {
        "cropped": made(cropped),
        "scaled": made(scaled),
        "joined": made(Joined(parts)) if hasattr(Input.Video, "get_active_trim_window") else None,
        "bright": made(Bright(parts)),
    }
    gc.collect()
    return found


def answers() -> dict:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write(folder / "frames.mp4", pictures())
        file = InputImpl.VideoFromFile(path)
        lazy, clips = module("nodes._lazy_video").LazyVideo, module("nodes._images")
        videos = {
            "ours": lazy(clips.as_clip(file, "test")),
            "file": file,
            "components": InputImpl.VideoFromComponents(file.get_components()),
        }
        asked = {
            f"{method}: {case}": {who: ask(question, video) for who, video in videos.items()}
            for method, cases in questions().items()
            if method in HAS
            for case, question in cases.items()
        }

        def parameters(kind: type) -> dict[str, list[str]]:
            return {name: list(inspect.signature(getattr(kind, name)).parameters) for name in sorted(HAS)}

        return {
            "asked": asked,
            "methods": parameters(Input.Video),
            "ours": parameters(lazy),
            "facts": facts(folder),
        }


class Answers:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "test", "execute", (), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def execute(self):
        return {"ui": {"answers": [json.dumps(answers())]}}


NODE_CLASS_MAPPINGS = {"TestVideoAnswers": Answers}
