import pytest

from maskstack.errors import InputError
from maskstack.models.spec import check_word, parse_spec


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
def test_parts_that_say_nothing_are_refused(text):
    with pytest.raises(InputError):
        parse_spec(text)


def test_a_key_given_twice_is_refused():
    with pytest.raises(InputError, match="size twice"):
        parse_spec("timm:resnet18,size=224,size=256")


def test_a_wrong_word_lists_the_allowed_ones():
    with pytest.raises(InputError, match=r"'sise' is no key; did you mean size\? Allowed: size, norm"):
        check_word("key", "sise", ("size", "norm"))
    with pytest.raises(InputError, match="Allowed: none"):
        check_word("flag", "pretrained", ())
