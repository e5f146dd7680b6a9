"""An observer made of functions."""

from stereoreel.media.write.observer import Observer


class Hearing(Observer):
    """Call ``chunk``, ``say``, ``skipped`` and ``unit_done`` if given."""

    def __init__(self, **given):
        assert set(given) <= {"chunk", "say", "skipped", "unit_done"}
        vars(self).update(given)
