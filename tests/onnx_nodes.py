"""The ONNX package's own node tests, run through steep: passed of applicable, and what was refused and why.

A test is applicable if its model loads; ``UnsupportedError`` refuses it by name. Run ``python tests/onnx_nodes.py`` for
the table; ``test_onnx_nodes.py`` asserts it.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import steep as sp


@dataclass
class Tally:
    passed: Counter = field(default_factory=Counter)
    failed: dict = field(default_factory=dict)
    refused: dict = field(default_factory=lambda: defaultdict(list))


def cases(prefix=""):
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    return [case for case in found if case.name.startswith(prefix)]


def array(value):
    """What a test holds, as NumPy; None for what is no tensor."""
    from onnx import TensorProto, numpy_helper

    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    return value


def given(value):
    if isinstance(value, list):
        return [given(item) for item in value]
    value = array(value)
    if getattr(value, "dtype", None) is not None and value.dtype.name == "bfloat16":
        return sp.asarray(value.astype(np.float32)).astype("bfloat16")
    return value


def compare(got, want, rtol, atol):
    if isinstance(want, list):
        assert len(got) == len(want), f"{len(got)} items, not {len(want)}"
        for one, other in zip(got, want, strict=True):
            compare(one, other, rtol, atol)
        return
    want = array(want)
    if want.dtype == np.float16:  # which steep holds as float32; the reference rounded to 11 bits
        want, rtol, atol = want.astype(np.float32), max(rtol, 2.0**-9), max(atol, 2.0**-9)
    narrow = {"int8", "int16", "uint16", "int4", "int2"}  # which steep holds in wider types
    held = {**dict.fromkeys(narrow, "int32"), "uint32": "int64", "uint4": "uint8", "uint2": "uint8"}
    want = want.astype(held.get(want.dtype.name, want.dtype))
    name = got.dtype.name
    assert name == want.dtype.name, f"dtype {name}, not {want.dtype.name}"
    assert tuple(got.shape) == want.shape, f"shape {got.shape}, not {want.shape}"
    if name == "bfloat16":
        # Both round: of five attention tests in float64, steep is off by .0056 at most, the reference by .0095.
        got, want, rtol = got.astype("float32"), want.astype(np.float32), 2.0**-6
    np.testing.assert_allclose(got.numpy(), want, rtol=rtol, atol=atol)


def run(case, tally):
    op = case.model.graph.node[0].op_type if len(case.model.graph.node) == 1 else "(expanded)"
    try:
        model = sp.onnx.load(case.model.SerializeToString())
        for inputs, outputs in case.data_sets:
            with sp.no_grad(), np.errstate(all="ignore"):
                found = model(*map(given, inputs))
            found = found if len(outputs) > 1 else (found,)
            assert len(found) == len(outputs), f"{len(found)} outputs, not {len(outputs)}"
            for got, want in zip(found, outputs, strict=True):
                compare(got, want, case.rtol, case.atol)
        tally.passed[op] += 1
    except sp.onnx.UnsupportedError as error:
        tally.refused[str(error)].append(case.name)
    except Exception as error:
        tally.failed[case.name] = f"{type(error).__name__}: {error}"


def tally_all(prefix=""):
    tally = Tally()
    for case in cases(prefix):
        run(case, tally)
    return tally


def disk_cases():
    """The models on disk in the onnx wheel (exported by PyTorch, and a few others) as test cases with their data."""
    import onnx
    from onnx.backend.test.case.test_case import TestCase

    data = Path(onnx.__file__).parent / "backend" / "test" / "data"
    for folder in sorted(path.parent for path in data.glob("*/*/model.onnx")):
        model = onnx.ModelProto()
        model.ParseFromString((folder / "model.onnx").read_bytes())
        sets = [(protos(s, "input"), protos(s, "output")) for s in sorted(folder.glob("test_data_set_*"))]
        yield TestCase(folder.name, folder.name, None, None, model, sets, "disk", 1e-3, 1e-5)


def protos(folder, kind):
    from onnx import TensorProto

    found = []
    for i in range(len(list(folder.glob(f"{kind}_*.pb")))):
        found.append(TensorProto())
        found[-1].ParseFromString((folder / f"{kind}_{i}.pb").read_bytes())
    return found


def tally_disk():
    tally = Tally()
    for case in disk_cases():
        if not case.model.graph.input or case.model.graph.input[0].type.WhichOneof("value") == "tensor_type":
            run(case, tally)
    return tally


def main():
    tally = tally_all(sys.argv[1] if len(sys.argv) > 1 else "")
    for name, why in tally.failed.items():
        print("FAILED", name, why.strip().replace("\n", " ")[:300])
    for why, names in sorted(tally.refused.items()):
        print("refused", len(names), why[:150], "|", names[0])
    passed = tally.passed.total()
    print(
        f"{passed} of {passed + len(tally.failed)} applicable passed; {sum(map(len, tally.refused.values()))} refused"
    )


if __name__ == "__main__":
    main()
