import pytest

from maskstack.datasets import load_images
from maskstack.errors import InputError


@pytest.fixture
def root(save, tmp_path):
    for name in ("images/a.jpg", "images/b.jpg"):
        save(name)
    return tmp_path


def test_indices_and_json_boxes(root, write, no_pictures_opened):
    write(
        "annotations.csv",
        '\ufefffile,class_index,class_name,boxes_xyxy\na.jpg,281,tabby,"[[1, 2, 3.5, 4], [0, 0, 9, 9]]"\nb.jpg,5,,\n',
    )
    images = load_images(root)
    first, second = images
    assert (images.format, images.indices_given, images.class_names) == ("csv", True, ())
    assert (first.path, first.name) == (root / "images" / "a.jpg", "a.jpg")
    assert (first.label, first.class_name) == (281, "tabby")
    assert first.boxes == ((1.0, 2.0, 3.5, 4.0), (0.0, 0.0, 9.0, 9.0))
    assert (second.label, second.class_name, second.boxes) == (5, None, ())


def test_names_columns_of_corners_and_rows_per_box(root, write):
    table = write(
        "my.csv", "file,class,split,x1,y1,x2,y2\na.jpg,dog,test,1,2,3,4\nb.jpg,cat,train,,,,\na.jpg,dog,test,5,6,7,8\n"
    )
    images = load_images(table)
    assert images.class_names == ("cat", "dog")
    assert [(image.label, image.boxes) for image in images] == [(1, ((1, 2, 3, 4), (5, 6, 7, 8))), (0, ())]
    assert [image.label for image in load_images(table, split="test")] == [1]
    with pytest.raises(InputError, match="no images of the split val; it has test, train"):
        load_images(table, split="val")


@pytest.mark.parametrize(("x", "y"), [("0.5", "0.25"), ("45", "15")])
def test_parts_are_fractions_or_pixels(root, write, x, y):
    write("images.csv", "file\na.jpg\nb.jpg\n")
    write("parts.csv", f"file,part,x,y\na.jpg,left eye,{x},{y}\n")
    first, second = load_images(root)
    assert dict(first.parts) == {"left eye": (45.0, 15.0)}
    assert dict(second.parts) == {}


def test_the_size_that_was_annotated_is_compared_with_the_images(root, write):
    write("images.csv", "file,class,width,height\na.jpg,Mass,180,120\nb.jpg,Mass,,\n")
    write("boxes.csv", "file,finding,x1,y1,x2,y2\na.jpg,Mass,20,20,60,60\nb.jpg,Mass,10,10,30,30\n")
    first, second = load_images(root)
    with pytest.raises(InputError, match=r"annotations of a\.jpg are for 180 x 120 pixels, but upright it has 90 x 60"):
        first.check_size(first.open().size)
    second.check_size(second.open().size)
    (root / "boxes.csv").unlink()
    write("parts.csv", "file,part,x,y\na.jpg,left eye,0.5,0.25\n")
    fractions, _ = load_images(root)
    fractions.check_size(fractions.open().size)  # they fit any size


def test_fractions_wait_for_the_picture(root, write, no_pictures_opened):
    write("images.csv", "file\na.jpg\n")
    write("parts.csv", "file,part,x,y\na.jpg,eye,0.5,0.5\n")
    assert list(load_images(root)[0].parts) == ["eye"]


def test_further_boxes_give_the_class(root, write):
    write("images.csv", "file\na.jpg\nb.jpg\n")
    write("boxes.csv", "file,finding,x1,y1,x2,y2\na.jpg,Mass,0,0,5,5\na.jpg,Edema,0,0,9,9\na.jpg,Nodule,0,0,1,1\n")
    images = load_images(root)
    assert images.class_names == ("Edema", "Mass", "Nodule")
    assert [(image.label, image.boxes) for image in images] == [(0, ((0, 0, 9, 9),)), (None, ())]


def test_further_boxes_of_an_index_are_of_the_images_class(root, write):
    write("annotations.csv", "file,class_index\na.jpg,7\n")
    write("boxes.csv", "file,class_index,x1,y1,x2,y2\na.jpg,7,1,2,3,4\na.jpg,8,5,6,7,8\n")
    assert load_images(root)[0].boxes == ((1, 2, 3, 4),)
    write("boxes.csv", "file,class,x1,y1,x2,y2\na.jpg,cat,1,2,3,4\n")
    with pytest.raises(InputError, match=r"boxes\.csv line 2: its class cat cannot be compared with .* class_index 7"):
        load_images(root)


