"""The pack's own clip, and the renderer that knows its true depth and its other views."""
