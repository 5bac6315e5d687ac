import subprocess
import sys

HEAVY = {"torch", "torchvision", "timm", "onnx", "openvino", "cryptography", "segmentation_models_pytorch"}


def test_the_service_and_its_runtime_import_no_torch():
    modules = "serve, serve.__main__, serve.server, modelpack.runtimes.onnxruntime"
    program = f"import sys, {modules}; sys.exit(', '.join({HEAVY} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