def test_further_boxes_are_of_the_images_class(root, write):
    write("images.csv", "file,class\na.jpg,Mass\n")
    write("boxes.csv", "file,finding,x1,y1,x2,y2\na.jpg,Mass,0,0,5,5\na.jpg,Edema,0,0,9,9\n")
    assert load_images(root)[0].boxes == ((0, 0, 5, 5),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column file"),
        ("name,class\na.jpg,1\n", "no column file; its header is 'name,class'"),
        ("file,class\n", "no rows"),
        ("file,class\na.jpg\n", "images.csv line 2 has 1 cells, the header 2"),
        (
            "file,class_index\na.jpg,1\nb.jpg,one\n",
            "images.csv line 3: class_index is 'one', which is not a whole number",
        ),
        ("file,class_index\na.jpg,-1\n", "a.jpg has the class index -1"),
        ("file,class_index\na.jpg,7\n", "a.jpg has the class index 7, but there are classes 0 to 1"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,3,x\n", "line 2: y2 is 'x', which is not a number"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,3,nan\n", "line 2: y2 is 'nan'"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,3,\n", "line 2: y2 is ''"),
        ("file,x1,y1,x2,y2\na.jpg,5,2,3,9\n", "line 2: the box 5, 2, 3, 9 has a negative size"),
        ('file,boxes_xyxy\na.jpg,"[[1,2,3]]"\n', "line 2: the box .* is not four numbers"),
        ('file,boxes_xyxy\na.jpg,"[[1,2,3,NaN]]"\n', "line 2: the box .* is not finite"),
        ("file,boxes_xyxy\na.jpg,[1\n", "line 2: boxes_xyxy is not a JSON list"),
        ("file,boxes_xyxy\na.jpg,5\n", "line 2: boxes_xyxy is not a JSON list"),
        ("file\n../a.jpg\n", "line 2: the file '../a.jpg' is not in the data set's folder"),
        ("file\nx/../../a.jpg\n", "is not in the data set's folder"),
        ("file\n..\\a.jpg\n", "is not in the data set's folder"),
        ("file\n/etc/passwd\n", "is not in the data set's folder"),
        ('file,class\n"",cat\n', "is not in the data set's folder"),
        ("file\na.jpg\nc.jpg\nd.jpg\n", r"lists 2 of 3 files that cannot be found, first .*images/c.jpg"),
        ("file,class\na.jpg,cat\na.jpg,dog\n", "line 3: a.jpg has another class"),
        ('file\n"a.jpg\n', "cannot be read as a table"),
    ],
)
def test_wrong_rows_are_named(root, write, text, message):
    write("images.csv", text)
    with pytest.raises(InputError, match=message):
        load_images(root, class_names=["a", "b"])


def test_bytes_are_not_a_table(root):
    (root / "images.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as a table"):
        load_images(root)


@pytest.mark.parametrize("table", ["parts.csv", "boxes.csv"])
def test_companions_name_known_files(root, write, table):
    write("images.csv", "file\na.jpg\n")
    write(table, "file,part,x,y,x1,y1,x2,y2\nc.jpg,eye,1,1,1,1,2,2\n")
    with pytest.raises(InputError, match=f"{table} line 2: c.jpg is not in images.csv"):
        load_images(root)


@pytest.mark.parametrize(
    ("folder", "images", "classes", "boxes", "parts"),
    [("imagenet-val", 300, 0, True, False), ("birds", 2378, 40, False, True), ("birds-uncropped", 543, 10, True, True)],
)
def test_real_tables_are_read(data, folder, images, classes, boxes, parts):
    found = load_images(data / folder)
    assert (len(found), len(found.class_names)) == (images, classes)
    assert all(image.label is not None for image in found)
    assert all(bool(image.boxes) == boxes and bool(image.parts) == parts for image in found.subset(50))


def test_real_radiographs_are_read(data):
    found = load_images(data / "chest")
    boxed = found.where(lambda image: bool(image.boxes))
    assert (len(found), len(boxed)) == (1000, 44)
    assert {image.class_name for image in boxed} <= set(found.class_names)
