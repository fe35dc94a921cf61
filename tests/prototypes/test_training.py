"""Training in stages: the same seed gives the same weights, also after it was killed; a stage trains what it names."""

import json
import shutil
import signal
from contextlib import nullcontext
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from tests.prototypes.conftest import Silent, config

import maskstack.prototypes.features
import maskstack.prototypes.run
from maskstack.errors import InputError, ModelError, OutputError
from maskstack.models import load_model
from maskstack.prototypes.building import build
from maskstack.prototypes.run import train
from maskstack.prototypes.stage_module import StageModule

pytestmark = pytest.mark.slow

pytest.importorskip("lightning", reason="the extra 'prototypes' is not installed")

JOINT = {
    "network": {"cut": "_blocks.2"},
    "training": {
        "stages": [
            {"name": "warm", "epochs": 2, "learning_rate": 0.01},
            {"name": "joint", "epochs": 4, "learning_rate": 0.01, "backbone_rate": 1e-4},
            {"name": "push"},
            {"name": "prune"},
            {"name": "last", "epochs": 2, "learning_rate": 0.001},
        ]
    },
}


class KilledError(BaseException):
    """Ends a training at a place."""


def tensors(out):
    return safetensors.torch.load_file(out / "checkpoint" / "network.safetensors")


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.fixture(scope="module")
def joint(folders, tmp_path_factory):
    """A training with every stage that nothing disturbed."""
    out = tmp_path_factory.mktemp("joint") / "run"
    train(config(folders, **JOINT), out, Silent())
    return out


