"""The stages, a folder for each kind of model and a file for each architecture; kinds never import each other.

The facts of a kind stand in its ``__init__`` and nowhere else:

- ``OPTIONS``, without the choice of a model; ``describe(options, *infos)``, what comes out;
- ``context(options)``, how many frames an excerpt gives it to look around; ``FAITHFUL``, whether it moves nothing;
- where a kind has them: ``wanted_parts(options)``, the optional files of a model that options need;
  ``target_fps(options, info)``, the rate of new frames; ``live_options(device)``, what a live session sets by default.
"""

KINDS = ("upscale", "vsr", "interpolate", "depth", "stereo")  # the folders here, in the order of lists
