"""Ask a running Triton, in a Python that has `tritonclient`: what it loaded, and the masks of some images.

    python triton_client.py PORT REPOSITORY MODEL IMAGES.npy MASKS.npy

Prints one line of JSON: the models' states, and the names in the files that NVIDIA's own message reads.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from tritonclient import grpc
from tritonclient.grpc import model_config_pb2

START_S = 120.0


def main(port, repository, model, images_file, masks_file):
    client = grpc.InferenceServerClient(f"127.0.0.1:{port}")
    wait_until_ready(client, model)
    states = client.get_model_repository_index(as_json=True)["models"]
    configs = [
        text_format.Parse(file.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
        for file in sorted(Path(repository).glob("*/config.pbtxt"))
    ]
    images = np.load(images_file)
    image = grpc.InferInput("image", images.shape, "UINT8")
    image.set_data_from_numpy(images)
    np.save(masks_file, client.infer(model, [image]).as_numpy("mask"))
    sys.stdout.write(json.dumps({"models": states, "configs": [config.name for config in configs]}) + "\n")


def wait_until_ready(client, model):
    until = time.monotonic() + START_S
    while True:
        try:
            if client.is_model_ready(model):
                return
        except grpc.InferenceServerException:
            pass  # it is not listening yet
        if time.monotonic() > until:
            raise SystemExit(f"{model} is not ready after {START_S:g} s")
        time.sleep(0.2)


if __name__ == "__main__":
    main(*sys.argv[1:])
