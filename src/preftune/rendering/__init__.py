"""Groups to token ids: what is prompt, what is trained, what is cut."""

from preftune.rendering.preview import Preview, preview
from preftune.rendering.renderer import Renderer, Rendering
from preftune.rendering.truncation import Policy

__all__ = ["Policy", "Preview", "Renderer", "Rendering", "preview"]
