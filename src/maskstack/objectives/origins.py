"""Which operation made a network's output: a softmax, a sigmoid, a linear layer, a normalisation of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from maskstack.errors import ModelError
from maskstack.observing import TensorNotes, seen_by

Origin = Literal[
    "softmax", "log_softmax", "log_sigmoid", "sigmoid", "bounded", "linear", "rectified", "features", "pair_bias",
    "pair_logits", "other",
]  # fmt: skip
"""The last operation that changed a tensor's values.

``sigmoid`` also stands for averages and extremes of sigmoids, ``bounded`` for other sums and products of sigmoids or
softmaxes, such as ``1 - x.sigmoid()``; ``linear`` stands for linear layers and convolutions, also shifted, scaled or
averaged over positions; ``rectified`` for
a ReLU of these; ``features`` for normalised or averaged activations, as a network without a class head gives them;
``pair_logits`` for similarities of images and texts with a bias added, as SigLIP gives them, and ``pair_bias`` for this
bias.
"""

PAIR_BIAS = "logit_bias"
"""Name of the parameter that networks of two towers add to the similarities where each has a sigmoid of its own."""

_MADE_BY: Mapping[str, Origin] = {
    **dict.fromkeys(("softmax", "_softmax", "softmin", "gumbel_softmax"), "softmax"),
    **dict.fromkeys(("log_softmax", "_log_softmax"), "log_softmax"),
    **dict.fromkeys(("logsigmoid", "log_sigmoid"), "log_sigmoid"),
    **dict.fromkeys(("sigmoid", "sigmoid_", "expit", "special_expit", "hardsigmoid"), "sigmoid"),
    **dict.fromkeys(
        ("linear", "bilinear", "addmm", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "baddbmm", "einsum",
         "conv1d", "conv2d", "conv3d", "convolution"),
        "linear",
    ),
    **dict.fromkeys(("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "native_layer_norm",
        "normalize", "gelu", "silu", "elu", "leaky_relu", "hardswish", "mish", "scaled_dot_product_attention"),
        "features"),
}  # fmt: skip
_RELU = frozenset({"relu", "relu_", "relu6", "hardtanh", "clamp_min", "threshold"})
_SAME_VALUES = frozenset({
    "flatten", "view", "reshape", "squeeze", "unsqueeze", "contiguous", "to", "float", "double", "half", "type", "cpu",
    "cuda", "clone", "detach", "select", "narrow", "slice", "index_select", "gather", "transpose", "permute", "movedim",
    "chunk", "split", "unbind", "expand", "dropout", "feature_dropout", "dropout2d", "alias", "_unsafe_view", "cat",
    "stack", "concat", "concatenate", "_to_copy", "type_as", "requires_grad_", "__getitem__", "swapaxes", "expand_as",
    "view_as", "reshape_as", "native_dropout", "lift_fresh_copy", "identity", "roll", "flip", "repeat", "unflatten",
    "take_along_dim", "masked_select", "t",
})  # fmt: skip
_AVERAGES = frozenset({
    "mean", "sum", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_avg_pool1d", "avg_pool1d", "amax", "max_pool2d",
    "adaptive_max_pool2d", "_adaptive_avg_pool2d", "avg_pool3d", "adaptive_avg_pool3d",
})  # fmt: skip
_BETWEEN = _AVERAGES - {"sum"} | frozenset({
    "max", "min", "maximum", "minimum", "amin", "median", "topk", "sort", "clamp", "clamp_", "clip", "clamp_max",
    "clamp_min", "where", "nan_to_num", "cummin", "cummax", "lerp",
})  # fmt: skip
"""Operations whose results lie between the values that they are given."""
_AFFINE = frozenset({
    "add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_", "neg", "__add__", "__radd__", "__sub__", "__rsub__",
    "__mul__", "__rmul__", "__truediv__", "__iadd__", "__imul__", "__neg__", "rsub", "multiply", "true_divide",
})  # fmt: skip
_PRODUCTS = frozenset({"prod", "pow", "sqrt", "sum", "cumprod", "cumsum", "masked_fill", "masked_fill_"})
_MIXTURES = frozenset({"matmul", "__matmul__", "mm", "bmm", "einsum"})
"""Operations that weigh values, as when the probabilities of the parts of a class are added up."""
_OF_LOGARITHM: Mapping[tuple[str, Origin | None], Origin] = {
    ("exp", "log_softmax"): "softmax",
    ("exp", "log_sigmoid"): "sigmoid",
    ("log", "softmax"): "log_softmax",
    ("log", "sigmoid"): "log_sigmoid",
}


class Origins(TorchFunctionMode):
    """Notes, within its context, which operation made each tensor; it keeps no tensor in memory.

    Args:
        known: The network's modules. A batch norm of another module that would change its running mean is an error,
            because that module cannot be restored. None allows all.

    Attributes:
        batch_statistics: Whether a batch norm normalised by the mean and deviation of what it was given.
    """

    def __init__(self, known: Sequence[nn.Module] | None = None) -> None:
        super().__init__()
        self.batch_statistics = False
        self._made = TensorNotes[Origin]()
        own = (buffer for module in known or () for buffer in module._buffers.values() if buffer is not None)
        self._known = None if known is None else {id(buffer) for buffer in own}
        for module in known or ():
            for name, parameter in module._parameters.items():
                if name == PAIR_BIAS and parameter is not None:
                    self._made.put(parameter, "pair_bias")

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the function, and note what made its result.

        Raises:
            ModelError: A module that is not known is in training mode.
        """
        if func is functional.batch_norm:
            self._check_batch_norm(*args, **(kwargs or {}))
        # Not the conditions and indices among them.
        noted = [self._made.of(each) for each in _tensors(args) if each.is_floating_point()]
        given = [origin for origin in noted if origin is not None]
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors((result,)):
            # Asking for a shape or an attribute gives no new tensor, or one with the values of its source.
            self._made.put(tensor, _origin(_name(func), given))
        return result

    def _check_batch_norm(
        self,
        _images: Any,
        running_mean: Tensor | None = None,
        _running_var: Any = None,
        _weight: Any = None,
        _bias: Any = None,
        training: bool = False,
        *_more: Any,
        **_named: Any,
    ) -> None:
        self.batch_statistics = self.batch_statistics or training
        if training and running_mean is not None and self._known is not None and id(running_mean) not in self._known:
            raise ModelError(
                "a batch norm in training mode runs that could not be found in the given function, so it could not be "
                "protected; call .eval() on its network, or give the module itself"
            )

    def of(self, tensor: Tensor) -> Origin | None:
        """The origin of a tensor; None where no operation was seen, as in compiled or scripted networks."""
        return self._made.of(tensor)


