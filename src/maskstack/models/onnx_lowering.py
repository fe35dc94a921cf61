"""Rewriting an ONNX graph of a newer opset as one of opset 17, which onnx2torch can convert.

Since opset 18, some operators take as an input what was an attribute before. Others are new; their definitions consist
of older operators. Most others only allow more types of data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskstack.errors import ModelError

LOWERED = 17
"""The opset of the result."""


class LoweringError(ModelError):
    """A node that has no equal in the older opset."""


_OWN = ("", "ai.onnx")
_ADDED = "maskstack."
_NEWEST = 2**30
_SMALL = 64
"""Largest number of values of the constants that are looked at: axes, shapes and paddings."""
_SAYS_NOTHING = frozenset({"saturate", "round_mode", "allowzero"})
"""Attributes that may be left out: they are for casts to 8 bits and for empty tensors."""


def lowered(graph: Any, onnx: Any) -> Any:
    """The same network in opset 17 if its opset is newer, otherwise the graph as it is.

    Args:
        graph: The ModelProto, which is not changed.
        onnx: The package.

    Raises:
        LoweringError: A node cannot be written in the older opset; the message names its operator.
    """
    if max((each.version for each in graph.opset_import if each.domain in _OWN), default=1) <= LOWERED:
        return graph
    result = onnx.ModelProto()
    result.CopyFrom(_with_definitions(graph, onnx))
    facts = _Facts.of(result, onnx)
    nodes = [facts.fitted(node) for each in result.graph.node for node in facts.changed(each)]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    for name, values in facts.constants.items():
        if name.startswith(_ADDED):
            result.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    for opset in result.opset_import:
        if opset.domain in _OWN:
            opset.version = LOWERED
    return result


def _with_definitions(graph: Any, onnx: Any) -> Any:
    """The graph with operators that opset 17 lacks replaced by their definitions, and the file's own functions too."""
    graph = onnx.inliner.inline_local_functions(graph) if graph.functions else graph
    names = {node.op_type for node in graph.graph.node if node.domain in _OWN}
    missing = sorted(name for name in names if _older(name, onnx) is None and name not in _CHANGES)
    if not missing:
        return graph
    typed = onnx.ModelProto()
    typed.CopyFrom(graph)
    # The inliner asks for the types of all inputs, which a file need not give for its weights.
    typed.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(each.name, each.data_type, list(each.dims))
        for each in graph.graph.initializer
    )
    try:
        return onnx.inliner.inline_selected_functions(
            onnx.shape_inference.infer_shapes(typed), [("", name) for name in missing], inline_schema_functions=True
        )
    # The inliner fails in its own ways where types are not known.
    except Exception as error:
        raise LoweringError(f"{', '.join(missing)} cannot be written in opset {LOWERED}") from error


def _older(name: str, onnx: Any) -> Any:
    try:
        return onnx.defs.get_schema(name, LOWERED, "")
    except onnx.defs.SchemaError:
        return None


