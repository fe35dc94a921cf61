"""What all tests share."""

import os

# Networks of the tests are small: a second thread costs more than it gives, and much more on a busy machine. Processes
# that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

import hypothesis
import torch

torch.set_num_threads(1)

# No promise is about the time that an example takes, which on a busy machine is anything.
hypothesis.settings.register_profile(
    "any speed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any speed")
