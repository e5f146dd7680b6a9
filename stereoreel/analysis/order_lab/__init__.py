"""The order lab: orders of stages over some places of the user's own footage, measured side by side."""
