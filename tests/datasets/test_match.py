import pytest

from maskstack.datasets import AnnotatedImage, AnnotatedImages, match_classes
from maskstack.errors import InputError


def named(*names):
    classes = tuple(sorted(set(names)))
    images = (AnnotatedImage(None, str(index), classes.index(name), name) for index, name in enumerate(names))
    return AnnotatedImages(tuple(images), classes)


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("tabby_cat", "Tabby Cat"),
        ("Black_footed_Albatross", "Phoebastria nigripes (Black-footed Albatross)"),
        ("tench, Tinca tinca", "tench"),
        ("tench", "tench, Tinca tinca"),
        ("001.Black_footed_Albatross", "black footed albatross"),
    ],
)
def test_names_are_found(name, network):
    matched = match_classes(named(name), ["other", network, "another"])
    assert (matched[0].label, matched[0].class_name, matched.unmatched) == (1, name, ())


def test_unknown_and_ambiguous_names_have_no_label():
    matched = match_classes(named("dog", "crane", "cat"), ["cat", "crane", "crane"])
    assert [image.label for image in matched] == [None, None, 0]
    assert matched.unmatched == ("crane", "dog")
    assert [image.label for image in match_classes(matched, ["dog", "crane"])] == [0, 1, None]


def test_given_indices_stand():
    images = AnnotatedImages((AnnotatedImage(None, "a", 1, "soup bowl"),), indices_given=True)
    assert match_classes(images, ["bowl", "dish"])[0].label == 1
    with pytest.raises(InputError, match="class index 1"):
        match_classes(images, ["bowl"])
    with pytest.raises(InputError, match="no class names"):
        match_classes(images, [])


def test_the_same_list_with_some_names_spelt_otherwise_stands():
    names = [f"kind {index}" for index in range(20)]
    assert match_classes(named(*names[:-1], "zebra"), sorted([*names[:-1], "zzz"])).unmatched == ()
