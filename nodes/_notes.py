"""Show on a node what its stage reported in a pull, such as shots without camera motion."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..stereoreel.core.meter import Meter, format_counts
from ._comfy import PromptServer


class NodeMeter(Meter):
    """Also sends what a stage says, and its counts, to its node, as text."""

    def note(self, label: str, counts: Mapping[str, int]) -> None:
        super().note(label, counts)
        show_on_node(label, format_counts(counts))

    def say(self, label: str, text: str) -> None:
        super().say(label, text)
        show_on_node(label, text)


def show_on_node(label: str, text: str) -> None:
    """Show a text on the node that a label ends with."""
    if text and (node := re.search(r"\(node (\S+)\)$", label)):
        PromptServer.instance.send_progress_text(text, node[1])
