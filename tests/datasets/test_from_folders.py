import pytest

from maskstack.datasets import load_images
from maskstack.errors import InputError


@pytest.fixture
def root(save, tmp_path):
    for name in ("tabby_cat/1.jpg", "tabby_cat/deep/2.JPG", "Dog/1.png", ".hidden/1.jpg", "__MACOSX/1.jpg"):
        save(name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "Dog" / "notes.txt").write_text("x")
    (tmp_path / "Dog" / "._1.png").write_text("x")
    return tmp_path


def test_folders_are_classes(root, no_pictures_opened):
    images = load_images(root)
    assert (images.format, images.class_names) == ("folders", ("Dog", "tabby_cat"))
    assert [(image.name, image.label, image.class_name) for image in images] == [
        ("Dog/1.png", 0, "Dog"),
        ("tabby_cat/1.jpg", 1, "tabby_cat"),
        ("tabby_cat/deep/2.JPG", 1, "tabby_cat"),
    ]


def test_given_names_give_the_indices(root):
    images = load_images(root, class_names=["bird", "Tabby Cat", "fish"])
    assert [image.label for image in images] == [None, 1, 1]
    assert (images.unmatched, images.class_names) == (("Dog",), ("bird", "Tabby Cat", "fish"))


def test_a_plain_folder_has_no_labels(save, tmp_path):
    save("b.jpg")
    save("a.jpg")
    images = load_images(tmp_path)
    assert [(image.name, image.label) for image in images] == [("a.jpg", None), ("b.jpg", None)]
    assert images[0].open().size == (90, 60)


def test_splits_are_folders_above(save, tmp_path):
    for name in ("train/cat/1.jpg", "train/dog/1.jpg", "val/dog/1.jpg"):
        save(name)
    assert [(image.name, image.label) for image in load_images(tmp_path)] == [
        ("train/cat/1.jpg", 0),
        ("train/dog/1.jpg", 1),
        ("val/dog/1.jpg", 1),
    ]
    only = load_images(tmp_path, split="val")
    assert [(image.name, image.label) for image in only] == [("val/dog/1.jpg", 1)]
    with pytest.raises(InputError, match="no folder test for the split; it has train, val"):
        load_images(tmp_path, split="test")


def test_wordnet_ids_are_imagenets_classes(save, tmp_path):
    pytest.importorskip("timm")
    save("n01440764/1.jpg")
    save("n15075141/1.jpg")
    names = [f"class {index}" for index in range(1000)]
    assert [image.label for image in load_images(tmp_path, class_names=names)] == [0, 999]
    assert load_images(tmp_path, class_names=["cat"]).unmatched == ("n01440764", "n15075141")


def test_medical_files_are_images_too(save, tmp_path):
    save("a/x.png")
    for name in ("a/scan.DCM", "b/volume.nii.gz", "b/notes.txt.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [image.name for image in load_images(tmp_path)] == ["a/scan.DCM", "a/x.png", "b/volume.nii.gz"]


def test_pictures_that_maskstack_wrote_beside_the_images_are_left_out(root, save):
    before = load_images(root)
    for name in ("tabby_cat/1.tabby.overlay.png", "tabby_cat/1.tabby.map.nii.gz", "Dog/gallery.png", "dog.gallery.png"):
        save(name) if name.endswith("png") else (root / name).touch()
    assert [image.name for image in load_images(root)] == ["Dog/1.png", "Dog/gallery.png", *names_of(before)[1:]]
    (root / "Dog" / "lite0.1.dog.safetensors").touch()
    (root / "1.dog.safetensors").touch()
    (root / "1.dog.json").write_text('{"images": 1}')
    assert names_of(load_images(root)) == names_of(before)


def names_of(images):
    return [image.name for image in images]
