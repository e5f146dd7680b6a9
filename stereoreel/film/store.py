"""An object store through which units go from workers to the head, or any other fsspec file system."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger(__name__)


class Store:
    """A folder of an object store, by its URL, such as ``s3://bucket/films``.

    Raise ValueError if no installed package can open the URL.
    """

    def __init__(self, url: str):
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise ValueError(
                "--store needs fsspec. Install it with `python -m pip install fsspec`."
            ) from None
        try:
            self._files, self._path = url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise ValueError(
                f"Cannot open {url}: {error}. Check the URL, or install the package for it."
            ) from None
        self._url = url

    def put(self, paths: Iterable[Path], name: str) -> str:
        """Upload files into a folder of this name; return the folder's URL."""
        self._files.makedirs(f"{self._path}/{name}", exist_ok=True)
        for path in paths:
            self._files.put_file(str(path), f"{self._path}/{name}/{path.name}")
        return f"{self._url}/{name}"

    def get(self, name: str, path: Path) -> None:
        """Download a file."""
        self._files.get_file(f"{self._path}/{name}", str(path))

    def forget(self) -> None:
        """Delete the folder; log a failure."""
        try:
            if self._files.exists(self._path):
                self._files.rm(self._path, recursive=True)
        except OSError as error:
            log.warning("Cannot delete %s: %s. Delete it yourself.", self._url, error)
