"""Noise, blockiness and resolution are measured correctly where the truth is known."""

import av
import numpy as np
import pytest
import torch

from benchmarks.support.scenes import Camera, street
from stereoreel.analysis.advisor.blocks import STRONG
from stereoreel.analysis.advisor.measure import measure
from stereoreel.analysis.advisor.windows import Window
from stereoreel.analysis.advisor.windows import sample_spans as places_of
from stereoreel.core.clip import Clip
from stereoreel.image.resize import resize
from stereoreel.media.read.decode import FileSource
from tests.support.media_files import write_video


def footage(real_clip, count=1, half=False):
    """Return frames of the real 720p clip ``[N, H, W, 3]`` in 0..1; ``half`` its size, where it is sharp."""
    with av.open(str(real_clip("bigbuckbunny.mp4"))) as container:
        frames = [
            frame.to_ndarray(format="rgb24") for _, frame in zip(range(count), container.decode(video=0))
        ]
    frames = torch.from_numpy(np.stack(frames)).float() / 255
    return resize(frames, 360, 640, "area") if half else frames


def rounded(frames):
    return (frames * 255).round().clamp(0, 255) / 255


def scene(height, count=1):
    made = street(3, height * 16 // 9, height, camera=Camera(truck=(3, 0)))
    return torch.stack([made.render(time, samples=2).image for time in range(count)])


@pytest.mark.parametrize("sigma", [2, 5, 10, 25])
@pytest.mark.parametrize("real", [False, True])
def test_noise_is_within_a_tenth(sigma, real, real_clip, tensor_clip, host):
    frames = footage(real_clip, 4) if real else torch.stack([street(3, 480, 270).render().image] * 4)
    noisy = frames + sigma / 255 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(sigma))
    noise = sigma_of(tensor_clip(rounded(noisy)), host)
    assert noise == pytest.approx(sigma, rel=0.1)


def sigma_of(clip, host):
    """Measure only the noise."""
    from stereoreel.analysis.advisor.noise import Noise
    from stereoreel.analysis.advisor.windows import windows

    noise = Noise()
    for window in windows(clip, host, places_of(clip.info.frames, 12, 8)):
        noise.add(window)
    return noise.sigma


def test_texture_is_no_noise_and_white_is_excluded(real_clip, tensor_clip, host):
    assert sigma_of(tensor_clip(footage(real_clip)), host) < 1
    assert sigma_of(tensor_clip(rounded(scene(270))), host) < 1
    dark = torch.zeros(2, 128, 256, 3)
    dark[:, :, :128] = 0.5
    noisy = rounded(dark + 5 / 255 * torch.randn(dark.shape, generator=torch.Generator().manual_seed(1)))
    assert sigma_of(tensor_clip(noisy), host) == pytest.approx(5, rel=0.1)


def test_compression_reduces_the_noise(tmp_path, host):
    frames = torch.stack([street(3, 320, 192).render().image] * 6)
    noisy = frames + 10 / 255 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(0))
    codes = (rounded(noisy).numpy() * 255).astype(np.uint8)
    left = [sigma_of(coded(tmp_path / f"{crf}.mp4", codes, {"crf": crf}), host) for crf in ("10", "20", "30")]
    assert 10 > left[0] > left[1] > left[2]


def coded(path, frames, options, codec="libx264"):
    return Clip(FileSource(write_video(path, frames, codec=codec, options=options), cuts=False))


def blockiness(clip, host):
    from stereoreel.analysis.advisor.blocks import Blocks
    from stereoreel.analysis.advisor.windows import windows

    blocks = Blocks()
    for window in windows(clip, host, places_of(clip.info.frames, 12, 8)):
        blocks.add(window)
    return blocks.findings(clip.info)["blockiness"].value


def rising(values):
    return all(low < high for low, high in zip(values, values[1:]))


@pytest.mark.parametrize("real", [False, True])
def test_blockiness_rises_with_crf(real, real_clip, tmp_path, tensor_clip, host):
    # at half size its own blocks would be 8x8
    frames = resize(footage(real_clip, 8), 270, 480, "area") if real else scene(216, 8)
    codes = (frames * 255).round().clamp(0, 255).numpy().astype(np.uint8)
    values = [
        blockiness(coded(tmp_path / f"{crf}.mp4", codes, {"crf": str(crf)}), host)
        for crf in (18, 23, 28, 33, 38, 45)
    ]
    assert blockiness(tensor_clip(rounded(frames)), host) < 0.1 and rising(values)
    assert values[0] < 0.1 and values[3] < STRONG < values[4]  # whatever the material


