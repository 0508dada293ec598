"""Shows a zoo model to ONNX's own checker and shape inference (Debian: python3-onnx).

Usage: check_zoo.py WATTSHED. Exits 77 where the onnx module is not installed.
"""
import os
import subprocess
import sys
import tempfile

try:
    import onnx
    import onnx.checker
    import onnx.shape_inference
except ImportError:
    print("skipped: python3-onnx is not installed")
    sys.exit(77)


def check(wattshed, path, *options):
    subprocess.run([wattshed, "zoo", "mobilenet_v2", "-o", path, *options], check=True)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    declared = {v.name: v for v in [*model.graph.value_info, *model.graph.output]}
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    for value in [*inferred.graph.value_info, *inferred.graph.output]:
        if value.type != declared[value.name].type:
            sys.exit(f"{value.name}: declared and inferred types differ")
    made = {name for node in model.graph.node for name in node.output}
    if made - declared.keys():
        sys.exit(f"no shape for {sorted(made - declared.keys())}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        check(sys.argv[1], path)
        check(sys.argv[1], path, "--keep-norms", "--batch", "2")


main()
