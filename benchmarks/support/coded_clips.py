"""Frames as a codec gives them back."""

from io import BytesIO

import av
import numpy as np
import torch

# by name: the encoder and its options
CODECS = {
    "x264 28": ("libx264", {"crf": "28"}),
    "x264 36": ("libx264", {"crf": "36"}),
    "mpeg2 3": ("mpeg2video", {"qmin": "3", "qmax": "3"}),
    "mpeg2 12": ("mpeg2video", {"qmin": "12", "qmax": "12"}),
    "mjpeg 3": ("mjpeg", {"qmin": "3", "qmax": "3"}),
    "mjpeg 10": ("mjpeg", {"qmin": "10", "qmax": "10"}),
}


def coded(images: np.ndarray, name: str) -> torch.Tensor:
    """Return frames ``[T, H, W, 3]``, uint8, through a codec of ``CODECS``, float32, 0..1."""
    codec, options = CODECS[name]
    file = BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(codec, 25, options=options)
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return torch.from_numpy(np.stack(frames)).float() / 255
