"""How far a map can be trusted, for any method."""

from maskstack.trust.measure import measure
from maskstack.trust.verdict import Trust

__all__ = ["Trust", "measure"]
