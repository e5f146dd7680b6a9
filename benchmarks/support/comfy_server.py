"""A real ComfyUI for tests, on a free loopback port with this pack linked in, used over HTTP."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import requests
import websocket

ROOT = Path(__file__).resolve().parents[2]


class Server:
    """A running ComfyUI: ``base`` contains its input and output folders, ``log`` its output."""

    def __init__(self, base: Path, port: int, process: subprocess.Popen, log: Path):
        self.base, self.process, self.log = base, process, log
        self.address, self.client = f"127.0.0.1:{port}", uuid.uuid4().hex

    def get(self, path: str):
        return requests.get(f"http://{self.address}{path}", timeout=60).json()

    def post(self, path: str, body: dict | None = None) -> requests.Response:
        return requests.post(f"http://{self.address}{path}", json=body, timeout=60)

    def listen(self) -> websocket.WebSocket:
        return websocket.create_connection(f"ws://{self.address}/ws?clientId={self.client}", timeout=600)

    def queue(self, graph: dict) -> str:
        answer = self.post("/prompt", {"prompt": graph, "client_id": self.client})
        assert answer.ok, answer.text
        return answer.json()["prompt_id"]

    def run(self, graph: dict, *, on_message=None) -> dict:
        """Queue a prompt, wait for its end, and return its history."""
        with self._listening() as ears:
            prompt = self.queue(graph)
            for message in follow(ears, prompt):
                if on_message:
                    on_message(message)
        return self.history(prompt)

    def history(self, prompt: str, patience: float = 10) -> dict:
        """Return a prompt's history, waiting up to ``patience`` seconds.

        ComfyUI stores it a moment after it reports the end.
        """
        for _ in range(int(10 * patience)):
            if found := self.get(f"/history/{prompt}"):
                return found[prompt]
            time.sleep(0.1)
        raise RuntimeError(f"ComfyUI has no history of {prompt}.")

    @contextmanager
    def _listening(self):
        ears = self.listen()
        try:
            yield ears
        finally:
            ears.close()

    def memory(self) -> int:
        """Return the peak resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def follow(ears: websocket.WebSocket, prompt: str):
    """Yield the messages of a prompt until it ends; binary ones (previews, progress text) as bytes."""
    while True:
        message = ears.recv()
        if isinstance(message, bytes):
            yield message
            continue
        message = json.loads(message)
        yield message
        data = message.get("data", {})
        if (
            message["type"] in ("execution_error", "execution_interrupted", "execution_success")
            and data.get("prompt_id") == prompt
        ):
            return


@contextmanager
def comfy(folder: Path, base: Path, name: str = "stereo-reel", pack: Path = ROOT):
    """Start ComfyUI from ``folder`` with all its files below ``base``; ``pack`` is linked as ``name``."""
    for place in ("custom_nodes", "input", "output", "temp", "models", "user"):
        (base / place).mkdir(parents=True, exist_ok=True)
    link(pack, base / "custom_nodes" / name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = base / "log.txt"
    command = [
        python_of(folder),
        "main.py",
        "--cpu",
        "--listen",
        "127.0.0.1",
        "--port",
        str(port),
        "--base-directory",
        str(base),
        "--disable-auto-launch",
        "--database-url",
        "sqlite:///:memory:",
    ]
    if frontend := os.environ.get("COMFYUI_FRONTEND"):
        command += ["--front-end-root", frontend]
    with log.open("wb") as written:
        process = subprocess.Popen(command, cwd=folder, stdout=written, stderr=subprocess.STDOUT)
    server = Server(base, port, process, log)
    try:
        _wait(server)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def link(pack: Path, place: Path) -> None:
    try:
        place.symlink_to(pack, target_is_directory=True)
    except OSError:  # Windows without the right to link
        shutil.copytree(pack, place, ignore=shutil.ignore_patterns(".venv", ".git", "output"))


def python_of(folder: Path) -> str:
    """Return the Python for this ComfyUI: the one named, its own environment's, or ours."""
    if named := os.environ.get("COMFYUI_PYTHON"):
        return named
    places = [
        folder / env / part for env in ("venv", ".venv") for part in ("bin/python", "Scripts/python.exe")
    ]
    return str(next((place for place in places if place.exists()), sys.executable))


def _wait(server: Server, seconds: int = 300) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.process.poll() is not None:
            raise RuntimeError(f"ComfyUI ended at its start:\n{server.log.read_text()[-4000:]}")
        try:
            server.get("/system_stats")
            return
        except requests.ConnectionError:
            time.sleep(0.5)
    raise RuntimeError(f"ComfyUI did not answer within {seconds} s:\n{server.log.read_text()[-4000:]}")
