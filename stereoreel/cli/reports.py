"""Output nodes that write no video, in the terminal: what they tell is printed, what they show becomes a picture."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from ..core.error_context import naming
from ..core.files import save
from ..core.host import Host
from ..image.contact_sheet import contact_sheet, to_image
from ..media.layouts.anaglyph import dubois
from ..media.write.render import free_path
from ..viewing.comfort import measure
from ..viewing.preview import QUALITY, looks, picture
from ..workflow.graph import Output


def look(job: Output, folder: Path, host: Host) -> str:
    """Do what a node of ``Assembly.looks`` is for; pictures go into ``folder``. The lines to print."""
    with naming(job.name):
        return LOOKS[job.kind](job, folder, host)


def _comfort(job: Output, folder: Path, host: Host) -> str:
    found = measure(job.clip, job.settings, host, job.name)
    path = save(free_path(folder, "comfort", "", ".png"), lambda part: to_image(found.page).save(part, "PNG"))
    return f"{found.text}\n{path}"


def _preview(job: Output, folder: Path, host: Host) -> str:
    clip, settings = job.clip, job.settings
    rows = []
    for seen in looks(clip, job.depth, settings.samples, settings.width, host):
        pictures = dict(seen.pictures)
        if "right" in pictures:
            pictures["anaglyph"] = picture(dubois(*(torch.from_numpy(pictures[eye])[None] / 255 for eye in ("left", "right")))[0])
        rows.append([(f"frame {seen.frame}, {seen.seconds:.2f} s: {name}", Image.fromarray(pixels)) for name, pixels in pictures.items()])
    sheet = contact_sheet(rows, f"{len(rows)} of {clip.info.frames} frames")
    return str(save(free_path(folder, "preview", "", ".jpg"), lambda part: sheet.save(part, "JPEG", quality=QUALITY)))


def _advise(job: Output, folder: Path, host: Host) -> str:
    from ..analysis.advisor.advice import UNNAMED, advise, file_of
    from ..analysis.advisor.page import page

    file = file_of(job.clip)
    found = advise(job.clip, job.settings, host, file.name if file else "this clip", file.name if file else UNNAMED)
    path = found.save_page(page(found, job.clip, host), free_path(folder, "advice", "", ".png"))
    return f"{found.text()}\n{path}"


def _orders(job: Output, folder: Path, host: Host) -> str:
    from ..analysis.order_lab.lab import measure as compare_orders

    found = compare_orders(job.clip, job.settings, host)
    path = save(free_path(folder, "orders", "", ".png"), lambda part: found.sheet.save(part, "PNG"))
    return f"{found.text}\n{path}"


LOOKS = {"comfort": _comfort, "preview": _preview, "advise": _advise, "orders": _orders}
