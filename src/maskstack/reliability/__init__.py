"""How far a map can be trusted, for any method."""

from maskstack.reliability.measure import measure
from maskstack.reliability.trust import Trust
from maskstack.reliability.verdict import Verdict

__all__ = ["Trust", "Verdict", "measure"]
