"""The pack's nodes as in ComfyUI's ``/object_info``, from the declarations alone."""

from stereoreel.core.options import Option
from stereoreel.workflow import first_glance
from stereoreel.workflow.node import Node
from stereoreel.workflow.node_specs import NODES


def object_info() -> dict:
    return {node.id: _node(node) for node in NODES} | CORE


def _node(node: Node) -> dict:
    required = {
        socket.name: [socket.type, {"tooltip": socket.text}] for socket in node.inputs if not socket.optional
    }
    optional = {
        socket.name: [socket.type, {"tooltip": socket.text}] for socket in node.inputs if socket.optional
    }
    for option in node.options:
        (required if option.name == "video" else optional)[option.name] = _widget(node, option)
    return {
        "input": {"required": required, "optional": optional},
        "input_order": {"required": list(required), "optional": list(optional)},
        "output": [socket.type for socket in node.outputs],
        "output_is_list": [False] * len(node.outputs),
        "output_name": [socket.name for socket in node.outputs],
        "output_tooltips": [socket.text for socket in node.outputs],
        "name": node.id,
        "display_name": node.display_name,
        "description": node.text,
        "python_module": "custom_nodes.stereoreel",
        "category": "StereoReel",
        "output_node": node.output_node,
        "search_aliases": list(node.aliases),
    }


def _widget(node: Node, option: Option) -> list:
    facts = {"default": option.default, "tooltip": option.text, **first_glance.facts(node, option)}
    if option.name == "video":
        return ["COMBO", facts | {"options": [option.default], "video_upload": True}]
    if option.choices:
        return ["COMBO", facts | {"options": list(option.choices)}]
    if isinstance(option.default, bool):
        return ["BOOLEAN", facts]
    if isinstance(option.default, str):
        return ["STRING", facts]
    bounds = {"min": option.low, "max": option.high, "step": option.step}
    return [
        "INT" if isinstance(option.default, int) else "FLOAT",
        facts | {name: value for name, value in bounds.items() if value is not None},
    ]


def _core(
    name: str, required: dict, outputs: list[tuple[str, str]], output_node=False, optional=None
) -> dict:
    return {
        "input": {"required": required, "optional": optional or {}},
        "input_order": {"required": list(required), "optional": list(optional or {})},
        "output": [kind for _, kind in outputs],
        "output_is_list": [False] * len(outputs),
        "output_name": [label for label, _ in outputs],
        "output_tooltips": [None] * len(outputs),
        "name": name,
        "display_name": name,
        "description": "",
        "python_module": "comfy_extras.nodes_video",
        "category": "image/video",
        "output_node": output_node,
    }


# ComfyUI's own nodes, as far as bundled workflows use them.
CORE = {
    "GetVideoComponents": _core(
        "GetVideoComponents",
        {"video": ["VIDEO", {}]},
        [("images", "IMAGE"), ("audio", "AUDIO"), ("fps", "FLOAT")],
    ),
    "CreateVideo": _core(
        "CreateVideo",
        {"images": ["IMAGE", {}], "fps": ["FLOAT", {"default": 30.0, "min": 1.0, "max": 120.0, "step": 1.0}]},
        [("VIDEO", "VIDEO")],
        optional={"audio": ["AUDIO", {}]},
    ),
    "SaveVideo": _core(
        "SaveVideo",
        {
            "video": ["VIDEO", {}],
            "filename_prefix": ["STRING", {"default": "video/ComfyUI"}],
            "format": ["COMBO", {"options": ["auto", "mp4"], "default": "auto"}],
            "codec": ["COMBO", {"options": ["auto", "h264"], "default": "auto"}],
        },
        [],
        output_node=True,
    ),
    "LoadImage": _core(
        "LoadImage",
        {"image": ["COMBO", {"options": ["example.png"]}]},
        [("IMAGE", "IMAGE"), ("MASK", "MASK")],
    ),
    "PreviewImage": _core("PreviewImage", {"images": ["IMAGE", {}]}, [], output_node=True),
    "CheckpointLoaderSimple": _core(
        "CheckpointLoaderSimple",
        {"ckpt_name": ["COMBO", {"options": ["sd-v1-5-inpainting.ckpt"]}]},
        [("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE")],
    ),
    "CLIPTextEncode": _core(
        "CLIPTextEncode",
        {"text": ["STRING", {"multiline": True}], "clip": ["CLIP", {}]},
        [("CONDITIONING", "CONDITIONING")],
    ),
    "GrowMask": _core(
        "GrowMask",
        {
            "mask": ["MASK", {}],
            "expand": ["INT", {"default": 0, "min": -99, "max": 99}],
            "tapered_corners": ["BOOLEAN", {"default": True}],
        },
        [("MASK", "MASK")],
    ),
    "InpaintModelConditioning": _core(
        "InpaintModelConditioning",
        {
            "positive": ["CONDITIONING", {}],
            "negative": ["CONDITIONING", {}],
            "vae": ["VAE", {}],
            "pixels": ["IMAGE", {}],
            "mask": ["MASK", {}],
            "noise_mask": ["BOOLEAN", {"default": True}],
        },
        [("positive", "CONDITIONING"), ("negative", "CONDITIONING"), ("latent", "LATENT")],
    ),
    "KSampler": _core(
        "KSampler",
        {
            "model": ["MODEL", {}],
            "seed": ["INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}],
            "steps": ["INT", {"default": 20, "min": 1, "max": 10000}],
            "cfg": ["FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0}],
            "sampler_name": ["COMBO", {"options": ["euler", "dpmpp_2m"]}],
            "scheduler": ["COMBO", {"options": ["simple", "karras"]}],
            "positive": ["CONDITIONING", {}],
            "negative": ["CONDITIONING", {}],
            "latent_image": ["LATENT", {}],
            "denoise": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}],
        },
        [("LATENT", "LATENT")],
    ),
    "VAEDecode": _core("VAEDecode", {"samples": ["LATENT", {}], "vae": ["VAE", {}]}, [("IMAGE", "IMAGE")]),
    "ImageCompositeMasked": _core(
        "ImageCompositeMasked",
        {
            "destination": ["IMAGE", {}],
            "source": ["IMAGE", {}],
            "x": ["INT", {"default": 0}],
            "y": ["INT", {"default": 0}],
            "resize_source": ["BOOLEAN", {"default": False}],
        },
        [("IMAGE", "IMAGE")],
        optional={"mask": ["MASK", {}]},
    ),
    "ImageStitch": _core(
        "ImageStitch",
        {
            "image1": ["IMAGE", {}],
            "direction": ["COMBO", {"options": ["right", "down", "left", "up"]}],
            "match_image_size": ["BOOLEAN", {"default": True}],
            "spacing_width": ["INT", {"default": 0}],
            "spacing_color": ["COMBO", {"options": ["white", "black"]}],
        },
        [("IMAGE", "IMAGE")],
        optional={"image2": ["IMAGE", {}]},
    ),
    "UpscaleModelLoader": _core(
        "UpscaleModelLoader",
        {"model_name": ["COMBO", {"options": ["RealESRGAN_x2plus.pth"]}]},
        [("UPSCALE_MODEL", "UPSCALE_MODEL")],
    ),
    "ImageUpscaleWithModel": _core(
        "ImageUpscaleWithModel",
        {"upscale_model": ["UPSCALE_MODEL", {}], "image": ["IMAGE", {}]},
        [("IMAGE", "IMAGE")],
    ),
}
