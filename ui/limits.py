"""What one host does for its visitors at most. app.py's flags set it; everything else is told."""

from __future__ import annotations

from dataclasses import dataclass

# On hosts that anybody can visit, unless the flag says otherwise.
PUBLIC_REQUESTS_A_MINUTE = 120
# That a question on the page takes, at most: a new passage is counted, the question asked, what was
# compared makes way, Look inside follows, twice where another answer than the best one was chosen.
# Over the API it takes one.
REQUESTS_A_QUESTION = 5
# Whose open files and earlier questions are kept: those who asked last. Each takes a fifth of a
# megabyte and what they sent.
VISITORS_KEPT = 500
# How often as many bytes may be sent and not yet be read, or removed, as may be opened at once.
MOST_SENT = 20
# What a visitor has open at most: files, and how often the characters of the longest passage.
MOST_FILES = 1_000
MOST_PASSAGES = 4
# Events that do not queue, all visitors together: to count a long passage takes a processor.
UNQUEUED_AT_ONCE = 4
LOGINS_A_MINUTE = 20  # of one visitor: many for who forgot a password, few for who guesses it


@dataclass(frozen=True, slots=True)
class Limits:
    """The defaults suit two cores and 16 GB."""

    characters: int = 2_000_000  # of a passage: two long novels, a minute or two on a laptop
    file_bytes: int = 50_000_000  # of all files that are opened at once
    questions: int = 1_000  # asked at once
    seconds: int = 900  # that one request is worked on
    waiting: int = 64  # requests in the queue
    requests_a_minute: int | None = None  # of one visitor; None: as many as they like
    reading: int = 2  # passages at a time; more only makes each of them slower
    requests_at_once: int = 8  # of one visitor, where there is a limit of those a minute

    @property
    def body_bytes(self) -> int:
        """Bytes that a request other than an upload may have: JSON writes the worst character of a
        passage as twelve."""
        return 12 * self.characters + 1_000_000