def can_observe(model: Any) -> bool:
    """Whether the operations of a network can be observed; an older torch hides those of compiled networks."""
    return not _is_compiled(model) or hasattr(torch.compiler, "set_stance")


def observed(model: Any, origins: Origins | None) -> AbstractContextManager[Any]:
    """Inside the context, the origins of tensors are noted; a compiled network runs as it is written.

    Args:
        model: The network.
        origins: Where they are noted; None to note nothing.
    """
    if origins is None or not _is_compiled(model):
        return nullcontext() if origins is None else seen_by(origins)
    both = ExitStack()
    both.enter_context(torch.compiler.set_stance("force_eager"))
    both.enter_context(seen_by(origins))
    return both


def _is_compiled(model: Any) -> bool:
    modules = model.modules() if isinstance(model, nn.Module) else ()
    compiled = any(hasattr(each, "_orig_mod") or vars(each).get("_compiled_call_impl") is not None for each in modules)
    return compiled or hasattr(model, "_torchdynamo_orig_callable")


def _origin(name: str, given: Sequence[Origin]) -> Origin:
    if name in _AFFINE and "pair_bias" in given:
        return "pair_logits"
    between = bool(given) and all(each in ("softmax", "sigmoid", "bounded") for each in given)
    if name in _MADE_BY and not (between and name in _MIXTURES):
        return _MADE_BY[name]
    same = given[0] if given and all(each == given[0] for each in given) else None
    if (name, same) in _OF_LOGARITHM:
        return _OF_LOGARITHM[name, same]
    if between and name not in _SAME_VALUES:
        if name in _BETWEEN:
            return "sigmoid" if "bounded" not in given else "bounded"
        return "bounded" if name in _AFFINE | _PRODUCTS | _MIXTURES else "other"
    if name in _SAME_VALUES or name == "__get__":
        return same or "other"
    if name in _RELU:
        return "rectified" if same == "linear" else "features"
    if name in _AVERAGES:
        return same if same in ("linear", "rectified", "features") else "features" if same is None else "other"
    if name in _AFFINE and same == "linear":
        return "linear"
    return "other"


def _name(func: Callable[..., Any]) -> str:
    # The functions of an exported graph are named like softmax.int.
    return str(getattr(func, "__name__", "")).partition(".")[0]


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, tuple | list):
            found.extend(each for each in value if isinstance(each, Tensor))
    return found
