"""Checkpoints: what was saved is what is loaded, and what is not whole is refused in a sentence."""

import json
import shutil
import socket

import pytest
import safetensors.torch
import torch
from PIL import Image
from tests.prototypes.conftest import Silent, config

from maskstack.errors import InputError, MaskstackError, ModelError
from maskstack.prototypes.checkpoint import Prototypes, load, picture_name
from maskstack.prototypes.push import duplicates
from maskstack.prototypes.run import train


@pytest.fixture(scope="module")
def read(trained):
    """The trained ProtoPNet as it is loaded; only looked at."""
    return load(trained)


@pytest.fixture(scope="module")
def read_labels(trained_labels):
    """The trained XProtoNet as it is loaded; only looked at."""
    return load(trained_labels)


@pytest.fixture
def copy(trained, tmp_path):
    """A checkpoint that a test may spoil."""
    return shutil.copytree(trained / "checkpoint", tmp_path / "copy")


def about(folder, change):
    file = folder / "prototypes.json"
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


def images_of(prototypes, folder):
    paths = sorted(folder.rglob("test/*/*.png"))
    return torch.stack([prototypes.model.preprocess(Image.open(path).convert("RGB")) for path in paths])


@pytest.mark.parametrize("kind", ["protopnet", "xprotonet"])
@pytest.mark.slow
def test_a_checkpoint_answers_as_what_was_trained(kind, folders, labelled, tmp_path, monkeypatch):
    tables = {"data": {"labels": ["furry", "brown"]}} if kind == "xprotonet" else {}
    made = train(config(labelled if tables else folders, kind, **tables), tmp_path / "run", Silent())
    # Its tensors stand for the pretrained ones: nothing is fetched.
    monkeypatch.setattr(socket, "socket", lambda *_arguments, **_more: pytest.fail("something was fetched"))
    read = load(tmp_path / "run" / "checkpoint", kind=kind)
    assert isinstance(read, Prototypes)
    images = images_of(read, folders)
    with torch.no_grad():
        assert torch.equal(read.network(images), made.network(images))
        assert torch.equal(read.network.activations(images), made.network.activations(images))
    for name in ("class_names", "multi_label", "sources", "report", "config", "folder"):
        expected = getattr(made, name)
        if name == "config":
            assert getattr(read, name).network == expected.network
        else:
            assert getattr(read, name) == expected, name
    assert not read.network.training


@pytest.mark.slow
def test_nothing_of_the_training_machine_is_in_it(trained, folders):
    text = (trained / "checkpoint" / "prototypes.json").read_text()
    assert str(folders) not in text
    assert str(trained) not in text


@pytest.mark.slow
def test_a_runs_folder_stands_for_its_checkpoint(read, trained):
    assert read.folder == trained / "checkpoint"


@pytest.mark.slow
def test_the_most_weighty_prototypes_come_first(read):
    for label in range(3):
        numbers = read.prototypes_of(label)
        assert sorted(numbers) == torch.nonzero(read.network.owners == label).flatten().tolist()
        weights = [float(read.network.weights[number, label].detach()) for number in numbers]
        assert weights == sorted(weights, reverse=True)


@pytest.mark.slow
@pytest.mark.parametrize("fixture", ["read", "read_labels"])
def test_a_source_picture_reaches_the_activation_that_was_recorded(fixture, request):
    read = request.getfixturevalue(fixture)
    for number, source in enumerate(read.sources):
        picture = read.source_picture(number)
        assert picture.size == (64, 64)
        with torch.no_grad():
            activation = float(read.network.activations(read.prepare(picture)[None])[0, number])
        # A picture has 8 bits, and the similarity to an identical patch is the steepest there is.
        assert activation == pytest.approx(source.activation, rel=0.02), source
    with torch.no_grad():
        assert read.network.prototypes.shape[0] == len(read.sources)


def test_sources_are_training_images_of_the_prototypes_class(read):
    for source, owner in zip(read.sources, read.network.owners.tolist(), strict=True):
        assert source.image.split("/")[:2] == ["train", read.class_names[owner]]
        assert source.row is not None
        assert 0 <= source.row < 8


@pytest.mark.slow
def test_without_pictures_they_come_from_the_data_or_not_at_all(folders, tmp_path):
    train(config(folders, training={"keep_sources": False}), tmp_path / "run", Silent())
    assert not (tmp_path / "run" / "checkpoint" / "sources").exists()
    read = load(tmp_path / "run")
    assert read.source_picture(0) is None
    assert read.source_picture(0, data=tmp_path) is None
    picture = read.source_picture(0, data=folders)
    with torch.no_grad():
        activation = float(read.network.activations(read.prepare(picture)[None])[0, 0])
    assert activation == pytest.approx(read.sources[0].activation, rel=0.02)


