"""The result of a node or a command that inspects a clip: text, figures and an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.files import save, save_text

if TYPE_CHECKING:
    from PIL.Image import Image

QUALITY = 92  # of a JPEG


@dataclass(frozen=True)
class Report:
    """A report as ``text``, as ``figures`` for JSON, and as an image.

    The image file is called ``name``; its ``suffix`` is ``.png`` or ``.jpg``. ``embedded`` are texts stored
    in a PNG by keyword, as in ComfyUI's; ``files`` are the texts of further files by name.
    """

    name: str
    text: str
    figures: Mapping
    image: Image
    suffix: str = ".png"
    embedded: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def save_image(self, path: Path, replace: bool = False) -> Path:
        """Write the image to a path of the report's suffix; return it."""
        if self.suffix == ".jpg":
            return save(path, lambda part: self.image.save(part, "JPEG", quality=QUALITY), replace)
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        for keyword, text in self.embedded.items():
            info.add_text(keyword, text)
        return save(path, lambda part: self.image.save(part, "PNG", pnginfo=info), replace)

    def save(self, folder: Path, image: str, replace: bool = False) -> list[Path]:
        """Write the image under the name ``image``, and all further files; return their paths."""
        texts = ((folder / name, f"{text}\n") for name, text in self.files.items())
        return [self.save_image(folder / image, replace), *(save_text(*named, replace) for named in texts)]
