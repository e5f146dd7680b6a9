"""The pull: one pass over clips that computes their frames.

Every stage runs as a suspended generator. Frames move a chunk at a time, and an output with two readers is
computed once.

Usually a stage that needs frames runs its upstream stage, and so on to the source. Python's stack holds about
a hundred stages of that; in a chain of more than ``DEEP`` the pull computes a stage's inputs beforehand, one
stage after the other.

Where there are cores for it, stages work at the same time (``pipeline``), with the same results.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from . import cancel
from .clip import Clip, ClipInfo, Shot, Source, Stage, Step, check_lengths, makers_of
from .error_context import naming
from .host import Host
from .meter import Meter
from .partition import pieces
from .per_eye import TIME, fan_out, gathered, merge_views, ports
from .picture_only import within_bars
from .pipeline import MOST_STAGES, Handed, Pipeline, StageThread, launched, stages_at_once
from .transforms import Weightless

# of float32: what a stage may read or return at a time
CHUNK_BYTES = {"cpu": 64 << 20, "cuda": 512 << 20}
MOST_FRAMES = 32
DEEP = 40  # stages in a row


def chunk_bytes(device: torch.device) -> int:
    return CHUNK_BYTES.get(device.type, CHUNK_BYTES["cpu"])


def frames_at_once(device: torch.device, *sides: Iterable[ClipInfo]) -> int:
    """Return how many frames to move at a time; each side, input or output, has these clips."""
    largest = max(sum(info.frame_bytes for info in side) for side in sides)
    return max(1, min(MOST_FRAMES, chunk_bytes(device) // largest))


def pull(
    clips: Clip | Sequence[Clip], host: Host, chunk_frames: int | None = None, meter: Meter | None = None
) -> Generator[tuple[Tensor, ...], None, None]:
    """Yield all frames of the clips, in order: tuples of chunks ``[T, H, W, C]`` that agree frame by frame.

    ``chunk_frames`` fixes the chunks' length; the default is a byte budget. A shot of more than
    ``partition.LONGEST`` frames is computed in parts. A failure's message begins with the label of the stage
    that failed. Closing the generator stops every stage and thread.
    """
    clips = [clips] if isinstance(clips, Clip) else list(clips)
    check_lengths("This pull", clips)
    meter, total, done = meter or Meter(), clips[0].info.frames, 0
    look_ahead(clips, host, meter.say)
    for piece in pieces(clips):
        run = _Run(host, chunk_frames, meter, (done, total if done else 0))
        try:
            readers = [run.reader(clip) for clip in piece]
            run.place()
            for chunks in read_in_step(
                readers, piece[0].info.frames, run.most([reader.info for reader in readers]), "This pull"
            ):
                done += chunks[0].shape[TIME]
                yield chunks
                run.done = (done, total)
                host.tick(done, total)
        except RecursionError as error:
            raise RuntimeError(
                f"The clip is made by {run.levels} stages in a row, too many for stages with this look-"
                "ahead. Write a file in between."
            ) from error
        finally:
            run.close()


def look_ahead(clips: Sequence[Clip], host: Host, say: Callable[[str, str], None]) -> None:
    """Let every stage find what it must know of its complete input before the first frame.

    ``say`` receives the label of a stage and a sentence about what it found.
    """
    for maker in makers_of(clips):
        if isinstance(maker, Step) and (find := getattr(maker.recipe, "look_ahead", None)):
            with naming(maker.label):
                if said := find(host):
                    say(maker.label, said)


class _Run:
    """The producers of one pull, and what they share."""

    def __init__(self, host: Host, chunk_frames: int | None, meter: Meter, done: tuple[int, int] = (0, 0)):
        self.host, self.chunk_frames, self.meter, self.done = host, chunk_frames, meter, done
        self.producers: dict[int, _Producer] = {}
        self.deep = False
        self.hooks: list = []
        self.placed: object = None  # ComfyUI tracks what it placed weakly: this reference keeps it
        self.pipeline: Pipeline | None = None  # None: stages take turns

    @property
    def levels(self) -> int:
        """The number of stages in the longest chain."""
        return max((producer.level for producer in self.producers.values()), default=0)

    def reader(self, clip: Clip) -> _Reader:
        """Return a new reader of a clip; its producer, and those it needs, are created with it."""
        for maker in makers_of([clip]):
            if id(maker) not in self.producers:
                gives = maker.infos.values() if isinstance(maker, Step) else ()
                inputs = maker.inputs if isinstance(maker, Step) else ()
                readers = [self.producers[id(source.maker)].read(source, gives) for source in inputs]
                self.producers[id(maker)] = _Producer(self, maker, readers)
        return self.producers[id(clip.maker)].read(clip, ())

    def prepare(self, producer: _Producer) -> None:
        """Compute the inputs of a producer, and theirs, one after the other."""
        path = [producer]
        while path:
            if source := path[-1].lacking():
                path.append(source)
            elif (ready := path.pop()) is not producer:
                ready.make()

    def place(self) -> None:
        producers = list(self.producers.values())
        self.deep = self.levels > DEEP
        with cancel.polling(self.tick):
            for producer in producers:
                producer.load()
        nets = [net for producer in producers if producer.stage for net in producer.stage.nets]
        memory = sum(producer.memory() for producer in producers)
        self.placed = self.host.place(nets, memory + 4 * chunk_bytes(self.host.device))
        # two stages may share a network
        modules = {id(module): module for net in nets for module in net.modules()}
        self.hooks = [module.register_forward_pre_hook(_check) for module in modules.values()]
        at_once = list(filter(_Producer.deserves_thread, producers))
        alone = self.meter.in_turn or stages_at_once(self.host.device) < 2
        if not alone and 0 < len(at_once) <= MOST_STAGES:
            self.pipeline = Pipeline(self.host.device)
            for producer in at_once:
                producer.thread = StageThread(self.pipeline, producer)
            self.pipeline.start()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Poll while a stage computes: the host, or in a stage's thread whether the pull has ended."""
        if self.pipeline and self.pipeline.here:
            yield
            return
        self.host.tick(*self.done)
        with cancel.polling(self.tick):
            yield

    def tick(self, *_) -> None:
        """Poll the host between two frames, or two layers of a network, without reporting progress."""
        self.host.tick(*self.done)

    def most(self, *sides: Iterable[ClipInfo]) -> int:
        return self.chunk_frames or frames_at_once(self.host.device, *sides)

    def close(self) -> None:
        if self.pipeline:
            self.pipeline.close()
        for hook in self.hooks:
            hook.remove()
        for producer in reversed(list(self.producers.values())):
            producer.close()
        self.producers.clear()
        self.placed = None


