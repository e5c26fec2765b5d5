"""Errors of checkpoints, and the line that describes what Orbax raised."""


class CheckpointError(ValueError):
    """A checkpoint is damaged, or could not be written; the message names step, folder and cause in one line."""


class SaveError(CheckpointError):
    """A checkpoint could not be written; those before it are intact, and a later save may succeed."""


def line_of(error: BaseException) -> str:
    """Returns the first cause of an error in one short line: Orbax wraps it in messages of many."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}{' ...' if len(text) > 200 else ''}"
