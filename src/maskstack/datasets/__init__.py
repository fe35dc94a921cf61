"""Annotated images: labels, boxes, masks and parts, read from common data set formats."""

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages, Box, Point
from maskstack.datasets.from_coco import from_coco
from maskstack.datasets.from_csv import from_csv
from maskstack.datasets.from_cub import from_cub
from maskstack.datasets.from_folders import from_folders
from maskstack.datasets.from_hugging_face import from_hugging_face
from maskstack.datasets.from_imagenet import from_imagenet
from maskstack.datasets.from_voc import from_voc
from maskstack.datasets.geometry import TOLERANCE, AnnotationTransform, GroundTruth, transform_annotations
from maskstack.datasets.load import FORMATS, load_images
from maskstack.datasets.match import match_classes
from maskstack.datasets.regions import MaskFile, Polygons, Region, RunLengths

__all__ = [
    "FORMATS",
    "TOLERANCE",
    "AnnotatedImage",
    "AnnotatedImages",
    "AnnotationTransform",
    "Box",
    "GroundTruth",
    "MaskFile",
    "Point",
    "Polygons",
    "Region",
    "RunLengths",
    "from_coco",
    "from_csv",
    "from_cub",
    "from_folders",
    "from_hugging_face",
    "from_imagenet",
    "from_voc",
    "load_images",
    "match_classes",
    "transform_annotations",
]
