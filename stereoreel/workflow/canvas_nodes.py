"""What nodes look like on the canvas: sockets, widgets and size."""

from __future__ import annotations

from ..core.options import Option
from . import check, first_glance
from .node_specs import BY_ID

# The core nodes that bundled workflows use: input sockets, widgets, outputs.
CORE = {
    "GetVideoComponents": (
        [("video", "VIDEO")],
        {},
        [("images", "IMAGE"), ("audio", "AUDIO"), ("fps", "FLOAT")],
    ),
    "CreateVideo": ([("images", "IMAGE"), ("audio", "AUDIO")], {"fps": "FLOAT"}, [("VIDEO", "VIDEO")]),
    "SaveVideo": (
        [("video", "VIDEO")],
        {"filename_prefix": "STRING", "format": "COMBO", "codec": "COMBO"},
        [],
    ),
    "LoadImage": ([], {"image": "COMBO"}, [("IMAGE", "IMAGE"), ("MASK", "MASK")]),
    "PreviewImage": ([("images", "IMAGE")], {}, []),
    "CheckpointLoaderSimple": (
        [],
        {"ckpt_name": "COMBO"},
        [("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE")],
    ),
    "CLIPTextEncode": ([("clip", "CLIP")], {"text": "STRING"}, [("CONDITIONING", "CONDITIONING")]),
    "GrowMask": ([("mask", "MASK")], {"expand": "INT", "tapered_corners": "BOOLEAN"}, [("MASK", "MASK")]),
    "InpaintModelConditioning": (
        [
            ("positive", "CONDITIONING"),
            ("negative", "CONDITIONING"),
            ("vae", "VAE"),
            ("pixels", "IMAGE"),
            ("mask", "MASK"),
        ],
        {"noise_mask": "BOOLEAN"},
        [("positive", "CONDITIONING"), ("negative", "CONDITIONING"), ("latent", "LATENT")],
    ),
    "KSampler": (
        [
            ("model", "MODEL"),
            ("positive", "CONDITIONING"),
            ("negative", "CONDITIONING"),
            ("latent_image", "LATENT"),
        ],
        {
            "seed": "INT",
            "steps": "INT",
            "cfg": "FLOAT",
            "sampler_name": "COMBO",
            "scheduler": "COMBO",
            "denoise": "FLOAT",
        },
        [("LATENT", "LATENT")],
    ),
    "VAEDecode": ([("samples", "LATENT"), ("vae", "VAE")], {}, [("IMAGE", "IMAGE")]),
    "ImageCompositeMasked": (
        [("destination", "IMAGE"), ("source", "IMAGE"), ("mask", "MASK")],
        {"x": "INT", "y": "INT", "resize_source": "BOOLEAN"},
        [("IMAGE", "IMAGE")],
    ),
    "ImageStitch": (
        [("image1", "IMAGE"), ("image2", "IMAGE")],
        {
            "direction": "COMBO",
            "match_image_size": "BOOLEAN",
            "spacing_width": "INT",
            "spacing_color": "COMBO",
        },
        [("IMAGE", "IMAGE")],
    ),
    "UpscaleModelLoader": ([], {"model_name": "COMBO"}, [("UPSCALE_MODEL", "UPSCALE_MODEL")]),
    "ImageUpscaleWithModel": (
        [("upscale_model", "UPSCALE_MODEL"), ("image", "IMAGE")],
        {},
        [("IMAGE", "IMAGE")],
    ),
}
WIDTH, TITLE = 330, 30  # of every node, and the height of its title bar, which is above its position
# Pixels in Nodes 2.0, the taller of the two node styles: an empty node, a row of sockets, a widget, a button.
EMPTY, ROW, WIDGET, BUTTON = 54, 22, 33, 30
LINE = 86  # which model runs, with its button
# What the pack's own scripts add: the player of the source, the result or samples, and their buttons.
ADDED = {
    "StereoReelExtract": 175,
    "StereoReelStereo": BUTTON,
    "StereoReelEncode": BUTTON + 40,
    "StereoReelPreview": 230,
}


def sockets(class_type: str) -> tuple[list[tuple[str, str]], dict[str, str], list[tuple[str, str]]]:
    """Return the input sockets, widgets and outputs of a node, each as (name, type)."""
    if class_type in CORE:
        return CORE[class_type]
    node = BY_ID[class_type]
    inputs = [(socket.name, socket.type) for socket in node.inputs]
    return (
        inputs,
        {option.name: _type(option) for option in node.options},
        [(socket.name, socket.type) for socket in node.outputs],
    )


def _type(option: Option) -> str:
    return "COMBO" if option.choices else check.TYPES[type(option.default)]


def height(entry: dict) -> int:
    """Return the height of a node in pixels, as it opens."""
    inputs, widgets, outputs = sockets(entry["class_type"])
    node = BY_ID.get(entry["class_type"])
    shown, added = len(widgets), 0
    if node:
        shown, lines = (len(of(node, entry["inputs"])) for of in (first_glance.visible, first_glance.lines))
        added = LINE * lines + BUTTON * any(option.advanced for option in node.options)
    added += ADDED.get(entry["class_type"], 0)
    return EMPTY + ROW * max(len(inputs), len(outputs)) + WIDGET * shown + added
