"""Frame cap, skip and every-nth give the frames, times and sound that ffmpeg's select filter gives."""

import warnings
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from stereoreel.core.clip import Clip, apply
from stereoreel.core.pull import pull
from stereoreel.core.tensor_source import TensorSource
from stereoreel.core.transforms import Trim
from stereoreel.media import open as extract
from stereoreel.media.read.audio import read_audio
from stereoreel.media.read.decode import FileSource
from stereoreel.media.read.probe import probe
from stereoreel.sample import FILE
from tests.media import workshop, zoo
from tests.support.films import facts, hashes, make, run

CHOICES = [  # skip_first_frames, select_every_nth, frame_load_cap
    (0, 1, 0), (7, 1, 0), (0, 3, 0), (11, 4, 6), (40, 1, 5), (74, 9, 0), (0, 37, 0), (1, 40, 9), (0, 1000, 0)
]  # fmt: skip
FILES = ("plain.mp4", "plain.ts", "pause-65.mkv", "fields.ts", "edit-back.mp4", "trimmed-1.9-1.mp4")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return workshop.Workshop(tmp_path_factory.mktemp("selection"))


def options(skip=0, every=1, most=0, **others):
    given = {"cuts": False, "skip_first_frames": skip, "select_every_nth": every, "frame_load_cap": most}
    return extract.ExtractOptions(**{**given, **others})


def shown(clip, host) -> tuple[list[int], list[float]]:
    numbers = [
        workshop.number_of(frame[..., 1].numpy() * 255) for (chunk,) in pull(clip, host, 5) for frame in chunk
    ]
    return numbers, [float(clip.info.time(place)) for place in range(clip.info.frames)]


def selected_by_ffmpeg(path, skip, every, most):
    """Return the frames that ffmpeg selects, with ``clock`` of the zoo's for files where ffmpeg differs."""
    animal = zoo.ZOO[path.name]
    found = workshop.reference(path)
    numbers = list(animal.numbers or found.numbers)
    times = [animal.clock(place) for place in range(len(numbers))] if animal.numbers else found.times
    places = [place for place in range(skip, len(numbers)) if (place - skip) % every == 0]
    places = places[:most] if most else places
    return [numbers[place] for place in places], [times[place] - times[places[0]] for place in places]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("name", FILES)
