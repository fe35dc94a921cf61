"""What all tests share."""

import os

# Networks of the tests are small: a second thread costs more than it gives, and much more on a busy machine. Processes
# that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

import torch  # noqa: E402 - it reads the variable

torch.set_num_threads(1)
