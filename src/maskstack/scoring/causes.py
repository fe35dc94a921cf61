"""Sentences for the usual errors of a network's pass: the cause that its message shows, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Given:
    """What the network was given when it failed.

    Attributes:
        shape: Shape of the images.
        dtype: Their data type.
        weights: Data type of the network's weights; None if it has none.
        accepted: Shape of the last images that it accepted; empty if there are none.
        objective: Name of the objective, if the objective and not the network failed.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    weights: torch.dtype | None = None
    accepted: tuple[int, ...] = ()
    objective: str = ""


def cause_of(error: BaseException, given: Given | None) -> str | None:
    """The sentence about the cause of an error of a forward pass, or of a backward pass if nothing was given.

    None if its message shows none of the known causes.
    """
    for sign, words in _CAUSES:
        if re.search(sign, f"{type(error).__name__}: {error}", flags=re.IGNORECASE):
            found = words if isinstance(words, str) else words(error, given)
            if found is not None:
                return found
    return None


def sizes(shape: tuple[int, ...]) -> str:
    """A shape in words, such as ``1 x 3 x 224 x 224``."""
    return " x ".join(map(str, shape))


def _name(dtype: torch.dtype | None) -> str:
    return str(dtype).removeprefix("torch.")


def _dtypes(_error: BaseException, given: Given | None) -> str | None:
    if given is None or given.weights is None or given.weights == given.dtype:
        return (
            "the network mixes data types inside; convert its tensors to one type, such as with model.float(), and "
            "give images of the same type"
        )
    mine = "images.float()" if given.weights == torch.float32 else f"images.to({given.weights})"
    return (
        f"the images are {_name(given.dtype)} but the network's weights are {_name(given.weights)}; give {mine}, or "
        f"convert the network with model.to({given.dtype})"
    )


def _missing(error: BaseException, _given: Given | None) -> str:
    found = re.search(r"argument[s]?:? (.+)$", str(error).strip().splitlines()[0])
    what = f" {found[1]}" if found else ""
    return (
        f"the network needs more than the images: the argument{what} is missing; give it with "
        "maskstack.with_arguments(model, ...), or wrap the network: lambda images: model(images, ...)"
    )


_TOO_MANY = (
    "the network does not take the arguments it was given; check additional_forward_args and with_arguments "
    "against its forward()"
)


_NONE = (
    "the network reads something that is None, often an input that was not given; give it with "
    "maskstack.with_arguments(model, ...), or wrap the part that takes only images, such as "
    "lambda images: model.get_image_features(images)"
)


_IN_PLACE = (
    "the network changes a tensor in place that the gradient needs; write the operation out of place (y = y * 2 "
    "instead of y *= 2, inplace=False), or use a method that needs no gradient, such as rise"
)


_INFERENCE = (
    "the network's weights, or a constant that it uses, were made under torch.inference_mode(), which forbids "
    "gradients; load or make them outside of it, or clone() them"
)


_CHECKPOINTING = (
    "the network uses re-entrant checkpointing, which allows no gradient of the images; pass use_reentrant=False "
    "to checkpoint(), or switch checkpointing off: gradient_checkpointing_disable(), set_grad_checkpointing(False)"
)


def _channels(error: BaseException, given: Given | None) -> str | None:
    found = re.search(r"expected input\[.*?\] to have (\d+) channels, but got (\d+) channels", str(error))
    if found is None or given is None:
        return None
    if given.accepted or int(found[2]) != (given.shape[1] if len(given.shape) > 1 else -1):
        return None
    return (
        f"the network takes images of {found[1]} channels, but these have {found[2]}; repeat, drop or convert channels "
        "as its preprocessing does"
    )


def _rows(error: BaseException, given: Given | None) -> str | None:
    found = re.search(r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)", str(error))
    sizes = [int(size) for size in found.groups()] if found else []
    if "Expected size" in str(error):
        sizes = [int(size) for size in re.findall(r"\d+", str(error).split("Expected size", 1)[1])[:2]]
    if given is None or given.shape[0] not in sizes or len(set(sizes)) < 2:
        return None
    other = next(size for size in sizes if size != given.shape[0])
    if found is not None and "non-singleton dimension 0" not in str(error) and other not in given.accepted[:1]:
        return None
    return (
        f"the network combines {given.shape[0]} images with {other} rows of something else; give what belongs to "
        "each image as maskstack.with_arguments(model, rows) or additional_forward_args, so that its rows follow the "
        "images"
    )


