import pytest

from maskstack.errors import InputError
from maskstack.models.spec import parse_spec


def test_a_bare_kind():
    spec = parse_spec("bundled")
    assert (spec.kind, spec.name, dict(spec.options), spec.flags) == ("bundled", "", {}, frozenset())


def test_a_name_may_hold_colons_and_slashes():
    assert parse_spec("python:my.module:build").name == "my.module:build"
    assert parse_spec("hf:google/vit-base-patch16-224,pretrained").name == "google/vit-base-patch16-224"


def test_spaces_around_parts_do_not_matter():
    spec = parse_spec(" onnx:a.onnx , norm = half , size=192x256 ")
    assert (spec.name, dict(spec.options)) == ("a.onnx", {"norm": "half", "size": "192x256"})


@pytest.mark.parametrize("text", ["", ":resnet18", "timm:resnet18,", "timm:resnet18,size=", "timm:resnet18,=3"])
def test_empty_parts_are_refused(text):
    with pytest.raises(InputError):
        parse_spec(text)


def test_a_key_given_twice_is_refused():
    with pytest.raises(InputError, match="size twice"):
        parse_spec("timm:resnet18,size=224,size=256")
