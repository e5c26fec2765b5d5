"""Ends of a training before its last step, and the words that are said at each."""


class Diverged(RuntimeError):
    """Training came to a value that is not finite."""


class Stopped(RuntimeError):
    """A verdict that `stop_on` names was reached; the state was saved."""


class Interrupted(RuntimeError):
    """A signal stopped training; the state was saved, where there was anything new."""

    def __init__(self, number: int, step: int, *, saved: bool = True) -> None:
        done = "and saved" if saved else "before the next step was made"
        super().__init__(f"stopped at step {step} {done}; the same command goes on")
        self.status = 128 + number


def last_words(step: int, name: str, value: float | str, there: list[int]) -> str:
    """Returns what is said of a divergence: the step, the quantity, what can be gone back to, and what may mend it."""
    back = f"the last good checkpoint is {there[-1]}" if there else "there is no checkpoint before it"
    mend = "smaller learning rates or a larger penalty.gamma may help"
    return f"diverged before step {step}: {name} is {value}; {back}; {mend}"


def lost(step: int, saved: list[int]) -> str:
    """Returns the words for what ending at once costs."""
    if not saved:
        return f"{step:,} steps are lost: there was no checkpoint yet"
    lost = step - saved[-1]
    return f"checkpoint {saved[-1]} is intact, " + (f"the {lost:,} steps since are lost" if lost > 0 else "nothing is lost")