@pytest.mark.slow
def test_two_sources_never_share_a_picture(own_folders, tmp_path):
    """Images of one name but for its suffix are different images."""
    for place in own_folders.glob("train/cat/*.png"):
        if int(place.stem) >= 3:
            Image.open(place).save(place.with_name(f"{int(place.stem) - 3}.bmp"))
            place.unlink()
    train(config(own_folders, network={"per_class": 6}), tmp_path / "run", Silent())
    read = load(tmp_path / "run")
    cats = {source.image for source in read.sources if "/cat/" in source.image}
    kept = {picture_name(name) for name in cats}
    assert all((tmp_path / "run" / "checkpoint" / "sources" / name).is_file() for name in kept)
    assert len({name.rpartition(".")[0] for name in cats}) < len(cats), "no two of one name: another seed is needed"
    assert len(kept) == len(cats)


@pytest.mark.slow
def test_duplicates_are_known(trained):
    network = load(trained).network
    network.prototypes.data[1] = network.prototypes.data[0]
    network.prototypes.data[2] = network.prototypes.data[0]
    assert duplicates(network) == {1: 0}, "a prototype of another class is no duplicate"


def _tensors(change):
    def spoil(folder):
        file = folder / "network.safetensors"
        state = safetensors.torch.load_file(file)
        change(state)
        file.write_bytes(safetensors.torch.save(state))

    return spoil


def _truncated(folder):
    file = folder / "network.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


SPOILT = {
    "JSON that is damaged": (lambda f: (f / "prototypes.json").write_text("{"), InputError, "cannot be read"),
    "JSON that is a list": (lambda f: (f / "prototypes.json").write_text("[]"), InputError, "is not a checkpoint"),
    "another format": (lambda f: about(f, lambda v: v.update(format="x 2")), InputError, "is not a checkpoint that"),
    "no JSON": (lambda f: (f / "prototypes.json").unlink(), InputError, "holds no checkpoint; give the folder"),
    "no sources": (lambda f: about(f, lambda v: v.pop("sources")), InputError, "lacks parts of a checkpoint"),
    "no kind": (lambda f: about(f, lambda v: v.pop("kind")), MaskstackError, "checkpoint"),
    "fewer sources": (lambda f: about(f, lambda v: v["sources"].pop()), MaskstackError, "sources"),
    "an owner that is no class": (lambda f: about(f, lambda v: v["owners"].append(7)), MaskstackError, "checkpoint"),
    "another owner": (lambda f: about(f, lambda v: v["owners"].append(2)), MaskstackError, "no sources"),
    "an unknown key": (lambda f: about(f, lambda v: v["config"]["network"].update(x=1)), InputError, "no 'x'"),
    "a config of the other kind": (
        lambda f: about(f, lambda v: v["config"].update(network={**v["config"]["network"], "kind": "xprotonet"})),
        MaskstackError, "",
    ),
    "no tensors": (lambda f: (f / "network.safetensors").unlink(), MaskstackError, "do not exist"),
    "truncated tensors": (_truncated, ModelError, "damaged"),
    "a tensor that lacks": (_tensors(lambda s: s.pop("prototypes")), ModelError, "lacks 1 tensors, first prototypes"),
    "a tensor too many": (_tensors(lambda s: s.update(more=torch.ones(1))), ModelError, "unexpected: more"),
    "a tensor of another shape": (
        _tensors(lambda s: s.update(prototypes=torch.ones(6, 9))), ModelError, "of another shape: prototypes",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SPOILT)
def test_what_is_not_whole_is_refused(name, copy):
    spoil, error, says = SPOILT[name]
    spoil(copy)
    with pytest.raises(error) as caught:
        load(copy, kind="protopnet")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_tensors_of_the_other_network_are_refused(copy, trained_labels):
    shutil.copy(trained_labels / "checkpoint" / "network.safetensors", copy)
    with pytest.raises(ModelError, match=r"lacks|not of this network"):
        load(copy)


def test_the_other_network_is_refused_where_one_kind_is_asked_for(trained):
    with pytest.raises(InputError, match="holds a checkpoint of protopnet, not of xprotonet"):
        load(trained, kind="xprotonet")


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(InputError, match="holds no checkpoint"):
        load(tmp_path / "none")


@pytest.mark.slow
def test_a_source_picture_of_another_size_is_refused(copy):
    for file in (copy / "sources").iterdir():
        with Image.open(file) as picture:
            enlarged = picture.resize((70, 65))
        enlarged.save(file)
    with pytest.raises(
        InputError, match=r"\.png has 70 x 65 pixels, but the network's input 64 x 64; get a whole copy"
    ):
        load(copy).source_picture(0)