@pytest.fixture(autouse=True)
def signals():
    """Whatever a test does to Ctrl-C ends with it."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def kill_at(monkeypatch, epoch, error, *, stage="joint"):
    """A step in the middle of an epoch ends with an error; True is appended to what is returned when it has."""
    real, done = StageModule.training_step, []

    def step(self, batch, index):
        if self.stage.name == stage and self.current_epoch == epoch and not done:
            done.append(True)
            raise error
        return real(self, batch, index)

    monkeypatch.setattr(StageModule, "training_step", step)
    return done


def stages_run(monkeypatch):
    """Names of the stages that are trained from now on."""
    real, names = maskstack.prototypes.run.run_stage, []

    def run_stage(network, stage, *arguments, **more):
        names.append(stage.name)
        return real(network, stage, *arguments, **more)

    monkeypatch.setattr(maskstack.prototypes.run, "run_stage", run_stage)
    return names


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(folders, joint, tmp_path):
    train(config(folders, **JOINT), tmp_path / "again", Silent())
    assert_same(tensors(joint), tensors(tmp_path / "again"))
    seeded = {**JOINT, "training": {**JOINT["training"], "seed": 1}}
    train(config(folders, **seeded), tmp_path / "other", Silent())
    other = tensors(tmp_path / "other")
    assert other["add_on.0.weight"].shape == tensors(joint)["add_on.0.weight"].shape
    assert not torch.equal(other["add_on.0.weight"], tensors(joint)["add_on.0.weight"])


def test_building_leaves_torchs_random_state_and_training_its_determinism(folders, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build(config(folders).network, classes=3, seed=0)
    assert torch.equal(torch.rand(3), expected)
    train(config(folders), tmp_path / "run", Silent())
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_killed_within_a_joint_stage_it_goes_on_to_the_same_weights(folders, joint, tmp_path, monkeypatch, epoch):
    out, made = tmp_path / "run", config(folders, **JOINT)
    done = kill_at(monkeypatch, epoch, KilledError())
    with pytest.raises(KilledError):
        train(made, out, Silent())
    assert done
    assert not (out / "checkpoint").exists()
    again = stages_run(monkeypatch)
    train(made, out, Silent())
    assert again == ["joint", "last"], "a finished stage was run again"
    assert_same(tensors(joint), tensors(out))


def test_finished_epochs_are_not_trained_again(folders, tmp_path, monkeypatch):
    out, made = tmp_path / "run", config(folders, **JOINT)
    kill_at(monkeypatch, 2, KilledError())
    with pytest.raises(KilledError):
        train(made, out, Silent())
    steps, real = [], StageModule.training_step
    monkeypatch.setattr(
        StageModule,
        "training_step",
        lambda self, batch, index: steps.append((self.stage.name, self.current_epoch)) or real(self, batch, index),
    )
    train(made, out, Silent())
    assert sorted(set(steps)) == [("joint", 2), ("joint", 3), ("last", 0), ("last", 1)]


def test_ctrl_c_within_an_epoch_is_a_keyboard_interrupt_and_resumes(folders, joint, tmp_path, monkeypatch):
    out, made = tmp_path / "run", config(folders, **JOINT)
    handler = signal.getsignal(signal.SIGINT)
    kill_at(monkeypatch, 2, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        train(made, out, Silent())
    assert signal.getsignal(signal.SIGINT) == handler, "Ctrl-C is ignored from now on"
    train(made, out, Silent())
    assert_same(tensors(joint), tensors(out))


@pytest.mark.parametrize("images", [5, 25])
def test_killed_while_features_are_cached_it_goes_on(folders, joint, tmp_path, monkeypatch, images):
    out, listener = tmp_path / "run", Silent()
    made = config(folders, **JOINT)
    real, opened = maskstack.prototypes.features.open_photo, []

    def open_photo(path):
        opened.append(path)
        if len(opened) == images:
            raise KilledError
        return real(path)

    monkeypatch.setattr(maskstack.prototypes.features, "open_photo", open_photo)
    with pytest.raises(KilledError):
        train(made, out, listener)
    train(made, out, listener)
    assert_same(tensors(joint), tensors(out))


def test_cached_views_are_not_computed_again(folders, joint, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(joint, out)
    listener = Silent()
    train(config(folders, **JOINT), out, listener)
    assert listener.images == 0
    assert not any(line.startswith("0-warm") for line in listener.sentences), "a finished stage was run again"
    assert_same(tensors(joint), tensors(out))


@pytest.mark.parametrize("after", ["0-warm", "1-joint", "2-push", "3-prune", "4-last"])
def test_stopped_between_stages_it_goes_on_to_the_same_weights(folders, joint, tmp_path, monkeypatch, after):
    out, made = tmp_path / "run", config(folders, **JOINT)

    class Stop(Silent):
        def say(self, sentence):
            super().say(sentence)
            if sentence.startswith(after):
                raise KilledError

    with pytest.raises(KilledError):
        train(made, out, Stop())
    train(made, out, Silent())
    assert_same(tensors(joint), tensors(out))
    reports = [json.loads((run / "checkpoint" / "prototypes.json").read_text()) for run in (joint, out)]
    for report in reports:
        report["report"].pop("seconds")
        assert report.pop("digest"), "the seconds are part of it"
    assert reports[0] == reports[1]


def test_what_was_pruned_first_is_still_known_after_a_second_prune(folders, tmp_path, monkeypatch):
    removed = iter([[0, 2], []])

    def prunable(network, _features):
        gone = next(removed)
        return torch.tensor([number for number in range(len(network.owners)) if number not in gone])

    monkeypatch.setattr(maskstack.prototypes.run, "prunable", prunable)
    stages = [
        {"name": name, **more} for name, more in (("warm", {"epochs": 1}), ("push", {}), ("prune", {}), ("prune", {}))
    ]
    found = train(config(folders, training={"stages": stages}), tmp_path / "run", Silent())
    assert len(found.report["pruned"]) == 2
    assert len(found.sources) == len(found.network.owners)


def test_a_stopped_training_goes_on_in_another_place(own_folders, joint, tmp_path, monkeypatch):
    kill_at(monkeypatch, 3, KilledError())
    with pytest.raises(KilledError):
        train(config(own_folders, **JOINT), tmp_path / "run", Silent())
    (tmp_path / "run").rename(tmp_path / "moved")
    own_folders.rename(tmp_path / "data2")
    train(config(tmp_path / "data2", **JOINT), tmp_path / "moved", Silent())
    assert_same(tensors(joint), tensors(tmp_path / "moved"))


def test_each_stage_trains_what_it_names_and_nothing_else(joint):
    kept = [safetensors.torch.load_file(joint / "stages" / f"{name}.safetensors") for name in
            ("0-warm", "1-joint", "2-push", "3-prune", "4-last")]  # fmt: skip

    def changed(one, other):
        return {name.split(".")[0] if "backbone" not in name else "tail" for name in one
                if not torch.equal(one[name], other[name])}  # fmt: skip

    assert changed(kept[0], kept[1]) <= {"tail", "add_on", "prototypes"}
    assert {"tail", "add_on"} <= changed(kept[0], kept[1])
    assert changed(kept[1], kept[2]) == {"prototypes"}
    assert changed(kept[3], kept[4]) == {"last"}
    pretrained = load_model("bundled,crop=squash,size=64").model.state_dict()
    tail = {name.partition("tail.")[2]: value for name, value in kept[0].items() if ".tail." in name}
    assert tail
    assert all(torch.equal(value, pretrained[name]) for name, value in tail.items()), "warming up changed the backbone"
    stem = {name.partition("stem.")[2]: value for name, value in tensors(joint).items() if ".stem." in name}
    assert stem
    assert all(torch.equal(value, pretrained[name]) for name, value in stem.items()), "the frozen stem has changed"


def test_a_diverged_stage_is_said(folders, tmp_path):
    stages = [{"name": "warm", "epochs": 1, "learning_rate": 1e30}, {"name": "push"}]
    with pytest.raises(InputError, match=r"the stage warm diverged.* reduce its learning rates"):
        train(config(folders, training={"stages": stages}), tmp_path / "run", Silent())


def test_features_that_are_not_finite_are_said(folders, tmp_path):
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\nclass Log(nn.Module):\n    def forward(self, x): return torch.log(x)\n"
        "def make(): return nn.Sequential(nn.Conv2d(3, 8, 5, 4), Log(), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    )
    spec = f"python:{tmp_path / 'net.py'}:make,crop=squash,size=64,norm=half"
    with pytest.raises(ModelError, match=r"features of \d+ of \d+ training images are not finite"):
        train(config(folders, network={"backbone": spec, "layer": "1"}), tmp_path / "run", Silent())


def test_protopnet_refuses_images_with_no_label_or_several(labelled, tmp_path):
    with pytest.raises(InputError, match=r"exactly one label for each image, but .* set kind = 'xprotonet'"):
        train(config(labelled, data={"labels": ["furry", "brown"]}), tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


def test_training_stays_on_the_cpu(folders, tmp_path, monkeypatch):
    """With two GPUs Lightning would start one process for each, with the same command."""
    cuda = pytest.importorskip("lightning.pytorch.accelerators").CUDAAccelerator
    monkeypatch.setattr(cuda, "is_available", staticmethod(lambda: True))
    monkeypatch.setattr(cuda, "auto_device_count", staticmethod(lambda: 2))
    monkeypatch.setattr("lightning.fabric.accelerators.cuda.num_cuda_devices", lambda: 2)
    stages = [{"name": "warm", "epochs": 1}, {"name": "push"}]
    trained = train(config(folders, training={"stages": stages}), tmp_path / "run", Silent())
    assert trained.network.prototypes.device.type == "cpu"


def test_joint_without_a_rate_leaves_the_backbone_alone(folders, tmp_path):
    stages = [{"name": "joint", "epochs": 2, "learning_rate": 0.01}, {"name": "push"}]
    train(config(folders, network=JOINT["network"], training={"stages": stages}), tmp_path / "run", Silent())
    pretrained = load_model("bundled,crop=squash,size=64").model.state_dict()
    for name, value in tensors(tmp_path / "run").items():
        if name.startswith(("backbone.stem.", "backbone.tail.")):
            assert torch.equal(value, pretrained[name.split(".", 2)[2]]), name


def test_a_backbone_without_norm_is_said(folders, tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def make(): return nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    )
    stages = [{"name": "warm", "epochs": 1, "learning_rate": 0.01}, {"name": "push"}]
    for norm, said in (("", True), (",norm=half", False)):
        listener, spec = Silent(), f"python:{tmp_path / 'net.py'}:make,crop=squash,size=64{norm}"
        made = config(folders, network={"backbone": spec, "layer": "1"}, training={"stages": stages})
        train(made, tmp_path / f"run{norm}", listener)
        assert any("norm= was not given" in sentence for sentence in listener.sentences) is said


def test_an_out_of_another_training_is_refused(folders, trained, tmp_path):
    before = sorted(path.stat().st_mtime_ns for path in trained.rglob("*") if path.name != ".lock")
    with pytest.raises(InputError, match="holds a run with seed=0, not 3; choose another --out"):
        train(config(folders, training={"seed": 3}), trained, Silent())
    fewer = replace(config(folders), data=replace(config(folders).data, classes=("cat", "person")))
    with pytest.raises(InputError, match="another"):
        train(fewer, trained, Silent())
    assert sorted(path.stat().st_mtime_ns for path in trained.rglob("*") if path.name != ".lock") == before


def test_a_training_that_failed_before_its_first_stage_takes_other_images_and_settings(own_folders, tmp_path):
    photo = own_folders / "train" / "cat" / "0.png"
    photo.write_bytes(photo.read_bytes()[:500])
    with pytest.raises(InputError, match="no layer"):
        train(config(own_folders, network={"layer": "nothing"}), tmp_path / "run", Silent())
    with pytest.raises(InputError, match="is damaged"):
        train(config(own_folders), tmp_path / "run", Silent())
    photo.unlink()
    train(config(own_folders), tmp_path / "run", Silent())
    with pytest.raises(InputError, match="holds a run with per_class=2, not 3"):
        train(config(own_folders, network={"per_class": 3}), tmp_path / "run", Silent())


def test_an_out_of_other_weights_of_the_backbone_is_refused(folders, tmp_path):
    """The finished stages and features of a run belong to the weights that its backbone had."""
    pytest.importorskip("timm", reason="the extra 'models' is not installed")
    weights, out = tmp_path / "weights.safetensors", tmp_path / "run"
    network = {"backbone": f"timm:test_resnet,num_classes=2,size=64,weights={weights}", "layer": "layer4"}
    made = config(folders, network=network)
    state = load_model("timm:test_resnet,num_classes=2,size=64").model.state_dict()
    safetensors.torch.save_file(state, weights)
    train(made, out, Silent())
    before = tensors(out)
    safetensors.torch.save_file({**state, "conv1.0.weight": state["conv1.0.weight"] * 2}, weights)
    with pytest.raises(InputError, match="whose backbone had other weights; give these weights again, or"):
        train(made, out, Silent())
    safetensors.torch.save_file(state, weights)
    listener = Silent()
    train(made, out, listener)
    assert listener.images == 0
    assert_same(before, tensors(out))


def test_a_run_of_an_older_version_goes_on_and_records_the_weights_of_its_backbone(folders, trained, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    record = json.loads((out / "run.json").read_text())
    assert record.pop("backbone")
    (out / "run.json").write_text(json.dumps(record))
    train(config(folders), out, Silent())
    assert_same(tensors(trained), tensors(out))
    assert json.loads((out / "run.json").read_text()) == json.loads((trained / "run.json").read_text())


def test_random_weights_of_a_backbone_come_from_the_seed():
    pytest.importorskip("timm", reason="the extra 'models' is not installed")
    network = config("data", network={"backbone": "timm:test_resnet,size=64", "layer": "layer4"}).network
    one, same, other = (build(network, classes=2, seed=seed).network.state_dict() for seed in (0, 0, 1))
    assert_same(one, same)
    assert not all(torch.equal(value, other[name]) for name, value in one.items() if "backbone" in name)


@pytest.mark.parametrize("text", ["{", "[]", "{}", "\udcff"])
def test_a_damaged_record_of_the_run_is_said(folders, tmp_path, text):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match="choose another --out"):
        train(config(folders), tmp_path / "run", Silent())


def test_an_unwritable_out_is_said(folders, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="choose another"):
        train(config(folders), tmp_path / "file" / "run", Silent())


def test_stages_with_a_frozen_tail_run_it_once_for_each_view_and_learn_the_same(folders, joint, tmp_path, monkeypatch):
    assert not list((joint / "features").glob("tail-*")), "the tail's output is kept only until the stage is over"
    monkeypatch.setattr(maskstack.prototypes.run, "tail_run_once", lambda _n, _s, features, **_: nullcontext(features))
    train(config(folders, **JOINT), tmp_path / "each", Silent())
    for name, value in tensors(tmp_path / "each").items():
        torch.testing.assert_close(tensors(joint)[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_killed_within_a_stage_with_a_frozen_tail_it_goes_on_to_the_same_weights(folders, joint, tmp_path, monkeypatch):
    out, made = tmp_path / "run", config(folders, **JOINT)
    done = kill_at(monkeypatch, 1, KilledError(), stage="last")
    with pytest.raises(KilledError):
        train(made, out, Silent())
    assert done
    kept = sorted((out / "features").glob("tail-*.npy"))
    assert len(kept) == 2, "the training and the validation images"
    kept[0].write_bytes(b"damaged")
    train(made, out, Silent())
    assert_same(tensors(joint), tensors(out))
    assert not list((out / "features").glob("tail-*"))
