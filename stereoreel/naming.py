"""Errors that say which stage they come from."""


class naming:
    """A failure inside names this stage, unless one further up named itself already; the error keeps its type and goes on."""

    def __init__(self, label: str):
        self.label = label

    def __enter__(self) -> None: ...

    def __exit__(self, kind, error, trace) -> None:
        if error is None or getattr(error, "stage", None) or isinstance(error, GeneratorExit):
            return
        error.stage = self.label
        if len(error.args) == 1 and isinstance(error.args[0], str) and not error.args[0].startswith(self.label):
            error.args = (f"{self.label}: {error.args[0]}",)
