"""The help pages' widget tables match the option declarations."""

import pytest

from stereoreel.workflow.node_specs import NODES
from tools import help_tables


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.id)
def test_widget_table_is_current(node):
    page = help_tables.page_of(node).read_text(encoding="utf-8")
    assert help_tables.rewritten(page, node) == page, "run python tools/help_tables.py"


def test_page_without_markers_raises():
    with pytest.raises(ValueError, match="add them"):
        help_tables.rewritten("# A page\n", NODES[0])
