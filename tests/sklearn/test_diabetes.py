"""``examples/diabetes.py`` at a reduced size: it prints an error for both libraries, far below that of the mean."""

import runpy
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "diabetes.py"


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_both_libraries_fit_the_table(capsys):
    example = runpy.run_path(str(EXAMPLE))
    found = example["main"](folds=2)
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in told] == list(found) == ["steep", "scikit-learn"]
    assert all(40 < error < 65 for error in found.values())  # 77 for the mean alone
    assert found["steep"] == pytest.approx(found["scikit-learn"], rel=0.06)
