"""Many films on one pool of workers, without a cluster: order, failures, and what the films leave."""

from collections import deque
from contextlib import contextmanager

import pytest

from stereoreel.core.meter import Meter
from stereoreel.film import FilmSettings, Unfinished, job_folder
from stereoreel.film.queue import FilmQueue, QueuedFilm
from stereoreel.film.run import OpenFilm
from stereoreel.film.segment import Maker
from stereoreel.models.headless import Headless
from tests.support.films import graph, hashes, request, run, source
from tests.support.hearing import Hearing

SHOTS = (4, 3)


def two_shots() -> dict:
    made = graph()
    made["2"]["inputs"]["cuts"] = "4"
    return made


class OneAfterTheOther:
    """A pool that computes the units in this process, in the order in which they were added."""

    def __init__(self, makers, size=3):
        self.makers, self.size = makers, size
        self.waiting, self.begun, self.jobs = deque(), [], {}

    @property
    def hungry(self):
        return len(self.waiting) < self.size

    def add(self, film, job, missing, plan):
        self.jobs[film] = job
        self.waiting += [(film, number) for number in missing]
        self.begun.append((film, len(self.waiting) - len(missing)))

    def pending(self, film):
        return any(one == film for one, _ in self.waiting)

    def drop(self, film):
        self.waiting = deque(one for one in self.waiting if one[0] != film)

    def next_result(self):
        film, number = self.waiting.popleft()
        job = self.jobs[film]
        try:
            return (
                film,
                number,
                self.makers[film].make(number, job.units[number], job.place, lambda done: None),
            )
        except RuntimeError as error:
            return film, number, error


class Failing:
    def make(self, *unit):
        raise RuntimeError("this film is cursed")


@pytest.fixture
def films(tmp_path):
    """Return the requests of three films of two units each."""
    found = []
    for number in range(3):
        video = source(tmp_path / f"{number}.mkv", SHOTS, seed=number, sound=False)
        found.append(request(video, tmp_path / "out" / f"{number}.mp4", two_shots()))
    return found


def queue(films, *, failing=(), refused=(), **how):
    host = Headless("cpu")
    makers = [Failing() if number in failing else Maker(one.clips, one.settings, host, Meter(), verify=True)
              for number, one in enumerate(films)]  # fmt: skip
    pool = OneAfterTheOther(makers)

    @contextmanager
    def opened(number):
        if number in refused:
            raise ValueError("this film does not open")
        with OpenFilm(films[number], host, FilmSettings(group=8, **how), Hearing()) as work:
            yield QueuedFilm(work)

    return pool, FilmQueue(pool, [lambda number=number: opened(number) for number in range(len(films))])


def test_films_are_those_of_a_run_and_the_next_begins_before_one_ends(films, tmp_path):
    pool, several = queue(films, keep=True)
    with several:
        for number, film in enumerate(films):
            assert several.make(number) == [film.path] and film.path.exists()
            assert number == 2 or not films[2].path.exists()
    assert [film for film, _ in pool.begun] == [0, 1, 2]
    assert all(waiting > 0 for film, waiting in pool.begun[1:])  # units of an earlier film were left
    for number, film in enumerate(films):
        assert hashes(film.path) == run(
            tmp_path / f"{number}.mkv", tmp_path / f"run{number}.mp4", two_shots()
        )


def test_film_that_fails_does_not_stop_the_others(films):
    _, several = queue(films, failing={0}, refused={1})
    with several:
        with pytest.raises(Unfinished, match="cursed"):
            several.make(0)
        with pytest.raises(ValueError, match="does not open"):
            several.make(1)
        assert several.make(2) == [films[2].path]
    assert not films[0].path.exists() and job_folder(films[0].path).is_dir()
    _, several = queue(films)
    with several:
        assert [several.make(number) for number in range(3)] == [[film.path] for film in films]
    assert sorted(path.name for path in films[0].path.parent.iterdir()) == ["0.mp4", "1.mp4", "2.mp4"]


def test_films_that_were_begun_are_closed_and_resume(films):
    _, several = queue(films)
    with pytest.raises(KeyboardInterrupt), several:
        several.make(0)
        raise KeyboardInterrupt
    assert [film.path.exists() for film in films] == [True, False, False]
    _, several = queue(films)
    with several:
        assert [several.make(number) for number in range(3)] == [[film.path] for film in films]
    assert sorted(path.name for path in films[0].path.parent.iterdir()) == ["0.mp4", "1.mp4", "2.mp4"]
