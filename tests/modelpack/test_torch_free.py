import subprocess
import sys

IMPORT_ALL = """
import pkgutil, sys, importlib, modelpack
for module in pkgutil.walk_packages(modelpack.__path__, "modelpack."):
    importlib.import_module(module.name)
    print(module.name)
assert "torch" not in sys.modules
"""


def test_no_module_of_the_contract_imports_torch():
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "modelpack.runtimes.onnxruntime" in done.stdout.split()
