import io
import json
import zipfile

import pytest
import torch
from torch import nn

from maskstack.errors import InputError, ModelError
from maskstack.models import load_model

Dim = torch.export.Dim


def export(path, network, *, batch=2, dynamic=False, example=None):
    example = torch.rand(batch, 3, 32, 32) if example is None else example
    shapes = ({0: Dim("batch")},) if dynamic else None
    torch.export.save(torch.export.export(network, (example,), dynamic_shapes=shapes), path)
    return path


@pytest.fixture
def archive(tmp_path, tiny):
    return export(tmp_path / "tiny.pt2", tiny, dynamic=True)


def rewrite(path, inner, change):
    """Replace one file of an archive."""
    content = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(content) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            old = source.read(name)
            target.writestr(name, change(old) if name.endswith(inner) else old)
    return path


def in_json(change):
    def changed(content):
        held = json.loads(content)
        change(held)
        return json.dumps(held).encode()

    return changed


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True])
def test_it_answers_as_the_network_it_came_from(tmp_path, tiny, dynamic):
    model = load_model(f"exported:{export(tmp_path / 'tiny.pt2', tiny, dynamic=dynamic)},norm=unit")
    images = torch.rand(5, 3, 32, 32)
    assert torch.allclose(model.model(images), tiny(images), atol=1e-5)
    assert (model.input_size, model.weights, model.model.training) == ((32, 32), "tiny.pt2", False)


def test_its_mode_stays_as_it_was_exported(archive):
    model = load_model(f"exported:{archive}").model
    assert model.train() is model
    model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True])
def test_real_architectures(tmp_path, dynamic):
    timm = pytest.importorskip("timm")
    network = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2).eval()
    model = load_model(f"exported:{export(tmp_path / 'vit.pt2', network, dynamic=dynamic)}")
    images = torch.rand(3, 3, 32, 32)
    assert torch.allclose(model.model(images), network(images), atol=1e-4)


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_example_inputs_are_not_unpickled(tmp_path, archive):
    evil = io.BytesIO()
    torch.save((Touch(tmp_path / "was_here"),), evil)
    rewrite(archive, "sample_inputs/model.pt", lambda _old: evil.getvalue())
    load_model(f"exported:{archive}")
    assert not (tmp_path / "was_here").exists()


def test_pickled_weights_are_refused(archive):
    def pickled(config):
        next(iter(config["config"].values()))["use_pickle"] = True

    rewrite(archive, "weights_config.json", in_json(pickled))
    with pytest.raises(ModelError, match="pickled"):
        load_model(f"exported:{archive}")


def test_weights_of_the_old_format_are_not_read(archive):
    with zipfile.ZipFile(archive, "a") as target:
        root = target.namelist()[0].partition("/")[0]
        target.writestr(f"{root}/data/weights/model.pt", b"a pickle that would be read instead")
    load_model(f"exported:{archive}")


def test_operators_outside_of_torch_ops_are_refused(archive):
    def call_the_shell(graph):
        graph["graph_module"]["graph"]["nodes"][0]["target"] = "torch.os.system"

    rewrite(archive, "models/model.json", in_json(call_the_shell))
    with pytest.raises(ModelError, match=r"torch\.os\.system.*refused"):
        load_model(f"exported:{archive}")


def test_operators_that_open_files_are_refused(archive):
    def read_a_file(graph):
        graph["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"

    rewrite(archive, "models/model.json", in_json(read_a_file))
    with pytest.raises(ModelError, match=r"from_file.*refused"):
        load_model(f"exported:{archive}")


def test_sizes_that_are_code_are_refused(tmp_path, archive):
    def size_is_code(graph):
        sizes = graph["graph_module"]["graph"]["tensor_values"]["images"]["sizes"]
        sizes[0]["as_expr"]["expr_str"] = f"open('{tmp_path / 'was_here'}', 'w')"

    rewrite(archive, "models/model.json", in_json(size_is_code))
    with pytest.raises(ModelError, match="refused"):
        load_model(f"exported:{archive}")
    assert not (tmp_path / "was_here").exists()


def test_argument_names_that_are_code_are_refused(archive):
    def named_by_code(graph):
        call = graph["graph_module"]["module_call_graph"][0]["signature"]
        call["forward_arg_names"] = ["images=print('run')"]

    rewrite(archive, "models/model.json", in_json(named_by_code))
    with pytest.raises(ModelError, match="refused"):
        load_model(f"exported:{archive}")


def test_containers_that_import_are_refused(archive):
    def default(graph):
        call = graph["graph_module"]["module_call_graph"][0]["signature"]
        spec = json.loads(call["in_spec"])
        spec[1]["children_spec"][1]["type"] = "collections.defaultdict"
        call["in_spec"] = json.dumps(spec)

    rewrite(archive, "models/model.json", in_json(default))
    with pytest.raises(ModelError, match="defaultdict"):
        load_model(f"exported:{archive}")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half"])
def test_damaged_files(tmp_path, content):
    (tmp_path / "bad.pt2").write_bytes(content)
    with pytest.raises(ModelError, match="damaged") as caught:
        load_model(f"exported:{tmp_path / 'bad.pt2'}")
    assert "\n" not in str(caught.value)


def test_other_archives(tmp_path, tiny):
    torch.save(tiny.state_dict(), tmp_path / "weights.pt2")
    with pytest.raises(ModelError, match="export it again"):
        load_model(f"exported:{tmp_path / 'weights.pt2'}")


def test_other_inputs(tmp_path):
    flat = export(tmp_path / "flat.pt2", nn.Linear(4, 5), example=torch.rand(2, 4))
    with pytest.raises(ModelError, match="only networks of images"):
        load_model(f"exported:{flat}")
    with pytest.raises(InputError, match="does not exist"):
        load_model("exported:none.pt2")
