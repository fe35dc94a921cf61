"""What importing the package loads: no more than is used."""

import subprocess
import sys

import pytest

EXTRAS = (
    "timm", "torchvision", "transformers", "onnx", "onnx2torch", "captum", "pytorch_grad_cam", "skimage", "sklearn",
    "scipy", "duckdb", "jinja2", "pyarrow", "datasets", "lightning", "ray", "gradio", "quantus",
)  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    """Top-level packages that a statement loads in a Python of its own."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_package_alone_loads_neither_torch_nor_matplotlib() -> None:
    loaded = loaded_by("import maskstack; maskstack.__version__; dir(maskstack)")
    assert "maskstack" in loaded
    assert not loaded & {"torch", "numpy", "matplotlib", "PIL", *EXTRAS}


def slow(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", ["MDM", *map(slow, ("HDM", "load_model", "Explanation", "explain_func"))])
def test_a_name_of_the_package_loads_no_matplotlib_and_no_extra(name: str) -> None:
    loaded = loaded_by(f"from maskstack import {name}")
    assert "torch" in loaded
    assert not loaded & {"matplotlib", *EXTRAS}


def test_every_name_can_be_imported_and_others_are_an_attribute_error() -> None:
    import maskstack

    for name in maskstack.__all__:
        assert getattr(maskstack, name) is not None
    assert set(maskstack.__all__) <= set(dir(maskstack))
    with pytest.raises(AttributeError, match="no attribute 'MDN'"):
        maskstack.MDN  # noqa: B018
