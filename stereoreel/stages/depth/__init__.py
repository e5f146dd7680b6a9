"""Depth: one relative inverse depth map per frame, near = 1."""

from dataclasses import dataclass

from ...core.clip import ClipInfo, Stage
from ...core.options import DOWNLOAD, ModelOptions, field_of, option
from ...image.compute import PRECISIONS

# the archs that read an option, as its ``only``
BUILTIN = ("model", ("builtin",))
GIVEN = ("model", ("given",))
NETWORKS = ("model", ("depth_anything", "depth_anything_3", "moge", "checkpoint"))
SNAPPED = ("model", ("depth_anything", "depth_anything_3", "moge", "checkpoint", "given"))
VIEWS = ("model", ("depth_anything_3", "checkpoint"))


@dataclass(frozen=True)
class DepthOptions(ModelOptions):
    """Options of a depth estimator, and of depth from another node."""

    smoothing: float = option(
        0.8,
        "Temporal stability of depth within a shot: 0 follows every frame, 1 changes slowest.",
        low=0.0,
        high=1.0,
        step=0.05,
        only=BUILTIN,
    )
    invert: bool = option(
        False,
        "Output far white and near black, for tools that expect it; Stereo expects near white.",
        advanced=True,
    )
    near_ground: float = option(
        0.5,
        "Weight of the assumption that lower in the frame is nearer if motion gives no depth: 0 none, 1 "
        "full. Used by builtin only, which is a preview-quality guess from motion and layout.",
        low=0.0,
        high=1.0,
        step=0.05,
        only=BUILTIN,
    )
    download: bool = field_of(DOWNLOAD)
    resolution: str = option(
        "518",
        "Short side of the model input, in pixels (rounded to a multiple of 14). The models were trained "
        "at 518. 392 takes about half the time, 700 twice, 1036 five times. Above 518 many frames get "
        "worse, not better.",
        choices=("384", "392", "518", "700", "1036", "native"),
        only=NETWORKS,
    )
    edges: str = option(
        "snap",
        "Upsampling of the model's depth to frame size: `snap` aligns depth edges with image edges, so "
        "nothing floats between an object and its background; `smooth` only interpolates.",
        choices=("snap", "smooth"),
        advanced=True,
        only=SNAPPED,
    )
    dilate: int = option(
        0,
        "Grow near objects by this many pixels if `edges` is `snap`; helps if their depth is a little small.",
        low=0,
        high=16,
        step=1,
        advanced=True,
        only=SNAPPED,
    )
    given: str = option(
        "near white",
        "Encoding of connected depth: `near white` and `near black` are parallax, 1/Z, as in disparity "
        "maps; the linear ones are distance, as rendered by ComfyUI's own Depth Anything 3. Ignored for "
        "geometry, which has a known encoding.",
        choices=("near white", "near black", "linear, near white", "linear, near black"),
        only=GIVEN,
    )
    metric: str = option(
        "auto",
        "Whether your checkpoint outputs metric depth (not recorded in its tensors): `indoor` (up to 20 m) "
        "or `outdoor` (up to 80 m).",
        choices=("auto", "no", "indoor", "outdoor"),
        advanced=True,
        only=NETWORKS,
    )
    precision: str = option(
        "auto",
        "Model dtype. `auto` uses fp16 on a GPU and fp32 on a CPU, where bf16 saves a tenth of the time at "
        "best and is off by up to 2.5 % of the depth range.",
        choices=PRECISIONS,
        advanced=True,
        only=NETWORKS,
    )
    window: str = option(
        "auto",
        "How many frames Depth Anything 3 Small, Base, Large and Giant read together, so that they agree on "
        "depth: more are more stable and slower, and depth comes that many frames late. `auto` is 16 on an "
        "NVIDIA GPU, else 8; with 1 each frame is read alone and aligned to the one before.",
        choices=("auto", "1", "4", "8", "16", "32"),
        advanced=True,
        only=VIEWS,
    )
    resize: str = option(
        "published",
        "How frames are reduced to the model input: `published` as in the model's own code, which for Depth "
        "Anything 1 and 2 skips pixels of large frames; `antialiased` averages all, so fine detail that "
        "moves does not flicker.",
        choices=("published", "antialiased"),
        advanced=True,
        only=NETWORKS,
    )
    burned_text: str = option(
        "flat",
        "Burned-in subtitles, titles and logos: `flat` gives each block one plane just in front of what it "
        "covers; `off` leaves them to the model.",
        choices=("flat", "off"),
        advanced=True,
    )


OPTIONS = DepthOptions
HALF_ON_CPU = False  # its networks run in float32 there by default, see ``stage.depth_type``
FAITHFUL = False  # its output is not an image of the scene, or shows it at other positions


def context(options: DepthOptions, frames: ClipInfo) -> tuple[int, int]:
    """Return how many extra frames before and after each sample the stage needs in an excerpt."""
    before, after = 4, 16  # with fewer, builtin's depth differs visibly from that of the full clip
    if options.burned_text == "off":
        return before, after
    from ...image.burned_text.finder import lookahead

    return before, max(after, lookahead(frames.fps))  # text that begins at a sample is known only then


def completed(stage: Stage, options: DepthOptions, reads: int = 1) -> Stage:
    """Return a model's stage with what follows every model; ``reads`` is how many inputs it has itself."""
    from .burned_text import TextPlanes

    return stage if options.burned_text == "off" else TextPlanes(stage, options.invert, reads)


def describe(options, frames: ClipInfo, text: ClipInfo | None = None) -> ClipInfo:
    """Return the frames' info with one channel; ``text`` is that of the mask of burned-in text, if given.

    Raise ValueError if the frames are a depth clip, or the mask does not fit them.
    """
    if frames.channels == 1:
        raise ValueError("Depth input is a depth clip. Connect the colour frames instead.")
    check_text(options, frames, text)
    return frames.replace(channels=1)


def check_text(options: DepthOptions, frames: ClipInfo, text: ClipInfo | None) -> None:
    """Raise ValueError if a mask of burned-in text is given that is not read, or does not fit the frames."""
    if text is None:
        return
    if options.burned_text == "off":
        raise ValueError(
            "text is connected, but burned_text is off. Set burned_text to flat, or disconnect text."
        )
    from .given_text import check_mask

    check_mask(frames, text)
