"""How far to believe a map, whichever method made it."""

from maskstack.trust.measure import measure
from maskstack.trust.verdict import Trust

__all__ = ["Trust", "measure"]