def _fixed_batch(_error: BaseException, given: Given | None) -> str | None:
    if given is None:
        return None
    if given.accepted and given.accepted[1:] == given.shape[1:] and given.accepted != given.shape:
        return (
            f"the network reshapes to a fixed number of images: it took {given.accepted[0]} but not "
            f"{given.shape[0]}; set batch_size to the number it was made for, or export it with a dynamic batch size"
        )
    return (
        f"the network cannot reshape its values for images of shape {sizes(given.shape)}; give images of the size, "
        "and the number of images, that it was made or exported for"
    )


def _exported(error: BaseException, given: Given | None) -> str | None:
    found = re.search(r"\.size\(\)\[(\d)\] == (\d+)", str(error))
    if found is None or given is None:
        return None
    if found[1] != "0":
        return _size(error, given)
    several = "" if found[2] == "1" else "s"
    return (
        f"the network was exported for exactly {found[2]} image{several} in a pass, but a search runs other numbers; "
        "export it with a dynamic batch size, such as dynamic_shapes=({0: torch.export.Dim('batch')},)"
    )


def _size(_error: BaseException, given: Given | None) -> str | None:
    if given is None:
        return None
    return (
        f"the network does not take images of shape {sizes(given.shape)}; give images of the size and channels that "
        "its preprocessing makes, or set the size it was made for, such as size=224 in a spec"
    )


def _dims(error: BaseException, given: Given | None) -> str | None:
    found = re.search(r"[Ee]xpected (\d)D \(unbatched\) or (\d)D \(batched\) input to (\w+)", str(error))
    if found is None or given is None or len(given.shape) == int(found[2]):
        return None
    forms = {3: "B x C x L", 4: "B x C x H x W", 5: "B x C x D x H x W"}
    wanted = forms.get(int(found[2]), f"{found[2]} dimensions")
    return f"the network takes {wanted}, but it was given {sizes(given.shape)}; give input of its dimensions"


_DEVICES = "the network uses tensors on several devices; move all of its parts, and the tables it holds, to one device"


_NO_GRADIENT = (
    "no gradient reaches the image through this network and objective; avoid detach, argmax, rounding and NumPy, "
    "or use a method that needs none, such as rise or occlusion"
)


_NO_FORWARD = "the network has no forward(); give the module or function that maps images to an output"


_META = (
    "a part of the network is on the meta device, where tensors have no values; load its weights before it is explained"
)


_CAUSES: tuple[tuple[str, str | Callable[[BaseException, Given | None], str | None]], ...] = (
    (r"inference tensor", _INFERENCE),
    (r"checkpointing is not compatible|use_reentrant|Unpack is being triggered", _CHECKPOINTING),
    (r"inplace|in-place", _IN_PLACE),
    (r"meta tensor|meta device|Cannot copy out of meta|device meta", _META),
    (r"all tensors to be on the same device|device type .* (and|but) .*(weight|got)|is on .*but expected", _DEVICES),
    (
        r"should be the same|must have the same dtype|same dtype|expected scalar type|Unsupported dtype|mixed dtypes|"
        r"dtype mismatch|not implemented for '(Half|BFloat16|Double|Float8\w*|Int|Long|Byte|Bool|Char)'",
        _dtypes,
    ),
    (r"TypeError: .*missing \d+ required", _missing),
    (r"TypeError: .*(takes .* positional arguments? but|unexpected keyword argument|multiple values for)", _TOO_MANY),
    (r"(AttributeError|TypeError): .*NoneType|have to specify|must be specified|should be specified", _NONE),
    (r"missing the required .forward. function", _NO_FORWARD),
    (
        r"does not require grad|not have been used in the graph|Can't call numpy\(\) on Tensor that requires",
        _NO_GRADIENT,
    ),
    (r"Guard failed", _exported),
    (r"channels, but got", _channels),
    (r"\(unbatched\) or", _dims),
    (r"must match the size of tensor|Sizes of tensors must match|Expected size", _rows),
    (r"is invalid for input of size|cannot reshape|Reshape", _fixed_batch),
    (
        r"shapes cannot be multiplied|size mismatch|must match|doesn't match|does not match|Kernel size can't be|"
        r"invalid for input|should be divisible|not divisible|must be divisible|too small|channels|channel dimension|"
        r"normalized_shape|image size|input size|unflatten",
        _size,
    ),
)
"""Signs in an error's type and message, and the sentence about its cause; None where the cause is another one."""
