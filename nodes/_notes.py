"""Show on a node what its stage reported at the end of a pull, such as shots without camera motion."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..stereoreel.core.meter import Meter, format_counts
from ._comfy import PromptServer


class NodeMeter(Meter):
    """Also sends a stage's counts to its node, as text."""

    def note(self, label: str, counts: Mapping[str, int]) -> None:
        super().note(label, counts)
        node = re.search(r"\(node (\S+)\)$", label)
        if node and (said := format_counts(counts)):
            PromptServer.instance.send_progress_text(said, node[1])
