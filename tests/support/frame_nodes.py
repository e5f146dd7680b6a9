"""A custom node pack that passes tensors into and out of ComfyUI, as hosts with a prompt per frame do."""

import queue

import numpy as np
import torch
from aiohttp import web
from server import PromptServer

COMING, GONE = queue.Queue(), queue.Queue()


class LoadTensor:
    CATEGORY, FUNCTION, RETURN_TYPES = "test", "execute", ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    @classmethod
    def IS_CHANGED(cls):
        return float("nan")

    def execute(self):
        return (COMING.get(timeout=60),)


class SaveTensor:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "test", "execute", (), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}}

    def execute(self, images):
        GONE.put(images)
        return {}


NODE_CLASS_MAPPINGS = {"TestLoadTensor": LoadTensor, "TestSaveTensor": SaveTensor}


@PromptServer.instance.routes.post("/test/frames")
async def _come(request):
    shape = [int(side) for side in request.query["shape"].split(",")]
    COMING.put(torch.from_numpy(np.frombuffer(await request.read(), np.float32).copy()).view(shape))
    return web.Response()


@PromptServer.instance.routes.get("/test/frames")
async def _go(request):
    images = GONE.get_nowait()
    return web.Response(body=images.numpy().tobytes(), headers={"shape": ",".join(map(str, images.shape))})
