"""Source of Hugging Face Hub files on this machine, by the settings of ``huggingface_hub``.

The library gives the address (``HF_ENDPOINT``) and the token (``HF_TOKEN``, or the one that ``hf auth login``
stored), and says whether the Hub may be contacted (``HF_HUB_OFFLINE``). ``download`` transfers the bytes
itself: if it is interrupted, ``hf_hub_download`` deletes what has arrived. It also writes whatever a server
sends, of any length, waits indefinitely on a trickle, and allows a Cancel only every 10 MB.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import BaseHandler, Request

from .weights import File

HUB_FILE = re.compile(
    r"https://huggingface\.co/([^/?#]+/[^/?#]+)/resolve/([^/?#]+)/([^?#]+)(?:\?download=true)?"
)


class HubToken(BaseHandler):
    """Send the user's token to the server of ``url``, and to no server that it redirects to."""

    def __init__(self, url: str, token: str):
        self.server, self.token = urlsplit(url)[:2], token

    def http_request(self, asked: Request) -> Request:
        if urlsplit(asked.full_url)[:2] == self.server:
            asked.add_unredirected_header("Authorization", f"Bearer {self.token}")
        return asked

    https_request = http_request


def located(file: File, folder: Path) -> tuple[File, list[BaseHandler]]:
    """Return the file with the URL to download it from, and the handlers to open that URL with.

    A file that is not on the Hub is returned unchanged. Raise ConnectionError if ``HF_HUB_OFFLINE`` is set.
    """
    if not (found := HUB_FILE.fullmatch(file.url or "")):
        return file, []
    from huggingface_hub import constants, get_token, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        raise ConnectionError(f"{file.file} is on the Hugging Face Hub, and HF_HUB_OFFLINE is set. "
                              f"Unset it, or put the file into {folder} yourself.")  # fmt: skip
    repository, revision, name = map(unquote, found.groups())
    url = hf_hub_url(repository, name, revision=revision)
    # build_hf_headers may itself contact the Hub
    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    return replace(file, url=url), [HubToken(url, token)] if token else []
