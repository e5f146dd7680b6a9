"""An observer made of functions, for tests that want to hear of a run."""

from stereoreel.media.write.observer import Observer


class Hearing(Observer):
    """Calls ``chunk``, ``say``, ``skipped`` and ``unit_done`` where they are given."""

    def __init__(self, **given):
        assert set(given) <= {"chunk", "say", "skipped", "unit_done"}
        vars(self).update(given)
