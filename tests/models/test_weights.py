import pickle

import pytest
import torch
from safetensors.torch import save_file

from maskstack.errors import InputError, ModelError
from maskstack.models.weights import load_weights, read_weights


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_safetensors(tmp_path, tiny):
    save_file(tiny.state_dict(), tmp_path / "w.safetensors")
    assert read_weights(tmp_path / "w.safetensors").keys() == tiny.state_dict().keys()


@pytest.mark.parametrize("nested", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod."])
def test_checkpoints_as_training_leaves_them(tmp_path, tiny, nested, prefix):
    state = {prefix + name: value + 1 for name, value in tiny.state_dict().items()}
    torch.save({nested: state, "epoch": 3} if nested else state, tmp_path / "w.pt")
    before = tiny.head.bias.clone()
    load_weights(tiny, read_weights(tmp_path / "w.pt"), source="w.pt")
    assert torch.equal(tiny.head.bias, before + 1)


def test_pickled_objects_are_refused_and_not_run(tmp_path):
    for number, write in enumerate((torch.save, lambda what, path: path.write_bytes(pickle.dumps(what)))):
        path = tmp_path / f"w{number}.pth"
        write({"conv.weight": Evil(tmp_path / "was_here")}, path)
        with pytest.raises(ModelError, match="safetensors") as caught:
            read_weights(path)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "was_here").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth", "w.ckpt"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 half a zip"])
def test_damaged_files_are_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match="damaged") as caught:
        read_weights(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_truncated_checkpoint(tmp_path, tiny):
    torch.save(tiny.state_dict(), tmp_path / "whole.pt")
    (tmp_path / "half.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:900])
    with pytest.raises(ModelError, match="damaged"):
        read_weights(tmp_path / "half.pt")


def test_missing_files_and_other_suffixes(tmp_path):
    with pytest.raises(InputError, match="do not exist"):
        read_weights(tmp_path / "none.pt")
    (tmp_path / "w.h5").touch()
    with pytest.raises(InputError, match="unknown suffix"):
        read_weights(tmp_path / "w.h5")


@pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], {"epoch": 3}, {}])
def test_content_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"state_dict\(\)"):
        read_weights(tmp_path / "w.pt")


def test_weights_of_another_network_say_what_differs(tiny):
    state = tiny.state_dict()
    state["fc.weight"] = state.pop("head.weight")
    state["head.bias"] = torch.zeros(7)
    with pytest.raises(ModelError) as caught:
        load_weights(tiny, state, source="other.pt")
    for part in (
        "missing: head.weight",
        "unexpected: fc.weight",
        "head.bias (7 in the file, 5 in the network)",
    ):
        assert part in str(caught.value)


def test_only_the_first_few_names_are_listed(tiny):
    with pytest.raises(ModelError, match="and 1 more"):
        load_weights(tiny, {}, source="empty")
