"""The result of an explanation: the map, its masks and scores, its cost, and how far it can be trusted."""

from maskstack.explanation.explanation import Explanation

__all__ = ["Explanation"]
