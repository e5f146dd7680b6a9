"""Files with the traits of cameras, tuners, discs and editors show what ffmpeg shows, at the same times."""

import warnings
from fractions import Fraction

import av
import pytest

from stereoreel.core.clip import Clip, Soundtrack
from stereoreel.media.read.audio import read_audio
from stereoreel.media.read.decode import FileSource
from stereoreel.media.read.frames import Damage, read_frames
from stereoreel.media.read.probe import probe
from stereoreel.media.write.render import write
from stereoreel.media.write.request import RenderRequest
from tests.media import workshop, zoo
from tests.support.encoded_files import settings

FRAME = 1 / workshop.RATE
# these state how many frames or how long they are
COUNTED = {"faststart.mp4", "plain.mkv", "mpeg4.avi", "h264.avi"}
AUDIO_LAST = {"plain.mkv", "h264.flv"}  # truncated in their audio only, they do not say which part is missing
QUICK = {"plain.mp4", "pause-65.ts", "trimmed-1.9-1.mp4", "jump-3600.ts", "pause-h264.avi"}
WRITTEN = {"edit-back.mp4", "edit-two.mov", "jump-0.ts", "xvid.avi", "fields.ts", "trimmed-1.9-1.mp4"}
EVERY = [
    pytest.param(one, id=name, marks=pytest.mark.zoo) for name, one in zoo.ZOO.items() if name not in QUICK
]
EVERY += [pytest.param(zoo.ZOO[name], id=name) for name in sorted(QUICK)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return workshop.Workshop(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(params=EVERY, scope="module")
def specimen(request, shop):
    """An animal, and its file."""
    return request.param, request.param.make(shop)


def seen(path, host) -> tuple[list[int], list[float], FileSource]:
    """The number and the time of each frame, and where they come from."""
    source = FileSource(path, cuts=False)
    numbers = [
        workshop.number_of(frame[..., 1].numpy() * 255)
        for chunk in source.chunks(host, 16)
        for frame in chunk
    ]
    return numbers, [float(source.info.time(place)) for place in range(source.info.frames)], source


def test_frames_times_and_sound_are_those_of_ffmpeg(specimen, host):
    animal, path = specimen
    expected = workshop.reference(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numbers, times, source = seen(path, host)
    assert [animal.warns in str(one.message) for one in caught] == [True] * bool(animal.warns)
    assert numbers == (expected.numbers if animal.numbers is None else list(animal.numbers))
    assert len(times) == len(numbers)
    wanted = [time - expected.times[0] for time in expected.times]
    if animal.clock:
        shown = range(len(numbers)) if animal.numbers else numbers
        wanted = [animal.clock(number) - animal.clock(shown[0]) for number in shown]
    assert times == pytest.approx(wanted, abs=FRAME / 2)
    if animal.late is not None:
        sound, rate = read_audio(source.info.audio)
        heard = workshop.onsets(sound[0].abs().amax(0).numpy(), rate)
        flashes = [time for number, time in zip(numbers, times) if number % workshop.RATE == 0]
        assert heard and flashes
        for flash in (flash for flash in flashes if flash + animal.late >= 0):
            assert min(abs(begin - flash - animal.late) for begin in heard) <= FRAME


def test_index_and_decoder_agree(specimen):
    """Reading from the beginning, every frame that the decoder gives is in the index, and no other is."""
    _, path = specimen
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        facts = probe(path)
    with av.open(str(path)) as container:
        decoded = sum(1 for _ in container.decode(container.streams[facts.stream]))
    assert facts.frames == decoded
    damage = Damage()
    assert sum(1 for _ in read_frames(facts, 0, facts.frames, damage)) == decoded
    assert damage == Damage()


def test_every_window_is_a_slice_of_the_whole(specimen):
    """Decoding from any key frame gives the frames that decoding from the beginning gives."""
    _, path = specimen
    facts = probe(path)
    whole = [workshop.number_of(grey(frame)) for frame in read_frames(facts, 0, facts.frames, Damage())]
    for first in sorted({0, 1, facts.frames // 3, facts.frames // 2, facts.frames - 2, facts.frames - 1}):
        if first >= 0:
            stop, damage = min(first + 4, facts.frames), Damage()
            frames = [workshop.number_of(grey(frame)) for frame in read_frames(facts, first, stop, damage)]
            assert (frames, damage) == (whole[first:stop], Damage())


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_written_file_keeps_frames_times_and_sync(name, shop, host):
    animal = zoo.ZOO[name]
    path, target = animal.make(shop), shop.folder / f"{name}-written.mp4"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers, times, source = seen(path, host)
        write(RenderRequest(Clip(source), target, settings(format="h264")), host)
    written = workshop.reference(target)
    assert written.numbers == numbers
    assert [time - written.times[0] for time in written.times] == pytest.approx(times, abs=FRAME / 2)
    sound, rate = read_audio(Soundtrack(target))
    heard = workshop.onsets(sound[0].abs().amax(0).numpy(), rate)
    for flash in (time for number, time in zip(numbers, times) if number % workshop.RATE == 0):
        assert flash + animal.late < 0 or min(abs(begin - flash - animal.late) for begin in heard) <= FRAME


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.5, 0.8, 0.97, 0.999])
@pytest.mark.parametrize(
    "name",
    ["faststart.mp4", "fragments.mp4", "plain.mkv", "plain.ts", "mpeg4.avi", "h264.avi", "h264.flv"],
)
def test_a_truncated_file_shows_what_is_left_or_says_why_not(name, kept, shop, host):
    whole = zoo.ZOO[name].make(shop)
    path = whole.with_name(f"truncated-{name}")
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * kept)])
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            numbers, times, source = seen(path, host)
    except ValueError as error:
        assert kept <= 0.3 and str(error).endswith(".")
        return
    assert numbers == sorted(set(numbers)) and len(times) - len(numbers) <= 2
    assert source.info.fps == workshop.RATE and source.facts.missing + len(times) <= 80
    if name in COUNTED and kept > 0.3:
        assert source.facts.missing + len(times) >= 70
    if len(numbers) < workshop.RATE * workshop.SECONDS and not (
        name.endswith(".ts") and numbers[-1] - len(numbers) < 0
    ):
        assert ["ends early" in str(one.message) for one in caught] == [True]
    if numbers == list(range(workshop.RATE * workshop.SECONDS)) and name not in AUDIO_LAST:
        assert not caught


