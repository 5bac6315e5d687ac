"""An independent timer: ONNX Runtime in a plain loop, nothing of this project. Takes graph, height, width.

Answers each number on stdin with the milliseconds of so many calls, as a JSON list.
"""

import json
import sys
from timeit import default_timer

import numpy as np
import onnxruntime


def main():
    graph, height, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    for line in sys.stdin:
        milliseconds = []
        for _ in range(int(line)):
            start = default_timer()
            session.run(None, {"image": image})
            milliseconds.append((default_timer() - start) * 1000)
        sys.stdout.write(json.dumps(milliseconds) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
