"""stub"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Checkpoint:
    """A signed tree head: origin, number of entries, RFC 6962 root in hex, and the C2SP signed note itself."""

    origin: str
    size: int
    root: str
    note: str
