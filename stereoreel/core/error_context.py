"""Label errors with the stage that raised them."""

from .places import CHECKOUT

REQUIREMENTS = CHECKOUT / "requirements.txt"


class naming:
    """Prefix an error raised inside with this stage's label, unless an inner stage did; its type stays.

    If a package is missing because the pack's requirements were not installed, the error says how to install
    them.
    """

    def __init__(self, label: str):
        self.label = label

    def __enter__(self) -> None: ...

    def __exit__(self, kind, error, trace) -> None:
        if error is None or getattr(error, "stage", None) or isinstance(error, GeneratorExit):
            return
        error.stage = self.label
        if isinstance(error, ModuleNotFoundError):
            what = f"-r {REQUIREMENTS}" if REQUIREMENTS.is_file() else error.name
            install = f"run `python -m pip install {what}` with the Python that runs this"
            error.msg = f"{self.label} needs the package {error.name}, which is not installed; {install}."
            error.args = (error.msg,)
        if (
            len(error.args) == 1
            and isinstance(error.args[0], str)
            and not error.args[0].startswith(self.label)
        ):
            error.args = (f"{self.label}: {error.args[0]}",)
