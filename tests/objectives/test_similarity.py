"""Networks of two towers: which region of the image fits the text."""

import pytest
import torch
from tests.small import photos
from torch import Tensor, nn
from torch.nn import functional

from maskstack import MDM, InputError, ModelError, objectives

QUICK = {"sizes": (2, 4), "steps": 6}


class TwoTowers(nn.Module):
    """An image tower that tells where red and blue are, and a text tower of two words."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(4, 3)
        with torch.no_grad():
            self.words.weight[:3] = torch.eye(3)

    def get_image_features(self, images: Tensor) -> Tensor:
        return functional.relu(images).mean(dim=(2, 3)) + 0.05

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        return self.get_image_features(images) @ self.words(text).T


def red_left_blue_right() -> Tensor:
    image = torch.zeros(1, 3, 16, 16)
    image[:, 0, 4:12, 1:7] = 1
    image[:, 2, 4:12, 9:15] = 1
    return image


@pytest.mark.slow
@pytest.mark.parametrize("among", [False, True])
def test_each_text_has_its_region(among: bool) -> None:
    clip = TwoTowers()
    others = clip.words.weight.detach()[:3]
    for word, columns in ((0, slice(0, 8)), (2, slice(8, 16))):
        text = clip.words(torch.tensor(word)).detach()
        rest = others[torch.arange(3) != word] if among else None
        objective = objectives.similarity(text, others=rest, scale=5.0)
        found = MDM(clip.get_image_features, sizes=(2, 4, 8), steps=20)(red_left_blue_right(), objective)
        inside = found.saliency[..., columns].sum() / found.saliency.sum()
        assert inside > 0.8, (word, float(inside))


def test_one_text_for_each_image() -> None:
    clip = TwoTowers()
    images = red_left_blue_right().repeat(2, 1, 1, 1)
    texts = clip.words(torch.tensor([0, 2])).detach()
    mdm = MDM(clip.get_image_features, **QUICK)
    both = mdm(images, objectives.similarity(texts)).saliency
    for row in range(2):
        alone = mdm(images[:1], objectives.similarity(texts[row])).saliency
        torch.testing.assert_close(both[row : row + 1], alone, atol=1e-3, rtol=0)


def test_the_score_is_the_cosine_or_the_zero_shot_probability() -> None:
    clip = TwoTowers()
    images, text = photos(2), clip.words(torch.tensor(3)).detach()
    features = clip.get_image_features(images)
    found = MDM(clip.get_image_features, **QUICK)(images, objectives.similarity(text)).score_before
    torch.testing.assert_close(found, functional.cosine_similarity(features, text.unsqueeze(0)))
    others = clip.words.weight.detach()[:2]
    every = functional.normalize(torch.cat([text.unsqueeze(0), others]), dim=1)
    expected = (7 * functional.normalize(features, dim=1) @ every.T).softmax(dim=1)[:, 0]
    objective = objectives.similarity(text, others=others, scale=7.0)
    torch.testing.assert_close(MDM(clip.get_image_features, **QUICK)(images, objective).score_before, expected)


def test_the_clip_of_transformers() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**tower, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    clip = transformers.CLIPModel(config).train()
    with torch.no_grad():
        text = clip.get_text_features(input_ids=torch.tensor([[1, 5, 6, 2]]))
    images = photos(1, (32, 32))
    found = MDM(lambda pixels: clip.get_image_features(pixel_values=pixels), **QUICK)(
        images, objectives.similarity(text)
    )
    assert found.saliency.shape == (1, 1, 32, 32)
    assert -1 <= float(found.score_before) <= 1
    assert all(module.training for module in clip.modules())


def test_what_does_not_match_is_said() -> None:
    clip = TwoTowers()
    with pytest.raises(InputError, match="take both from one text tower"):
        objectives.similarity(torch.rand(3), others=torch.rand(2, 4))
    with pytest.raises(InputError, match="text_embedding is a str; give the embedding itself"):
        objectives.similarity("a dog")
    with pytest.raises(InputError, match="text_embedding has shape"):
        objectives.similarity(torch.rand(2, 3, 4))
    with pytest.raises(ModelError, match="the text's has 5 values; explain the image tower"):
        MDM(clip.get_image_features, **QUICK)(photos(1), objectives.similarity(torch.rand(5)))
    with pytest.raises(ModelError, match="no image embedding was found; pass read="):
        MDM(lambda images: {"nothing": images}, **QUICK)(photos(1), objectives.similarity(torch.rand(3)))
