"""Compute a film in units that survive failures: running the same command again resumes from finished ones.

Frames before encoding, times, audio and tags are those of an uninterrupted run. The encoder restarts with
each unit, so decoded frames of a lossy format differ slightly from those of a run; FFV1's are equal.
"""

from .compute import Unfinished
from .finished import CLAIM
from .run import FilmSettings, film, job_folder, resumes

__all__ = ["CLAIM", "FilmSettings", "Unfinished", "film", "job_folder", "resumes"]