@pytest.mark.parametrize(
    "suffix, coding", [("vob", "-g 40 -bf 2"), ("mpg", "-g 15 -bf 1 -flags +ildct+ilme")]
)
def test_a_join_after_a_truncated_recording_costs_only_the_truncated_frame(suffix, coding, shop):
    options = (*zoo.words(f"-c:v mpeg2video -q:v 3 {coding}"), "-c:a", "ac3")
    first = shop.made(f"before.{suffix}", *options).read_bytes()
    later = shop.made(f"after.{suffix}", *options, "-output_ts_offset", 3600).read_bytes()
    path = shop.folder / f"cut-and-joined.{suffix}"
    path.write_bytes(first[: -(len(first) // 5 // 2048 * 2048)] + later)
    facts, damage = probe(path), Damage()
    assert (len(facts.joins), facts.times, facts.fps) == (1, None, workshop.RATE)
    assert sum(1 for _ in read_frames(facts, 0, facts.frames, damage)) == facts.frames
    assert damage.held == 1


def test_a_rate_is_that_of_most_frames(shop):
    for name in ("pause-20.mp4", "pause-65.mkv", "drops.ogv", "trimmed-0.5-1.mp4"):
        facts = probe(zoo.ZOO[name].make(shop))
        assert (facts.fps, bool(facts.times)) == (Fraction(workshop.RATE), True)


def grey(frame: av.VideoFrame):
    return frame.reformat(format="gray", width=workshop.WIDTH, height=workshop.HEIGHT).to_ndarray()
