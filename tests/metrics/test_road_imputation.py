"""Is a removed pixel the weighted mean of its neighbours?"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from tests.metrics.toy import drawn

from maskstack.errors import InputError
from maskstack.metrics import noisy_linear_imputation


def written_out(image: torch.Tensor, removed: torch.Tensor) -> np.ndarray:
    """The same system with one dense equation per pixel."""
    height, width = removed.shape
    matrix, right = np.eye(height * width), image.double().flatten(1).T.numpy().copy()
    for i in range(height):
        for j in range(width):
            if not removed[i, j]:
                continue
            weights = {
                (i + y, j + x): 1 / 6 if 0 in (y, x) else 1 / 12
                for y in (-1, 0, 1)
                for x in (-1, 0, 1)
                if (y, x) != (0, 0) and 0 <= i + y < height and 0 <= j + x < width
            }
            right[i * width + j] = 0
            for (k, m), weight in weights.items():
                matrix[i * width + j, k * width + m] = -weight / sum(weights.values())
    return np.linalg.solve(matrix, right).T.reshape(image.shape)


@pytest.mark.slow
@given(st.integers(1, 11), st.integers(1, 11), st.integers(1, 4), st.floats(0, 1), st.integers(0, 2**31))
@settings(deadline=None, max_examples=60)
def test_it_is_the_dense_system(height, width, channels, share, seed) -> None:
    image = 4 * drawn(channels, height, width, seed=seed) - 2
    removed = drawn(height, width, seed=seed + 1) < share
    removed.view(-1)[seed % removed.numel()] = False
    imputed = noisy_linear_imputation(image, removed, noise=0)
    np.testing.assert_allclose(imputed.numpy(), written_out(image, removed), atol=1e-5)
    assert torch.equal(imputed[:, ~removed], image[:, ~removed])
    assert imputed.max() <= image[:, ~removed].max() + 1e-5, "means lie between what they are means of"
    assert imputed.min() >= image[:, ~removed].min() - 1e-5


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("scattered", [True, False])
def test_it_is_that_of_pytorch_grad_cam(share: float, scattered: bool) -> None:
    image = 4 * drawn(3, 57, 46) - 2
    saliency = drawn(57, 46, seed=1) if scattered else torch.linspace(0, 1, 57)[:, None] + torch.linspace(0, 1, 46)
    removed = saliency <= saliency.flatten().quantile(share)
    theirs = NoisyLinearImputer(noise=0)(image, (~removed).float())
    torch.testing.assert_close(noisy_linear_imputation(image, removed, noise=0), theirs, atol=1e-4, rtol=0)


def test_planes_and_constants_are_known() -> None:
    removed = torch.zeros(9, 9, dtype=torch.bool)
    removed[2:7, 2:7] = True
    plane = (torch.arange(9.0)[:, None] + 2 * torch.arange(9.0)).expand(2, 9, 9)
    torch.testing.assert_close(noisy_linear_imputation(plane, removed, noise=0), plane.clone())
    everywhere = ~torch.eye(9, dtype=torch.bool)
    constant = torch.full((3, 9, 9), 0.7)
    torch.testing.assert_close(noisy_linear_imputation(constant, everywhere, noise=0), constant)


def test_noise_is_of_that_size_reproducible_and_only_on_what_is_removed() -> None:
    image, removed = torch.zeros(3, 60, 60), drawn(60, 60) < 0.5
    state = torch.get_rng_state()
    one, same = (
        noisy_linear_imputation(image, removed, noise=0.3, generator=torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert torch.equal(one, same)
    assert torch.equal(torch.get_rng_state(), state)
    assert one[:, removed].std().item() == pytest.approx(0.3, rel=0.05)
    assert one[:, ~removed].abs().max() == 0
    assert image.abs().max() == 0


def test_nothing_removed_changes_nothing_and_everything_is_refused() -> None:
    image = drawn(3, 5, 4)
    assert torch.equal(noisy_linear_imputation(image, torch.zeros(5, 4, dtype=torch.bool)), image)
    with pytest.raises(InputError, match="every pixel"):
        noisy_linear_imputation(image, torch.ones(5, 4, dtype=torch.bool))
    with pytest.raises(InputError, match="booleans"):
        noisy_linear_imputation(image, torch.zeros(5, 4))
    with pytest.raises(InputError, match="booleans"):
        noisy_linear_imputation(image, torch.zeros(4, 5, dtype=torch.bool))


def test_the_type_is_kept_and_the_gradient_is_not() -> None:
    image = drawn(3, 6, 6).half().requires_grad_()
    imputed = noisy_linear_imputation(image, drawn(6, 6) < 0.5)
    assert imputed.dtype == torch.float16
    assert not imputed.requires_grad
