"""Run a user's network: inputs are checked, the network is restored afterwards, and passes are counted."""

from maskstack.scoring.arguments import with_arguments
from maskstack.scoring.predict import Prediction, class_probabilities, prediction
from maskstack.scoring.scored_model import ScoredModel
from maskstack.scoring.session import check_images, scoring
from maskstack.scoring.user_model import Goal, Model, UserModel

__all__ = [
    "Goal",
    "Model",
    "Prediction",
    "ScoredModel",
    "UserModel",
    "check_images",
    "class_probabilities",
    "prediction",
    "scoring",
    "with_arguments",
]
