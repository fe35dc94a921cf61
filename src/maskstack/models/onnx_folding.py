"""Computing what an ONNX graph makes of its constants alone, such as standardised weights."""

from __future__ import annotations

from typing import Any

_NOT_CONSTANT = frozenset({
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial", "If", "Loop",
    "Scan", "Dropout", "QuantizeLinear", "DequantizeLinear",
})  # fmt: skip


def with_folded_constants(model: Any, onnx: Any) -> Any:
    """The same network, in which tensors that depend on no image are constants.

    Args:
        model: The ModelProto, which is not changed.
        onnx: The package.
    """
    stored = {each.name for each in model.graph.initializer}
    known, nodes = set(stored), []
    for node in model.graph.node:
        if node.op_type not in _NOT_CONSTANT and all(name in known for name in node.input if name):
            nodes.append(node)
            known.update(node.output)
    names = {id(node) for node in nodes if node.op_type != "Constant"}
    if not names:
        return model
    kept = [node for node in model.graph.node if id(node) not in names]
    used = {name for node in kept for name in node.input} | {each.name for each in model.graph.output}
    wanted = [name for node in nodes if id(node) in names for name in node.output if name in used]
    try:
        values = _computed(model, nodes, wanted, onnx)
    # The reference implementation lacks operators. Then the graph stays as it is, which may be good enough.
    except Exception:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(kept)
    result.graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name) for name, value in zip(wanted, values, strict=True)
    )
    return result


def _computed(model: Any, nodes: list[Any], wanted: list[str], onnx: Any) -> list[Any]:
    needed = {name for node in nodes for name in node.input}
    graph = onnx.helper.make_graph(
        nodes,
        "constants",
        [],
        [onnx.helper.make_empty_tensor_value_info(name) for name in wanted],
        [each for each in model.graph.initializer if each.name in needed],
    )
    part = onnx.helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    found: list[Any] = onnx.reference.ReferenceEvaluator(part).run(None, {})
    return found
