"""What importing the package loads: no more than is used."""

import subprocess
import sys

import pytest

EXTRAS = (
    "timm", "torchvision", "transformers", "onnx", "onnx2torch", "captum", "pytorch_grad_cam", "skimage", "sklearn",
    "scipy", "duckdb", "jinja2", "pyarrow", "datasets", "lightning", "ray", "gradio", "quantus",
)  # fmt: skip


def loaded_by(*statements: str) -> list[set[str]]:
    """Top-level packages that are loaded after each of the statements, in a Python of its own."""
    shown = "print(*{name.partition('.')[0] for name in sys.modules})"
    code = "\n".join(["import sys", *(f"{statement}\n{shown}" for statement in statements)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_the_package_alone_loads_neither_torch_nor_matplotlib() -> None:
    (loaded,) = loaded_by("import maskstack; maskstack.__version__; dir(maskstack)")
    assert "maskstack" in loaded
    assert not loaded & {"torch", "numpy", "matplotlib", "PIL", *EXTRAS}


@pytest.mark.slow
def test_the_names_of_the_package_load_no_matplotlib_and_no_extra() -> None:
    names = ("MDM", "HDM", "load_model", "Explanation", "explain_func")
    after = loaded_by(*(f"from maskstack import {name}" for name in names))
    for name, loaded in zip(names, after, strict=True):
        assert "torch" in loaded, name
        assert not loaded & {"matplotlib", *EXTRAS}, name


def test_every_name_can_be_imported_and_others_are_an_attribute_error() -> None:
    import maskstack

    for name in maskstack.__all__:
        assert getattr(maskstack, name) is not None
    assert set(maskstack.__all__) <= set(dir(maskstack))
    with pytest.raises(AttributeError, match="no attribute 'MDN'"):
        maskstack.MDN  # noqa: B018
