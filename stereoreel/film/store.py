"""Where finished units pass through on their way from a worker to the head: an object store, or anything else that fsspec reads and writes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger(__name__)


class Store:
    """A folder of an object store, by its URL, such as ``s3://bucket/films``; ValueError where nothing here can open such a URL."""

    def __init__(self, url: str):
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise ValueError(
                "--store needs fsspec; install it with `python -m pip install fsspec`."
            ) from None
        try:
            self._files, self._path = url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise ValueError(f"{url} cannot be opened: {error}") from None
        self._url = url

    def put(self, paths: Iterable[Path], name: str) -> str:
        """Upload files into a folder of this name; the folder's URL."""
        self._files.makedirs(f"{self._path}/{name}", exist_ok=True)
        for path in paths:
            self._files.put_file(str(path), f"{self._path}/{name}/{path.name}")
        return f"{self._url}/{name}"

    def get(self, name: str, path: Path) -> None:
        """Download a file."""
        self._files.get_file(f"{self._path}/{name}", str(path))

    def forget(self) -> None:
        """Delete everything in here; where that fails it is said, and nothing else is lost."""
        try:
            if self._files.exists(self._path):
                self._files.rm(self._path, recursive=True)
        except OSError as error:
            log.warning("%s could not be emptied, delete it yourself: %s", self._url, error)