def test_frames_and_times_are_those_that_ffmpeg_selects(name, choice, shop, host):
    path = zoo.ZOO[name].make(shop)
    if choice[0] >= probe(path).frames:
        pytest.skip("the file is shorter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers, times = shown(extract.open_file(path, options(*choice), "Extract"), host)
    expected = selected_by_ffmpeg(path, *choice)
    assert numbers == expected[0]
    assert times == pytest.approx(expected[1], abs=0.5 / workshop.RATE)


def test_ffmpegs_own_filter_selects_these_frames(shop, host):
    path = zoo.ZOO["plain.mp4"].make(shop)
    target = shop.made(
        "selected.mkv", "-vf", "select='gte(n,11)*not(mod(n-11,4))'", "-frames:v", 6, "-fps_mode", "vfr",
        "-c:v", "ffv1", "-an", source=path,
    )  # fmt: skip
    assert (
        shown(extract.open_file(path, options(11, 4, 6), "E"), host)[0] == workshop.reference(target).numbers
    )


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_clip_gives_the_same_selection_as_its_file(choice, shop, host):
    path = zoo.ZOO["plain.mp4"].make(shop)
    file = extract.open_file(path, options(*choice), "E")
    whole = FileSource(path, cuts=False)
    frames = torch.cat(list(whole.chunks(host, 16)))
    audio = whole.info.audio
    batch = apply(Trim(0, 75), Clip(TensorSource(frames, Fraction(25), cuts=False, label="T", audio=audio)))
    clip = extract.from_clip(batch["clip"], options(*choice), "E")
    assert shown(clip, host) == shown(file, host)
    assert clip.info.fps == file.info.fps == Fraction(25, choice[1])
    lengths = [read_audio(one.info.audio)[0].shape[-1] for one in (clip, file)]
    assert abs(lengths[0] - lengths[1]) <= 48 * 60  # the file's sound is longer than its last frame


@pytest.mark.parametrize(("skip", "every", "most"), [(10, 1, 40), (5, 3, 12), (25, 1, 0), (0, 2, 0)])
def test_the_sound_is_that_of_the_frames(skip, every, most, shop, host):
    """A beep begins with each second's flash, and the sound ends with the last frame."""
    clip = extract.open_file(zoo.ZOO["plain.mp4"].make(shop), options(skip, every, most), "E")
    sound, rate = read_audio(clip.info.audio)
    begins = Fraction(skip, workshop.RATE)
    expected = [float(second - begins) for second in range(3) if 0 <= second - begins < clip.info.duration]
    heard = [time for time in workshop.onsets(sound[0].abs().amax(0).numpy(), rate) if time or not skip % 25]
    assert heard == pytest.approx(expected, abs=1 / workshop.RATE)
    if most:
        assert sound.shape[-1] == round(Fraction(most * every, workshop.RATE) * rate)


def test_what_is_skipped_is_not_decoded(shop, host):
    """Damage between the key frame of a selected frame and the frames before it is not met."""
    path = shop.made(
        "keys.mp4", *zoo.X264, "-g", 5, "-bf", 0, "-keyint_min", 5, "-an", "-movflags", "faststart"
    )
    whole = FileSource(path, cuts=False)
    chosen = extract.open_file(path, options(10, 40), "E")
    expected = shown(chosen, host)
    at = {entry.frame: entry.pos for entry in whole.facts.entries}
    data = bytearray(path.read_bytes())
    for first, last in ((0, 10), (15, 50), (55, 75)):
        begin, end = at[first] + 40, at.get(last, len(data))
        data[begin + 200 : end - 400] = bytes(max(0, end - 600 - begin))
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shown(chosen, host) == expected
    with pytest.warns(UserWarning, match="corrupt|ends early"):
        shown(Clip(whole), host)


def test_cuts_are_those_of_the_video():
    whole = extract.open_file(FILE, options(cuts=True), "E")
    [cut] = whole.info.cuts
    for skip, every in ((0, 2), (10, 1), (10, 4), (cut, 3), (5, 20)):
        place = -(-(cut - skip) // every)
        expected = (place,) if place else ()
        assert extract.open_file(FILE, options(skip, every, cuts=True), "E").info.cuts == expected
        clip = apply(Trim(0, whole.info.frames), whole)["clip"]
        found = extract.from_clip(clip, options(skip, every, cuts=True), "E").info
        assert tuple(cut for cut in found.cuts if 0 < cut < found.frames) == expected


def test_skipping_everything_is_refused(shop):
    path = zoo.ZOO["plain.mp4"].make(shop)
    clip = apply(Trim(0, 75), extract.open_file(path, options(), "E"))["clip"]
    with pytest.raises(ValueError, match=r"75 frames here.*skip_first_frames to 74"):
        extract.open_file(path, options(75), "E")
    with pytest.raises(ValueError, match=r"75 frames here.*skip_first_frames to 74"):
        extract.from_clip(clip, options(75), "E")


@pytest.mark.parametrize("on_clip", [False, True])
def test_units_of_a_selection_are_those_of_one_run(on_clip, shop, tmp_path):
    chosen = {"skip_first_frames": 4, "select_every_nth": 2, "frame_load_cap": 30}
    source = {"class_type": "StereoReelExtract", "inputs": {"video": "film.mp4", "cuts": False}}
    graph = {
        "1": {**source, "inputs": {**source["inputs"], **({} if on_clip else chosen)}},
        "2": {
            "class_type": "StereoReelInterpolate",
            "inputs": {"clip": ["1", 0], "model": "builtin", "quality": "fast", "cuts": "9, 20"},
        },
        "3": {"class_type": "StereoReelEncode", "inputs": {"clip": ["2", 0], "speed": "fast"}},
    }
    if on_clip:
        second = {"class_type": "StereoReelExtract", "inputs": {"clip": ["1", 0], "cuts": True, **chosen}}
        graph["1"]["inputs"]["max_side"] = 96
        graph["4"] = second
        graph["2"]["inputs"]["clip"] = ["4", 0]
    video = zoo.ZOO["plain.mp4"].make(shop)
    make(video, tmp_path / "film.mp4", graph, keep=True)
    frames = run(video, tmp_path / "run.mp4", graph)
    assert len(frames) == 60 and hashes(tmp_path / "film.mp4") == frames
    assert facts(tmp_path / "film.mp4") == facts(tmp_path / "run.mp4")
    film, whole = (workshop.reference(tmp_path / name) for name in ("film.mp4", "run.mp4"))
    # the number in an interpolated frame is a mixture, which lossy encoding tips to either side
    assert film.times == whole.times and film.numbers[::2] == whole.numbers[::2] == [*range(4, 64, 2)]


def test_a_part_of_a_selection_is_a_part_of_the_clip(shop, host):
    path = zoo.ZOO["plain.mp4"].make(shop)
    source = FileSource(path, cuts=False, skip=3, every=7, most=9)
    whole = torch.cat(list(source.chunks(host, 4)))
    part = torch.cat(list(source.part(2, 8).part(1, 5).chunks(host, 4)))
    assert torch.equal(part, whole[3:7])
    assert replace(source.selection, every=1).count == 63
