"""onnxruntime's side of forward passes, on files that steep wrote."""

from __future__ import annotations

import onnxruntime
from workloads import Job

from peers import files

NAME = "onnxruntime"
OPTIONS = onnxruntime.SessionOptions()


def set_threads(n):
    OPTIONS.intra_op_num_threads = n


def forward(inputs):
    session = onnxruntime.InferenceSession(files.saved(inputs), OPTIONS, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: inputs["x"]}
    return Job(lambda: session.run(None, given), lambda: [session.run(None, given)[0]])


KINDS = {"forward": forward, "zoo_forward": forward}
