"""Configurations: the message about a wrong one names the table and the key."""

import json
from pathlib import Path

import pytest
from tests.prototypes.conftest import as_toml, config

from maskstack.errors import InputError
from maskstack.prototypes.config import (
    WEIGHTS,
    Config,
    DataConfig,
    NetworkConfig,
    StageConfig,
    TrainingConfig,
    read_config,
)

PUSH = "[[training.stages]]\nname = 'push'\n"
NET = "[network]\nkind = 'protopnet'\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "net.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("kind", WEIGHTS)
def test_toml_and_json_say_the_same(tmp_path, kind) -> None:
    made = config("/some/where", kind, training={"weights": {"cluster": 2}})
    assert read_config(written(tmp_path, as_toml(made))) == made
    assert Config.from_dict(json.loads(json.dumps(made.as_dict()))) == made


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_not_given_are_the_papers(kind) -> None:
    made = config("x", kind, training={"weights": {"cluster": 2}})
    assert made.training.weights == {**WEIGHTS[kind], "cluster": 2.0}


def test_the_defaults_are_a_whole_training() -> None:
    made = Config(network=NetworkConfig(kind="protopnet"))
    assert [stage.name for stage in made.training.stages] == ["warm", "push", "last"]


def test_the_datas_path_is_relative_to_the_file(tmp_path, monkeypatch) -> None:
    (tmp_path / "sub").mkdir()
    path = written(tmp_path / "sub", NET + "[data]\npath = '../birds'\n")
    monkeypatch.chdir(tmp_path)
    assert Path(read_config("sub/net.toml").data.path).resolve() == (tmp_path / "birds").resolve()
    path.write_text(NET + "[data]\npath = '/birds'\n")
    assert read_config(path).data.path == "/birds"
    path.write_text(NET)
    assert read_config(path).data.path == ""


@pytest.mark.parametrize("example", sorted(Path("examples/prototypes").glob("*.toml")), ids=lambda path: path.name)
def test_the_examples_can_be_read(example) -> None:
    assert read_config(example).training.stages


CASES = {
    "no TOML": ("[network", "cannot be read as TOML"),
    "no text": ("\udcff", "cannot be read as TOML"),
    "nothing": ("", "the configuration lacks network; add it"),
    "no kind": ("[network]\n", "[network] lacks kind; add it"),
    "an unknown table": (NET + "[trainig]\n", "the configuration has no 'trainig'; did you mean training"),
    "an unknown key": (NET + "per_clas = 3\n", "[network] has no 'per_clas'; did you mean per_class"),
    "an unknown key of a stage": (NET + PUSH + "epoch = 3\n", "has no 'epoch'; did you mean epochs"),
    "a stage without a name": (NET + "[[training.stages]]\nepochs = 2\n", "lacks name; add it"),
    "a table that is none": ("network = 3\n", "[network] is not a table"),
    "stages in one table": (NET + "[training.stages]\nname = 'push'\n", "write each stage as [[training.stages]]"),
    "a stage that is no table": (NET + "[training]\nstages = [3]\n", "is not a table"),
    "an unknown kind": ("[network]\nkind = 'protopnett'\n", "did you mean protopnet"),
    "an unknown stage": (NET + "[[training.stages]]\nname = 'jiont'\n", "did you mean joint"),
    "an unknown schedule": (NET + PUSH + "schedule = 'cosin'\n", "did you mean cosine"),
    "an unknown occurrence": (NET + "occurrence = 'relu'\n", "it must be one of sigmoid, abs"),
    "text for a number": (NET + "per_class = '3'\n", "network.per_class is '3'; it must be a whole number"),
    "a fraction": (NET + "per_class = 3.5\n", "network.per_class is 3.5; it must be a whole number"),
    "true for a number": (NET + "per_class = true\n", "network.per_class is True; it must be a whole number"),
    "a number for true": (NET + "[training]\nkeep_sources = 1\n", "it must be true or false"),
    "a number for text": (NET + "layer = 15\n", "network.layer is 15; it must be text in quotes"),
    "a name for names": (NET + "[data]\nclasses = 'cat'\n", "data.classes is 'cat'; it must be a list of names"),
    "no prototypes": (NET + "per_class = 0\n", "per_class is 0; it must be a whole number from 1"),
    "more than a whole number holds": (NET + "[training]\nseed = 3000000000\n", "seed is 3000000000"),
    "a negative seed": (NET + "[training]\nseed = -1\n", "seed is -1; it must be a whole number from 0"),
    "a negative rate": (NET + PUSH + "learning_rate = -1\n", "learning_rate is -1.0; it must be a number in [0, "),
    "a rate of NaN": (NET + PUSH + "learning_rate = nan\n", "learning_rate is nan; it must be a number in [0, "),
    "the whole for validation": (NET + "[data]\nvalidation_share = 1\n", "it must be a number in (0, 1)"),
    "one class": (NET + "[data]\nclasses = ['cat']\n", "classes are cat; give two or more, each once"),
    "a class twice": (NET + "[data]\nlabels = ['a', 'b', 'a']\n", "give two or more, each once"),
    "classes and labels": (NET + "[data]\nclasses = ['a', 'b']\nlabels = ['a', 'b']\n", "both given"),
    "an unknown weight": (NET + "[training.weights]\nclutser = 1\n", "did you mean cluster"),
    "a weight of the other network": (NET + "[training.weights]\nocurrence = 1\n", "cluster, separation, l1"),
    "a weight that is text": (NET + "[training.weights]\ncluster = 'much'\n", "weights.cluster is 'much'"),
    "weights that are no table": (NET + "[training]\nweights = 3\n", "weights"),
    "epochs of a push": (NET + PUSH + "epochs = 3\n", "push and prune have none"),
    "no epochs": (NET + "[[training.stages]]\nname = 'warm'\n", "others 1 or more"),
    "no stages": (NET + "[training]\nstages = []\n", "there is no push stage"),
    "no push": (NET + "[[training.stages]]\nname = 'warm'\nepochs = 1\n", "there is no push stage"),
    "warm after the last push": (
        NET + PUSH + "[[training.stages]]\nname = 'warm'\nepochs = 1\n",
        "a stage after the last push changes the prototypes",
    ),
    "prune before push": (NET + "[[training.stages]]\nname = 'prune'\n" + PUSH, "put it after push"),
    "prune for XProtoNet": (
        "[network]\nkind = 'xprotonet'\n" + PUSH + "[[training.stages]]\nname = 'prune'\n",
        "prune is ProtoPNet's; leave it out for xprotonet",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_said_and_where(name, tmp_path) -> None:
    text, says = CASES[name]
    path = tmp_path / "net.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as caught:
        read_config(path)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_said(tmp_path) -> None:
    with pytest.raises(InputError, match=r"there is no configuration .*; check the path"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(InputError, match="cannot be read as TOML"):
        read_config(tmp_path)


def test_what_is_made_in_python_is_checked_too() -> None:
    with pytest.raises(InputError, match="kind"):
        NetworkConfig(kind="pipnet")
    with pytest.raises(InputError, match=r"number in \(0, 1\)"):
        DataConfig(validation_share=0.0)
    with pytest.raises(InputError, match="whole number from 1"):
        TrainingConfig(batch_size=0)
    with pytest.raises(InputError, match="epochs"):
        StageConfig(name="push", epochs=1)
