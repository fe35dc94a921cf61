"""Run a user's network: inputs are checked, the network is restored afterwards, and passes are counted."""

from maskstack.scoring.arguments import with_arguments
from maskstack.scoring.predict import class_probabilities
from maskstack.scoring.session import ScoredModel, check_images, scoring
from maskstack.scoring.user_model import Goal, Model, UserModel

__all__ = [
    "Goal",
    "Model",
    "ScoredModel",
    "UserModel",
    "check_images",
    "class_probabilities",
    "scoring",
    "with_arguments",
]