def _check(module: nn.Module, given: tuple) -> None:
    """Poll before every layer of a network; a compiled one has none."""
    if not torch.compiler.is_compiling():
        cancel.check()


class _Reader:
    """One consumer's position in the output of a producer; buffers what is computed but not read."""

    def __init__(self, producer: _Producer, clip: Clip, gives: Iterable[ClipInfo]):
        self.producer, self.info, self.clip, self.gives = producer, clip.info, clip, gives
        self.waiting: deque[Handed] = deque()
        self.taken = 0
        self.length = 1  # of the chunk read last

    @property
    def ready(self) -> int:
        """The number of frames in the chunk that is read next; 0 if none waits."""
        try:
            return self.waiting[0].chunk.shape[TIME]
        except IndexError:  # not asked before: the thread that reads may take it between the two
            return 0

    @property
    def buffered(self) -> int:
        return sum(handed.chunk.shape[TIME] for handed in self.waiting)

    def read(self, most: int) -> Tensor | None:
        """Return the next frames, at most ``most``, or None at the end."""
        while not self.waiting:
            if not self.producer.advance(self):
                return None
        chunk = self.waiting[0].taken()
        count = min(most, chunk.shape[TIME])
        if count < chunk.shape[TIME]:
            self.waiting[0] = Handed(chunk.narrow(TIME, count, chunk.shape[TIME] - count))
            chunk = chunk.narrow(TIME, 0, count)
        else:
            self.waiting.popleft()
            self.producer.changed()
        self.taken += count
        self.length = count
        return chunk

    def read_exactly(self, count: int, label: str, first: _Reader) -> Tensor:
        pieces = []
        while count and (piece := self.read(count)) is not None:
            pieces.append(piece)
            count -= piece.shape[TIME]
        if count:
            raise ValueError(
                f"{label}: {self.clip.maker.label} ended after {self.taken} of {self.info.frames} frames "
                f"but {first.clip.maker.label} has more frames. Inputs must be equally long."
            )
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, TIME)


def read_in_step(
    readers: Sequence[_Reader], frames: int, most: int, label: str
) -> Iterator[tuple[Tensor, ...]]:
    """Yield the next ``frames`` frames of all readers in agreeing slices of at most ``most``.

    Yield fewer if the first reader ends early.
    """
    first, *others = readers
    left = frames
    while left and (chunk := first.read(min(most, left))) is not None:
        count = chunk.shape[TIME]
        left -= count
        yield (chunk, *(reader.read_exactly(count, label, first) for reader in others))


