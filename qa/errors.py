"""What can go wrong, as sentences for the person in front of the screen.

Every message is one sentence that says what is wrong and, where that does not go without saying,
what to do; the page, the HTTP API and the command line show it as it is.
"""


class QAError(Exception):
    """Something could not be done: a model is missing, damaged or does not fit (exit code 1)."""


class InputError(QAError, ValueError):
    """What the user gave cannot be used: a blank passage, an unknown model (exit code 2).

    `field` names what was wrong ("passage", "question", "top_k"), where it is one thing.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class OutOfMemoryError(QAError):
    """There is not enough memory to load a model or to run it."""

    def __init__(self) -> None:
        super().__init__(
            "There is not enough memory; close other programs or choose a smaller model."
        )


class TimeLimitError(QAError):
    """Reading took longer than it may."""


class StoppedError(QAError):
    """Reading was ended before its end: nobody waits for it any more, or the app is stopped."""