@dataclass(frozen=True, eq=False)
class _Facts:
    """What is known of a graph's tensors.

    Attributes:
        onnx: The package.
        constants: Values of the small constants by name; those that are added have a prefix.
        shapes: Sizes by name; None for a size that is not fixed.
        types: Types of data by name.
    """

    onnx: Any
    constants: dict[str, Any]
    shapes: Mapping[str, list[int | None]]
    types: Mapping[str, int]

    @classmethod
    def of(cls, model: Any, onnx: Any) -> _Facts:
        graph = model.graph
        constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer if _is_small(each)}
        for node in (each for each in graph.node if each.op_type == "Constant"):
            for attribute in node.attribute:
                value = onnx.helper.get_attribute_value(attribute)
                if attribute.name == "value" and _is_small(value):
                    constants[node.output[0]] = onnx.numpy_helper.to_array(value)
                elif attribute.name in ("value_int", "value_ints"):
                    constants[node.output[0]] = np.asarray(value, dtype=np.int64)
        try:
            graph = onnx.shape_inference.infer_shapes(model).graph
        # A help only: few operators need what it would tell, and they say so.
        except Exception:
            graph = model.graph
        known = {each.name: each.type.tensor_type for each in (*graph.input, *graph.value_info, *graph.output)}
        shapes = {
            name: [dim.dim_value or None for dim in each.shape.dim]
            for name, each in known.items()
            if each.HasField("shape")
        }
        types = {each.name: each.data_type for each in graph.initializer}
        return cls(onnx, constants, shapes, types | {name: each.elem_type for name, each in known.items()})

    def changed(self, node: Any) -> list[Any]:
        """The node as nodes of the older opset, where it is written in another way there."""
        change = _CHANGES.get(node.op_type) if node.domain in _OWN else None
        changed = node if change is None else change(self, node)
        return changed if isinstance(changed, list) else [changed]

    def fitted(self, node: Any) -> Any:
        """The node without attributes that the older operator lacks, where they say nothing.

        Raises:
            LoweringError: The operator, one of its inputs or an attribute has no equal in the older opset.
        """
        if node.domain not in _OWN:
            return node
        older, newer = _older(node.op_type, self.onnx), self.onnx.defs.get_schema(node.op_type, _NEWEST, "")
        if older is None:
            raise LoweringError(f"the operator {node.op_type} has no equal in opset {LOWERED}")
        value_of = self.onnx.helper.get_attribute_value
        for attribute in list(node.attribute):
            if attribute.name in _SAYS_NOTHING:
                node.attribute.remove(attribute)
            elif attribute.name not in older.attributes:
                known = newer.attributes.get(attribute.name)
                if (
                    known is None
                    or not known.default_value.type
                    or value_of(known.default_value) != value_of(attribute)
                ):
                    raise LoweringError(f"{node.op_type} has {attribute.name}, which opset {LOWERED} lacks")
                node.attribute.remove(attribute)
        if len(node.input) > older.max_input:
            raise LoweringError(f"the operator {node.op_type} has more inputs than in opset {LOWERED}")
        return node

    def known(self, node: Any, place: int) -> Any:
        """The constant at a place of a node's inputs; None if the node has no such input.

        Raises:
            LoweringError: The input is computed by the network.
        """
        if len(node.input) <= place or not node.input[place]:
            return None
        if node.input[place] not in self.constants:
            raise LoweringError(f"the operator {node.op_type} computes its axes or sizes")
        return self.constants[node.input[place]]

    def add(self, name: str, values: list[int]) -> str:
        """Name of a new constant."""
        self.constants[_ADDED + name] = np.asarray(values, dtype=np.int64)
        return _ADDED + name

    def attributes(self, node: Any) -> dict[str, Any]:
        """The attributes of a node by name."""
        return {each.name: self.onnx.helper.get_attribute_value(each) for each in node.attribute}

    def made(self, node: Any, inputs: list[str], attributes: Mapping[str, Any], *, kind: str = "") -> Any:
        """A node in the place of another."""
        return self.onnx.helper.make_node(kind or node.op_type, inputs, list(node.output), name=node.name, **attributes)


def _is_small(tensor: Any) -> bool:
    return int(np.prod(tensor.dims, dtype=np.int64)) <= _SMALL


def _reduce(facts: _Facts, node: Any) -> Any:
    """The axes of a reduction as an attribute."""
    attributes, axes = facts.attributes(node), facts.known(node, 1)
    noop = attributes.pop("noop_with_empty_axes", 0)
    if axes is not None and axes.size:
        attributes["axes"] = [int(axis) for axis in axes.ravel()]
    elif noop:
        return facts.made(node, [node.input[0]], {}, kind="Identity")
    return facts.made(node, [node.input[0]], attributes)