class _Producer:
    """A running source or stage: advances by one chunk and hands it to every reader of that output."""

    def __init__(self, run: _Run, maker: Source | Step, inputs: list[_Reader]):
        self.run, self.maker, self.inputs, self.label = run, maker, inputs, maker.label
        self.readers: list[_Reader] = []
        self.stage: Stage | None = None
        self.work: Generator[Tensor | dict[str, Tensor], None, None] | None = None
        self.level: int = 1 + max((reader.producer.level for reader in inputs), default=-1)
        self.most = 1  # frames to move at a time
        self.ended = False
        self.thread: StageThread | None = None  # None: its reader computes it

    def read(self, clip: Clip, gives: Iterable[ClipInfo]) -> _Reader:
        self.readers.append(_Reader(self, clip, gives))
        return self.readers[-1]

    def load(self) -> None:
        with naming(self.label):
            if isinstance(self.maker, Step):
                self.most = self.run.most([reader.info for reader in self.inputs], self.maker.infos.values())
                self.stage = self.maker.recipe.load(self.run.host)
                self.work = self._shots(self.stage)
            else:
                self.most = self.run.most([self.maker.info], *(reader.gives for reader in self.readers))
                self.work = self.maker.chunks(self.run.host, self.most)

    def memory(self) -> int:
        """Return the bytes that the stage's networks need for their work, 0 if it does not say."""
        needed = getattr(self.stage, "memory", None)
        return needed(*(reader.info for reader in self.inputs)) if needed else 0

    def deserves_thread(self) -> bool:
        """Whether it is worth a thread, or needs one because several threads read it.

        A source has a thread that decodes already.
        """
        return len(self.readers) > 1 or not (self.stage is None or isinstance(self.stage, Weightless))

    @property
    def gathers(self) -> bool:
        """Whether its output has chunks as long as its input, though the stage computes frame by frame.

        The stages after it then work in batches, which a CPU does not gain from.
        """
        return self.run.host.device.type != "cpu" and not isinstance(self.stage, Weightless)

    def owns(self) -> frozenset[int]:
        """Return the ids of its stage and networks, which another one may share."""
        if self.stage is None:
            return frozenset()
        return frozenset({id(self.stage)}.union(id(one) for net in self.stage.nets for one in net.modules()))

    def changed(self) -> None:
        """Tell the threads that a chunk was handed over or read."""
        if self.thread:
            self.thread.wake()

    def advance(self, reader: _Reader) -> bool:
        """Compute one more chunk, or wait for the reader's next one. Return False at the end."""
        if self.thread:
            with self.run.watched(), self.run.meter.turn(""):
                return self.thread.wait_for(reader)
        if self.run.deep:
            self.run.prepare(self)
        return self.make()

    def lacking(self) -> _Producer | None:
        """Return the producer of an input that holds no chunk yet, or less of it than the first one.

        One with a thread is left to that.
        """
        due = 1
        for reader in self.inputs:
            source = reader.producer
            if reader.buffered < due and not source.ended and source.thread is None:
                return source
            due = min(self.most, self.inputs[0].ready)
        return None

    def make(self) -> bool:
        """Compute one more chunk for every reader. Return False at the end."""
        turn = self.run.meter.turn(self.label)
        with self.run.watched(), naming(self.label), turn, torch.inference_mode():
            chunk = next(self.work, None) if self.work else None
        if chunk is None:
            self.ended = True
            return False
        result = ports(chunk)
        done = launched(self.run.host.device) if self.thread else None
        self.run.meter.count(self.label, next(iter(result.values())).shape[TIME], self.most)
        for reader in self.readers:
            reader.waiting.append(Handed(result[reader.clip.port], done))
        self.changed()
        return True

    def _shots(self, stage: Stage) -> Generator[Tensor | dict[str, Tensor], None, None]:
        """Run the stage over every shot of the first input; no state crosses a cut."""
        info = self.inputs[0].info
        for start, stop in info.shots:
            if start == stop:
                continue
            chunks = read_in_step(self.inputs, stop - start, self.most, self.label)
            run = partial(self._one_shot, stage)
            made = within_bars(self.maker, Shot(start, info), stop, chunks, run)
            yield from gathered(made, lambda: self.inputs[0].length) if self.gathers else made

    def _one_shot(
        self, stage: Stage, shot: Shot, chunks: Iterator[tuple[Tensor, ...]]
    ) -> Iterator[Tensor | dict[str, Tensor]]:
        if stage.joint or all(reader.info.views == 1 for reader in self.inputs):
            ways = fan_out(chunks, [(place, None) for place in range(len(self.inputs))])
            yield from stage(shot, *ways)
            return
        picks = [
            (place, eye if reader.info.views == 2 else None)
            for eye in (0, 1)
            for place, reader in enumerate(self.inputs)
        ]
        ways = fan_out(chunks, picks)
        left, right = ways[: len(self.inputs)], ways[len(self.inputs) :]
        yield from merge_views(stage(shot, *left), stage(shot, *right))

    def stop(self) -> None:
        """Stop computing; in its own thread if it has one."""
        if self.work is not None:
            self.work.close()

    def close(self) -> None:
        if not self.thread:
            self.stop()
        self.run.meter.note(self.label, getattr(self.stage, "counts", {}))
        self.stage = self.work = None


def frames(clip: Clip, host: Host, chunk_frames: int | None = None) -> Tensor:
    """Return all frames of a short clip as one ``[T, H, W, C]`` (``[2, T, H, W, C]`` for two views)."""
    with closing(pull(clip, host, chunk_frames)) as chunks:
        return torch.cat([chunk for (chunk,) in chunks], TIME)
