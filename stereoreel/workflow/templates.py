"""The bundled workflows: names in the terminal, and titles in ComfyUI's template browser.

A title is the name of the canvas file. The browser needs it to be unique over all packs and shows it cut to a
line, so each names the pack and says early what it is for.
"""

TITLES = {
    "start": "Start here - clip to 3D (StereoReel)",
    "default": "StereoReel - Full chain (default)",
    "clean_source": "StereoReel - Full chain (clean source)",
    "upscale_last": "StereoReel - Full chain (upscale last)",
    "depth_first": "StereoReel - Full chain (depth first)",
    "depth_from_source": "StereoReel - Full chain (depth from source)",
    "image_batch": "StereoReel - Full chain (IMAGE batch)",
    "look": "StereoReel - Look before you render",
    "comfort": "StereoReel - Comfort report",
    "keep_depth": "StereoReel - Keep depth, vary stereo",
    "repack": "StereoReel - Repack a 3D film",
    "apple_spatial": "StereoReel - Apple spatial video",
    "advise": "StereoReel - Advice for a source",
    "order_lab": "StereoReel - Which order is best",
    "compare_upscalers": "StereoReel - Compare two upscalers",
    "by_shot": "StereoReel - Upscaler by shot",
    "live_upscale": "StereoReel - Live upscaling",
    "core_upscaler": "StereoReel - Upscale with any ComfyUI model",
    "folder": "StereoReel - A folder of films",
    "inpaint_holes": "StereoReel - Inpaint the holes",
}


def canvas_file(name: str) -> str:
    """Return the file name of a workflow on the canvas: its title if it is a bundled one."""
    return f"{TITLES.get(name, name)}.json"
