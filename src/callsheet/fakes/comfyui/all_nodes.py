"""All node classes of the fake server."""

from collections.abc import Mapping

from callsheet.fakes.comfyui.nodes import NodeKind, basic_kinds
from callsheet.fakes.comfyui.template_nodes import template_kinds

KINDS: Mapping[str, NodeKind] = {**template_kinds(), **basic_kinds()}
"""All node classes, by class type."""