def _pad(facts: _Facts, node: Any) -> Any:
    """Padding of some axes as padding of all of them."""
    axes = facts.known(node, 3)
    if axes is None:
        return facts.made(node, list(node.input)[:3], facts.attributes(node))
    pads, shape = facts.known(node, 1), facts.shapes.get(node.input[0])
    if pads is None or shape is None:
        raise LoweringError("the operator Pad has axes of a tensor of unknown shape")
    rank, full = len(shape), [0] * (2 * len(shape))
    for place, axis in enumerate(int(axis) % rank for axis in axes.ravel()):
        full[axis], full[axis + rank] = int(pads[place]), int(pads[place + len(axes)])
    return facts.made(
        node, [node.input[0], facts.add(f"pads.{node.output[0]}", full), node.input[2]], facts.attributes(node)
    )


def _split(facts: _Facts, node: Any) -> Any:
    """A number of parts as the sizes of the parts."""
    attributes = facts.attributes(node)
    parts, shape = attributes.pop("num_outputs", None), facts.shapes.get(node.input[0])
    if parts is None:
        return node
    length = None if shape is None else shape[attributes.get("axis", 0)]
    if length is None:
        raise LoweringError("the operator Split has a tensor of unknown size")
    size = -(-length // parts)
    sizes = facts.add(f"split.{node.output[0]}", [size] * (parts - 1) + [length - size * (parts - 1)])
    return facts.made(node, [node.input[0], sizes], attributes)


def _resize(facts: _Facts, node: Any) -> Any:
    """A resizing of all axes."""
    attributes, shape = facts.attributes(node), facts.shapes.get(node.input[0])
    axes = attributes.pop("axes", None)
    if axes is not None and (shape is None or [axis % len(shape) for axis in axes] != list(range(len(shape)))):
        raise LoweringError("the operator Resize resizes some axes only")
    return facts.made(node, list(node.input), attributes)


def _cast_like(facts: _Facts, node: Any) -> Any:
    """A cast to the type of another tensor, which is that of the images where it is not known."""
    to = facts.types.get(node.input[1]) or facts.onnx.TensorProto.FLOAT
    return facts.made(node, [node.input[0]], {"to": to}, kind="Cast")


def _reshape(facts: _Facts, node: Any) -> Any:
    """A reshaping in which 0 does not stand for an empty tensor."""
    attributes = facts.attributes(node)
    sizes = facts.constants.get(node.input[1])
    if attributes.pop("allowzero", 0) and sizes is not None and not sizes.all():
        raise LoweringError("the operator Reshape makes an empty tensor")
    return facts.made(node, list(node.input), attributes)


def _rms_normalization(facts: _Facts, node: Any) -> list[Any]:
    """A division by the root of the mean square over the last axes, and a scale."""
    attributes, shape = facts.attributes(node), facts.shapes.get(node.input[0])
    axis = attributes.get("axis", -1)
    if shape is None and axis != -1:
        raise LoweringError("the operator RMSNormalization has a tensor of unknown shape")
    axes = [axis] if shape is None else list(range(axis % len(shape), len(shape)))
    square, mean, shifted, root, divided = (f"{_ADDED}{part}.{node.output[0]}" for part in "smtrd")
    least = f"{_ADDED}epsilon.{node.output[0]}"
    facts.constants[least] = np.asarray(attributes.get("epsilon", 1e-5), dtype=np.float32)
    make = facts.onnx.helper.make_node
    return [
        make("Mul", [node.input[0], node.input[0]], [square]),
        make("ReduceMean", [square], [mean], axes=axes, keepdims=1),
        make("Add", [mean, least], [shifted]),
        make("Sqrt", [shifted], [root]),
        make("Div", [node.input[0], root], [divided]),
        make("Mul", [divided, node.input[1]], list(node.output)),
    ]


_CHANGES: Mapping[str, Callable[[_Facts, Any], Any]] = {
    **dict.fromkeys(
        ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
         "ReduceLogSumExp", "ReduceSumSquare"),
        _reduce,
    ),
    "CastLike": _cast_like,
    "Pad": _pad,
    "RMSNormalization": _rms_normalization,
    "Reshape": _reshape,
    "Resize": _resize,
    "Split": _split,
}  # fmt: skip
