import pytest

from maskstack.datasets import load_images, match_classes
from maskstack.errors import InputError
from maskstack.models import imagenet_names

MAPPING = "n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\n"
HEADER = "ImageId,PredictionString\n"


@pytest.fixture
def root(save, write, tmp_path):
    save("ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG")
    write("LOC_synset_mapping.txt", MAPPING)
    write("LOC_val_solution.csv", HEADER + "ILSVRC2012_val_00000001,n01443537 1 2 30 40 n01443537 3 4 5 6 \n")
    return tmp_path


@pytest.mark.parametrize("path", ["", "LOC_val_solution.csv"])
def test_classes_and_boxes(root, path, no_pictures_opened):
    images = load_images(root / path)
    assert (images.format, images.class_names[1]) == ("imagenet", "goldfish, Carassius auratus")
    assert (images[0].name, images[0].label) == ("ILSVRC2012_val_00000001.JPEG", 1)
    assert images[0].boxes == ((1, 2, 30, 40), (3, 4, 5, 6))


def test_names_find_the_networks_classes(root):
    matched = match_classes(load_images(root), imagenet_names())
    assert imagenet_names()[matched[0].label] == "goldfish"


def test_training_pictures_lie_in_folders(save, write, tmp_path):
    save("train/n01440764/n01440764_18.JPEG")
    write("LOC_synset_mapping.txt", MAPPING)
    write("LOC_train_solution.csv", HEADER + "n01440764_18,n01440764 1 2 30 40\n")
    assert load_images(tmp_path, split="train")[0].name == "n01440764/n01440764_18.JPEG"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,n01443537 1 2 3", "line 2: PredictionString"),
        ("a,", "line 2: PredictionString"),
        ("a,n01443537 1 2 x 4", "line 2: the box"),
        ("a,n01443537 9 2 3 4", "line 2: the box 9, 2, 3, 4 has a negative size"),
        ("a,n09999999 1 2 3 4", "line 2: 'n09999999' is not in LOC_synset_mapping.txt"),
        ("a,n01443537 1 2 3 4", "1 of 1 file that cannot be found"),
        ("../a,n01443537 1 2 3 4", "is not in the data set's folder"),
    ],
)
def test_wrong_rows_are_named(root, write, row, message):
    write("LOC_val_solution.csv", HEADER + row + "\n")
    with pytest.raises(InputError, match=message):
        load_images(root)


def test_the_mapping_is_needed(root):
    (root / "LOC_synset_mapping.txt").unlink()
    with pytest.raises(InputError, match="order of the classes"):
        load_images(root)


def test_splits_not_there_are_named(root):
    with pytest.raises(InputError, match=r"no LOC_train_solution.csv"):
        load_images(root, split="train")
