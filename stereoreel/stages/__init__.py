"""The stages, a folder for each kind of model and a file for each architecture; kinds never import each other.

What is true of a kind, its ``__init__`` says and nobody else: ``OPTIONS``, beside the model; ``describe(options, *infos)``,
what comes out; ``context(options)``, how much an excerpt gives it to look around; ``FAITHFUL``, whether it moves nothing.
Where a kind has them: ``wanted_parts(options)``, the optional files of a model that options need; ``target_fps(options,
info)``, where the rate changes; ``live_options(device)``, what a live session sets unless asked otherwise.
"""

KINDS = ("upscale", "vsr", "interpolate", "depth", "stereo")  # the folders here, in the order in which people see them
