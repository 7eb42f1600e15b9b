"""OpenVINO's side of forward passes, on files that steep wrote, in float32."""

from __future__ import annotations

import numpy as np
import openvino
from workloads import Job

from peers import files

NAME = "openvino"
THREADS = {"n": 1}


def set_threads(n):
    THREADS["n"] = n


def forward(inputs):
    settings = {"INFERENCE_NUM_THREADS": THREADS["n"], "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    core = openvino.Core()
    model = core.read_model(files.saved(inputs))
    model.reshape(inputs["x"].shape)
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def step():
        request.infer([inputs["x"]], share_inputs=True)
        return request.get_output_tensor(0).data

    return Job(step, lambda: [np.array(step())])


KINDS = {"forward": forward, "zoo_forward": forward}
