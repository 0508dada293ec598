#!/usr/bin/env python3
"""Writes the seeds of fuzz/fuzz_onnx.c, sound models and broken ones, into a folder.

Usage: make_onnx_seeds.py [DIR] (default fuzz/corpus/onnx). The models are a few hundred
bytes each and are written field by field, since half of them are what no library writes.
"""
import pathlib
import struct
import sys

FLOAT, INT64, STRING = 1, 7, 8


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, value):
    """One field: an int as varint, text and bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(number, values):
    return b"".join(field(number, value) for value in values)


def tensor(name, dtype, dims, raw=None, more=b""):
    body = fields(1, dims) + field(2, dtype) + field(8, name) + more
    return body + (field(9, raw) if raw is not None else b"")


def floats(name, *dims):
    count = 1
    for dim in dims:
        count *= dim
    return tensor(name, FLOAT, dims, struct.pack(f"<{count}f", *range(count)))


def external(name, dims, location, offset="0", length=None):
    entries = [("location", location), ("offset", offset)]
    entries += [("length", length)] if length is not None else []
    more = fields(13, [field(1, key) + field(2, value) for key, value in entries])
    return tensor(name, FLOAT, dims, None, more + field(14, 1))


def info(name, dims=None, dtype=FLOAT):
    """ValueInfoProto; a dimension is a number or a name, dims None leaves out the type."""
    if dims is None:
        return field(1, name)
    shape = fields(1, [field(1, d) if isinstance(d, int) else field(2, d) for d in dims])
    return field(1, name) + field(2, field(1, field(1, dtype) + field(2, shape)))


def node(op, inputs, outputs, *attributes, domain=None):
    body = fields(1, inputs) + fields(2, outputs) + field(4, op) + fields(5, attributes)
    return body + (field(7, domain) if domain else b"")


def graph(nodes, inputs, outputs, weights=(), infos=()):
    body = fields(1, nodes) + field(2, "g") + fields(5, weights)
    return body + fields(11, inputs) + fields(12, outputs) + fields(13, infos)


def model(body, ir_version=8, more=b""):
    return field(1, ir_version) + field(7, body) + field(8, field(2, 17)) + more


X, Y = info("x", ["n", 4]), info("y", ["n", 4])


def chain(*ops, **rest):
    """x through the operators to y."""
    names = ["x"] + [f"t{i}" for i in range(1, len(ops))] + ["y"]
    nodes = [node(op, [names[i]], [names[i + 1]]) for i, op in enumerate(ops)]
    infos = [info(name, ["n", 4]) for name in names[1:-1]]
    return model(graph(nodes, [X], [Y], infos=infos), **rest)


def body_attribute(name, body):
    return field(1, name) + field(6, body) + field(20, 5)


def deep(levels):
    """If within If; each branch hands on the outermost tensor."""
    body = graph([], [], [info("t")])
    for i in range(levels):
        branch = body_attribute("then_branch", body)
        body = graph([node("If", ["c"], [f"o{i}"], branch)], [], [info(f"o{i}")])
    return body


def sound():
    big = floats("w", 20, 20)  # above the size that stays in the skeleton
    yield "chain", chain("Relu", "Relu", "Neg")
    yield "big-weight", model(
        graph([node("MatMul", ["x", "w"], ["y"])], [info("x", ["n", 20])], [Y], [big])
    )
    yield "residual", model(
        graph(
            [node("Relu", ["x"], ["a"]), node("Neg", ["a"], ["b"]),
             node("Add", ["a", "b"], ["y"])],
            [X], [Y], infos=[info("a", ["n", 4]), info("b", ["n", 4])],
        )
    )
    typed = tensor("w", INT64, [3], None, field(7, varint(1) + varint(-1) + varint(9)))
    yield "typed-weight", model(
        graph([node("Add", ["x", "w"], ["y"])], [info("x", [3], INT64)],
              [info("y", [3], INT64)], [typed])
    )
    yield "weight-is-input", model(
        graph([node("Add", ["x", "w"], ["y"])], [X, info("w", [4])], [Y],
              [floats("w", 4)]),
        ir_version=3,
    )
    yield "out-of-order", model(
        graph([node("Neg", ["t"], ["y"]), node("Relu", ["x"], ["t"])], [X], [Y])
    )
    yield "quantised", model(
        graph(
            [node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             node("DequantizeLinear", ["q", "s", "z"], ["d"]),
             node("Relu", ["d"], ["r"]), node("Add", ["r", "d"], ["y"])],
            [X], [Y], [floats("s"), tensor("z", 2, [], b"\x80")],
            [info("q", ["n", 4], 2), info("d", ["n", 4])],
        )
    )
    yield "fixed-shape", model(
        graph(
            [node("Relu", ["x"], ["r"]), node("Shape", ["x"], ["s"]),
             node("Reshape", ["r", "s"], ["y"])],
            [info("x", [2, 4])], [Y], infos=[info("r", [2, 4])],
        )
    )
    branch = graph([node("Add", ["t", "t"], ["o"])], [], [info("o", ["n", 4])])
    yield "captures", model(
        graph(
            [node("Relu", ["x"], ["t"]),
             node("If", ["c"], ["y"], body_attribute("then_branch", branch),
                  body_attribute("else_branch", branch))],
            [X, info("c", [], 9)], [Y], infos=[info("t", ["n", 4])],
        )
    )
    inner = graph([node("Neg", ["t"], ["u"]), node("Add", ["u", "z"], ["o"])],
                  [], [info("o", ["n", 4])])
    shadow = graph(
        [node("Relu", ["x"], ["t"]),
         node("If", ["c"], ["o"], body_attribute("then_branch", inner),
              body_attribute("else_branch", inner))],
        [], [info("o", ["n", 4])],
    )
    yield "shadows", model(
        graph(
            [node("Neg", ["x"], ["t"]), node("Abs", ["x"], ["z"]),
             node("If", ["c"], ["v"], body_attribute("then_branch", shadow),
                  body_attribute("else_branch", shadow)),
             node("Add", ["v", "t"], ["y"])],
            [X, info("c", [], 9)], [Y],
            infos=[info(name, ["n", 4]) for name in "tzv"],
        )
    )
    yield "recurrent", model(
        graph(
            [node("Add", ["x", "h"], ["s"]), node("Tanh", ["s"], ["hn"]),
             node("Neg", ["hn"], ["y"])],
            [X, info("h", ["n", 4])], [Y, info("hn", ["n", 4])],
            infos=[info("s", ["n", 4])],
        )
    )
    yield "outputs-early", model(
        graph(
            [node("Relu", ["x"], ["a"]), node("Neg", ["a"], ["b"])],
            [X], [info("a", ["n", 4]), info("b", ["n", 4]), X, info("w", [4])],
            [floats("w", 4)],
        )
    )
    sequence = field(1, "q") + field(2, field(4, field(1, field(1, field(1, FLOAT)))))
    yield "sequence", model(
        graph(
            [node("SequenceConstruct", ["x", "x"], ["q"]),
             node("ConcatFromSequence", ["q"], ["y"])],
            [X], [Y], infos=[sequence],
        )
    )
    yield "unknown-fields", chain("Relu", "Neg", more=field(900, "kept") + field(901, 7))
    text = tensor("w", STRING, [2], None, fields(6, ["a", "b"]))
    yield "strings", model(
        graph([node("Identity", ["w"], ["y"])], [], [info("y", [2], STRING)], [text])
    )
    yield "left-out", model(
        graph([node("Mystery", ["x", ""], ["", "y"], domain="org.example")], [X], [Y])
    )


def broken():
    good = chain("Relu", "Neg")
    yield "empty", b""
    yield "text", b"not a model at all\n"
    yield "truncated", good[: len(good) // 2]
    yield "length-too-long", good[:-4] + b"\x3a\xff\xff\xff\xff\x7f"
    yield "group", field(1, 8) + varint(7 << 3 | 3)
    yield "no-graph", field(1, 8)
    yield "graph-twice", good + field(7, graph([], [], []))
    yield "cycle", model(
        graph([node("Add", ["x", "b"], ["a"]), node("Neg", ["a"], ["b"])], [X],
              [info("b")])
    )
    yield "made-twice", model(
        graph([node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])], [X], [Y])
    )
    yield "dangling", model(graph([node("Add", ["x", "ghost"], ["y"])], [X], [Y]))
    yield "no-such-output", model(graph([node("Relu", ["x"], ["t"])], [X], [Y]))
    yield "deep-bodies", model(
        graph([node("If", ["c"], ["y"], body_attribute("then_branch", deep(18)))],
              [info("c", [], 9), info("t", [4])], [Y])
    )
    nested = field(1, field(1, FLOAT))
    for _ in range(100):
        nested = field(4, field(1, nested))
    yield "deep-type", model(graph([], [field(1, "x") + field(2, nested)], []))
    yield "short-weight", model(
        graph([node("Add", ["x", "w"], ["y"])], [X], [Y],
              [tensor("w", FLOAT, [4], bytes(15))])
    )
    yield "huge-weight", model(
        graph([node("Add", ["x", "w"], ["y"])], [X], [Y],
              [tensor("w", FLOAT, [1 << 40, 1 << 40], bytes(2000))])
    )
    yield "negative-dim", model(
        graph([node("Add", ["x", "w"], ["y"])], [X], [Y],
              [tensor("w", FLOAT, [-4], bytes(16))])
    )
    yield "nameless-sparse", model(
        graph([node("Relu", ["x"], ["y"])], [X], [info("")]) + field(15, b"")
    )
    for name, weight in (
        ("external-outside", external("w", [4], "../../etc/passwd")),
        ("external-absolute", external("w", [4], "/etc/passwd")),
        ("external-beyond", external("w", [400], "(memory)", "100")),
        ("external-offset", external("w", [4], "(memory)", "-1")),
        ("external-overflow", external("w", [400], "(memory)", str((1 << 63) - 1))),
        ("external-inside", external("w", [4], "(memory)", "0", "16")),
    ):
        yield name, model(graph([node("Add", ["x", "w"], ["y"])], [X], [Y], [weight]))


def main():
    to = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "fuzz/corpus/onnx")
    to.mkdir(parents=True, exist_ok=True)
    for name, content in [*sound(), *broken()]:
        (to / f"{name}.onnx").write_bytes(content)


if __name__ == "__main__":
    main()
