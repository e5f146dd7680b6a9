"""The stages: a folder for each kind, a file for each architecture; kinds never import each other.

The facts of a kind are declared in its ``__init__`` only:

- ``OPTIONS``, without the choice of a model; ``describe(options, *infos)``, the info of the output;
- ``context(options)``, the extra frames an excerpt needs; ``FAITHFUL``, whether positions in the frame stay;
- optional: ``wanted_parts(options)``, a model's optional files that the options need;
  ``target_fps(options, info)``, the output rate; ``live_options(device)``, the defaults of a live session;
  ``HALF_ON_CPU``, whether networks run in bfloat16 there if it has it (default: True).
"""

KINDS = ("upscale", "vsr", "interpolate", "depth", "stereo")  # folders here, in display order
