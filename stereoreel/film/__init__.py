"""A film in units that survive whatever happens: the same command resumes from those that are finished.

Frames before encoding, times, sound and tags are those of an uninterrupted run. The encoder restarts with
each unit, so decoded frames of a lossy format differ slightly from those of a run; FFV1's are equal.
"""

from .compute import Unfinished
from .finished import CLAIM
from .run import FilmSettings, film, job_folder, resumes

__all__ = ["CLAIM", "FilmSettings", "Unfinished", "film", "job_folder", "resumes"]
