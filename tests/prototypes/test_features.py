"""Cached features: what the stem makes of every view, computed once."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from tests.prototypes.conftest import config

from maskstack.errors import InputError, OutputError
from maskstack.prototypes.building import begin, build
from maskstack.prototypes.data import read_splits
from maskstack.prototypes.features import Shuffled, cached_features
from maskstack.prototypes.push import plain
from maskstack.prototypes.splits import Example
from maskstack.prototypes.views import draw_view

SEED, VIEWS = 3, 2


@pytest.fixture(scope="module")
def examples(folders):
    return read_splits(config(folders).data, seed=0).train[:5]


@pytest.fixture(scope="module")
def built(folders):
    return build(config(folders, network={"cut": "_blocks.2"}).network, classes=3, seed=0)


def cached(folder, built, examples, **more):
    done = []
    given = {"views": VIEWS, "seed": SEED, "identity": "net", "advance": done.append, **more}
    return cached_features(folder, built.network.backbone, examples, built.preprocess, **given), sum(done)


@pytest.mark.slow
def test_each_view_is_what_the_stem_makes_of_it(tmp_path, built, examples):
    features, done = cached(tmp_path, built, examples)
    assert done == len(examples)
    assert len(features) == len(examples) * (VIEWS + 1)
    for number, example in enumerate(examples):
        image = built.preprocess(Image.open(example.path).convert("RGB"))
        for view in range(VIEWS + 1):
            cut, first, theta, label = features[number * (VIEWS + 1) + view]
            drawn = draw_view(SEED, example.name, view)
            with torch.no_grad():
                stem = built.network.backbone.stem
                torch.testing.assert_close(cut, stem(drawn(image)[None]), atol=1e-3, rtol=1e-3)
                torch.testing.assert_close(first, stem(image[None]), atol=1e-3, rtol=1e-3)
            assert torch.equal(theta[0], drawn.theta)
            assert tuple(label[0].tolist()) == example.label


def test_the_plain_ones_are_the_images_as_they_are(tmp_path, built, examples):
    features, _ = cached(tmp_path, built, examples)
    assert len(plain(features)) == len(examples)
    cut, first, theta, _ = plain(features).__getitems__(range(len(examples)))
    assert torch.equal(cut, first)
    assert torch.equal(theta, torch.eye(2, 3).expand(len(examples), -1, -1))


def test_they_are_computed_once_and_others_lie_in_files_of_their_own(tmp_path, built, examples):
    first, _ = cached(tmp_path, built, examples)
    again, done = cached(tmp_path, built, examples)
    assert done == 0
    np.testing.assert_array_equal(again.values, first.values)
    for other in ({"views": 1}, {"seed": 4}, {"identity": "another"}):
        assert cached(tmp_path, built, examples, **other)[1] == len(examples)
    assert cached(tmp_path, built, examples[:4])[1] == 4
    assert len(list(tmp_path.glob("*.npy"))) == 5


def test_other_weights_of_the_stem_mean_other_features(tmp_path, built, examples):
    first, _ = cached(tmp_path, built, examples)
    other = copy.deepcopy(built)
    with torch.no_grad():
        next(other.network.backbone.stem.parameters()).mul_(2)
    features, done = cached(tmp_path, other, examples)
    assert done == len(examples)
    assert not np.allclose(features.values, first.values)


def test_a_picture_that_cannot_be_read_is_named_and_done_when_it_can(tmp_path, built, examples):
    broken = tmp_path / "broken.png"
    broken.write_bytes(examples[2].path.read_bytes()[:300])
    several = [*examples[:2], Example("broken", broken, (1.0, 0.0, 0.0))]
    with pytest.raises(InputError, match=r"broken\.png"):
        cached(tmp_path / "cache", built, several)
    broken.write_bytes(examples[2].path.read_bytes())
    features, _ = cached(tmp_path / "cache", built, several)
    whole, _ = cached(tmp_path / "whole", built, several)
    np.testing.assert_array_equal(features.values, whole.values)


def test_a_folder_that_cannot_be_written_is_said(tmp_path, built, examples):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write features"):
        cached(tmp_path / "file" / "cache", built, examples)


def test_a_damaged_cache_is_made_anew(tmp_path, built, examples):
    whole, _ = cached(tmp_path, built, examples)
    expected = np.array(whole.values)
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(file.read_bytes()[:500])
    features, _ = cached(tmp_path, built, examples)
    np.testing.assert_array_equal(features.values, expected)


def test_orders_depend_on_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = Shuffled(20, seed=seed)
        sampler.set_epoch(epoch)
        torch.manual_seed(seed + epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    assert sorted(order(1, 2)) == list(range(20))
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_a_start_standardises_features_and_takes_prototypes_from_their_class(tmp_path, built, folders):
    splits = read_splits(config(folders).data, seed=0)
    features, _ = cached(tmp_path, built, splits.train)
    network = built.network
    begin(network, features, seed=0)
    with torch.no_grad():
        cut, _, _, labels = plain(features).__getitems__(range(len(splits.train)))
        values = network.backbone.after(cut)
        torch.testing.assert_close(values.mean(dim=(0, 2, 3)), torch.zeros(values.shape[1]), atol=1e-4, rtol=0)
        torch.testing.assert_close(values.std(dim=(0, 2, 3)), torch.ones(values.shape[1]), atol=1e-3, rtol=0)
        distances = network.read(cut).distances
    for prototype, owner in enumerate(network.owners.tolist()):
        own = labels[:, owner] > 0.5
        assert distances[own, prototype].min() < 1e-4
