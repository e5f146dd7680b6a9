"""StereoReel's engine: ordinary video in, sharper, smoother, stereoscopic video out, in memory that does not grow with the film."""

__version__ = "0.1.0"
