"""Downloads from the Hugging Face Hub: huggingface_hub's settings, with the same guarantees."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.weights_shop import CONTENTS, names, serving

ROOT = Path(__file__).resolve().parents[2]
HUB_PATH = "/owner/repo/resolve/v1.0/folder/net.pth"
FETCH = """
import json, sys
from stereoreel.models.download import fetch
from stereoreel.models.weights import File
try:
    fetch(File(**json.loads(sys.argv[1])), sys.argv[2])
except (ValueError, OSError) as error:
    print(type(error).__name__, error)
print("huggingface_hub" in sys.modules)
"""


@pytest.fixture
def hub():
    """Serve a mirror of the Hub that keeps its files on a second server, its store."""
    with serving() as hub, serving() as store:
        hub.files, hub.store = {}, store
        hub.redirects[HUB_PATH] = f"{store.address}/net.pth?signed=1"
        yield hub


def fetched(folder: Path, url: str = f"https://huggingface.co{HUB_PATH}", **settings: str) -> str:
    """Download CONTENTS in a process with these environment variables.

    Return its error, and whether it loaded the library.
    """
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HF_") and not name.lower().endswith("_proxy")
    }
    facts = {
        "file": "net.pth",
        "url": url,
        "sha256": hashlib.sha256(CONTENTS).hexdigest(),
        "bytes": len(CONTENTS),
    }
    home = folder.with_name("hub_home")
    done = subprocess.run(
        [sys.executable, "-c", FETCH, json.dumps(facts), folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**clean, "HF_HOME": str(home), **settings},
    )
    assert done.returncode == 0, done.stderr
    assert names(home) == [], "nothing is stored in the Hub's own cache"
    return done.stdout.strip()


def test_mirror_is_used_and_only_it_sees_the_token(hub, tmp_path):
    assert fetched(tmp_path / "models", HF_ENDPOINT=hub.address, HF_TOKEN="hf_secret") == "True"
    assert (tmp_path / "models" / "net.pth").read_bytes() == CONTENTS and names(tmp_path / "models") == [
        "net.pth"
    ]
    assert hub.asked == [(HUB_PATH, None)] and hub.tokens == ["Bearer hf_secret"]
    assert hub.store.asked == [("/net.pth?signed=1", None)] and hub.store.tokens == [None]


def test_hub_file_resumes_and_uses_the_proxy(hub, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.pth.part").write_bytes(CONTENTS[:2_000_000])
    hub.files, hub.redirects = {"/net.pth": CONTENTS}, {HUB_PATH: "http://store.invalid/net.pth"}
    settings = {"HF_ENDPOINT": "http://mirror.invalid", "HF_TOKEN": "hf_secret", "http_proxy": hub.address}
    assert fetched(tmp_path / "models", **settings) == "True"
    assert (tmp_path / "models" / "net.pth").read_bytes() == CONTENTS
    assert hub.asked == [
        (f"http://mirror.invalid{HUB_PATH}", "bytes=2000000-"),
        ("http://store.invalid/net.pth", "bytes=2000000-"),
    ]
    assert hub.tokens == ["Bearer hf_secret", None]


def test_wrong_contents_of_a_mirror_are_refused_by_name(hub, tmp_path):
    hub.store.files["/net.pth"] = CONTENTS[:-1] + b"!"
    said = fetched(tmp_path / "models", HF_ENDPOINT=hub.address)
    assert (
        said.startswith(f"ValueError net.pth from {hub.address}{HUB_PATH} failed verification")
        and names(tmp_path / "models") == []
    )


def test_offline_hub_is_not_contacted(hub, tmp_path):
    said = fetched(tmp_path / "models", HF_ENDPOINT=hub.address, HF_HUB_OFFLINE="1")
    assert said.startswith(
        "ConnectionError net.pth is on the Hugging Face Hub, and HF_HUB_OFFLINE is set. Unset it, or put "
        "the file into"
    )
    assert hub.asked == [] and names(tmp_path / "models") == []


def test_other_servers_receive_no_token_and_need_no_library(hub, tmp_path):
    settings = {"HF_ENDPOINT": "http://mirror.invalid", "HF_TOKEN": "hf_secret", "HF_HUB_OFFLINE": "1"}
    assert fetched(tmp_path / "models", f"{hub.store.address}/net.pth", **settings) == "False"
    assert hub.store.tokens == [None] and (tmp_path / "models" / "net.pth").read_bytes() == CONTENTS
