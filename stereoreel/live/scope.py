"""The upscalers as a post-processor of Daydream Scope, which finds this module by its entry point.

The entry point is ``scope``; only Scope imports it.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from scope.core.pipelines.base_schema import BasePipelineConfig, ModeDefaults, UsageType
from scope.core.pipelines.interface import Pipeline, Requirements
from scope.core.plugins import hookimpl

from .upscaler import PostProcessor

ON_THE_WAY = ("factor", "steady")  # options that may change while the stream runs


class UpscaleConfig(BasePipelineConfig):
    """Settings that Scope shows."""

    pipeline_id: ClassVar[str] = "stereoreel_upscale"
    pipeline_name: ClassVar[str] = "StereoReel Upscale"
    pipeline_description: ClassVar[str] = (
        "Upscales the stream, one burst at a time; steady keeps hallucinated detail from flickering."
    )
    supports_prompts: ClassVar[bool] = False
    modified: ClassVar[bool] = True
    usage: ClassVar[list] = [UsageType.POSTPROCESSOR]
    modes: ClassVar[dict] = {"video": ModeDefaults(default=True)}

    model: str = Field(
        default="auto", description="A model of the RealESRGAN node; auto selects one for real time."
    )
    factor: float = Field(default=2.0, ge=1, le=4, description="Scale of the width and height.")
    steady: float = Field(
        default=0.0, ge=0, le=1, description="How strongly hallucinated detail is stabilised."
    )


class UpscalePipeline(Pipeline):
    """One frame for each, in Scope's form.

    The input is a list of ``[1, H, W, C]`` uint8, the output ``[T, H', W', C]`` float 0..1.
    """

    @classmethod
    def get_config_class(cls) -> type[BasePipelineConfig]:
        return UpscaleConfig

    def __init__(self, config: UpscaleConfig | None = None, device: torch.device | None = None, **given):
        settings = vars(config) if config is not None else given
        chosen = {name: settings[name] for name in ("model", *ON_THE_WAY) if name in settings}
        self.post, self.chosen = PostProcessor(device, **chosen), chosen

    def prepare(self, **given) -> Requirements:
        return Requirements(input_size=1)

    def __call__(self, **given) -> dict[str, torch.Tensor]:
        wanted = {**self.chosen, **{name: given[name] for name in ON_THE_WAY if given.get(name) is not None}}
        changes = {} if wanted == self.chosen else wanted
        self.chosen = wanted
        return self.post(given["video"], **changes)

    def cleanup(self) -> None:
        self.post.cleanup()


@hookimpl
def register_pipelines(register) -> None:
    register(UpscalePipeline)