def test_blockiness_rises_with_the_quantiser_of_mpeg4(tmp_path, host):
    codes = (scene(216, 4) * 255).round().numpy().astype(np.uint8)
    values = [
        blockiness(
            coded(tmp_path / f"{q}.mp4", codes, {"qmin": str(q), "qmax": str(q), "b": "50M"}, "mpeg4"), host
        )
        for q in (2, 5, 12, 31)
    ]
    assert rising(values) and values[-1] > 0.6


KINDS = ("bilinear", "bicubic", "lanczos")


def enlarged(frames, height, width, how):
    if how == "lanczos":
        return rounded(resize(frames, height, width))
    import cv2

    method = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}[how]
    return rounded(
        torch.stack(
            [
                torch.from_numpy(cv2.resize(frame.numpy(), (width, height), interpolation=method))
                for frame in frames
            ]
        )
    )


def resolution(clip, host):
    from stereoreel.analysis.advisor.noise import Noise
    from stereoreel.analysis.advisor.spectrum import Spectrum
    from stereoreel.analysis.advisor.windows import windows

    noise, spectrum = Noise(), Spectrum()
    for window in windows(clip, host, places_of(clip.info.frames, 12, 8)):
        noise.add(window)
        spectrum.add(window)
    return spectrum.findings(clip.info, noise.sigma)["resolution"]


@pytest.mark.parametrize("how", KINDS)
@pytest.mark.parametrize("share", [1, 0.75, 2 / 3, 0.5, 0.375, 0.25])
@pytest.mark.parametrize("real", [False, True])
def test_resolution_is_within_a_tenth(how, share, real, real_clip, tensor_clip, host):
    full = footage(real_clip, half=True) if real else scene(288)
    height, width = full.shape[1:3]
    small = (
        resize(full, round(share * height), round(share * width), "area")
        if real
        else scene(round(share * 288))
    )
    found = resolution(tensor_clip(enlarged(small, height, width, how)), host)
    assert found.value == pytest.approx(share * height, rel=0.1)
    lines = round(share * height)
    assert f"{lines} pixels" in found.text or f"from {lines}." in found.text


def test_resolution_of_noisy_frames(real_clip, tensor_clip, host):
    full = footage(real_clip, half=True)
    half = enlarged(resize(full, 180, 320, "area"), 360, 640, "bicubic")
    noisy = rounded(half + 4 / 255 * torch.randn(half.shape, generator=torch.Generator().manual_seed(0)))
    assert resolution(tensor_clip(noisy), host).value == pytest.approx(180, rel=0.1)


def test_soft_native_image_is_not_called_upscaled(real_clip, tensor_clip, host):
    import cv2

    soft = torch.from_numpy(cv2.GaussianBlur(footage(real_clip, half=True)[0].numpy(), (0, 0), 1.0))[None]
    found = resolution(tensor_clip(rounded(soft)), host)
    assert found.value < 330 and "soft" in found.text


def test_widened_image_keeps_its_height(real_clip, tensor_clip, host):
    full = footage(real_clip, half=True)
    wide = enlarged(resize(full, 360, 480, "area"), 360, 640, "bicubic")
    assert resolution(tensor_clip(wide), host).value == 360


def test_large_clip_takes_little_memory(tensor_clip, host):
    from stereoreel.analysis.advisor.windows import CROP, windows

    for window in windows(tensor_clip(torch.zeros(2, 2160, 3840, 3)), host, [(0, 2)]):
        assert isinstance(window, Window) and window.luma.shape == (2, CROP[1], CROP[0])


def test_all_measures_of_a_file(tmp_path, host):
    codes = (scene(180, 8) * 255).round().numpy().astype(np.uint8)
    found = measure(coded(tmp_path / "all.mp4", codes, {"crf": "20"}), host).findings
    assert set(found) == {
        "noise",
        "blockiness",
        "resolution",
        "interlaced",
        "duplicates",
        "motion",
        "large_motion",
        "flicker",
        "cuts",
    }
