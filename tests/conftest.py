"""What all tests share."""

import torch

# Networks of the tests are small: a second thread costs more than it gives, and much more on a busy machine.
torch.set_num_threads(1)
