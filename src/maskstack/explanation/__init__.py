"""The result of an explanation: the map, what it was made of, what it cost and how far to believe it."""

from maskstack.explanation.explanation import Explanation

__all__ = ["Explanation"]
