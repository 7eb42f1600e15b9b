"""steep against its peers: the same work in one process, alternating, gradients compared, with one thread and then two.

``python bench/versus.py`` prints the page (ratios first) and writes it beside a JSON; ``--readme`` also rewrites the
measured parts of README.md and docs/benchmarks.md, ``--history`` keeps the times in bench/history. It exits 1 if any
peer's gradients differ from steep's beyond tolerance. The workloads are in workloads.py, each peer's side in peers/,
the timing in measure.py (a process for each number of threads), other figures in figures.py, the text in report.py,
what is kept in history.py. Start reading at ``main``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import figures
import history
import report
import steep
from measure import HERE, ROUNDS
from workloads import WORKLOADS

QUICK_ROUNDS = 3


def child(threads, only, rounds, without=()):
    """The rows of one number of threads, measured in a separate process."""
    script = str(HERE / "measure.py")
    command = [sys.executable, script, "--threads", str(threads), "--only", only, "--rounds", str(rounds)]
    command += ["--without", json.dumps(list(without))]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def versions():
    """Of Python and of what is compared."""
    found = {"python": platform.python_version(), "steep": steep.__version__}
    for name in ("numpy", "torch", "jax", "mlx", "onnxruntime", "openvino"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor():
    """The processor's name where the system tells it."""
    lines = Path("/proc/cpuinfo").read_text().split("\n") if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return name if name and name != "unknown" else platform.machine()


def machine():
    """What has to be equal for times to be comparable: processor, instruction set, matrix units and cores."""
    units = "none" if steep._core._amx_missing() else "amx"
    cores = len(os.sched_getaffinity(0))
    return {"processor": processor(), "isa": steep._core.isa(), "matrix_units": units, "cores": cores}


def commit():
    """The commit that is measured, marked if the work tree differs from it; "" outside a repository."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def ticks():
    """Processor time since the machine started, all and idle, in the system's units; zeros where it does not say."""
    stat = Path("/proc/stat")
    spent = [int(word) for word in stat.read_text().split("\n")[0].split()[1:9]] if stat.exists() else [0] * 8
    return sum(spent), spent[3] + spent[4]


def load(seconds=3.0):
    """How many processors other work keeps busy now; the load average still counts the build before a run."""
    total, idle = ticks()
    time.sleep(seconds)
    later, rest = ticks()
    return round((later - total - rest + idle) / max(1, later - total) * (os.cpu_count() or 1), 2)


def facts(rounds, quick):
    """About the run; ``load`` is how many processors other work kept busy before it began."""
    about = machine()
    return {
        "processor": f"{about['processor']}, {about['isa']}, {about['cores']} cores",
        "machine": about,
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "versions": versions(),
        "mode": {"rounds": rounds, "quick": quick, "matmul": steep.get_matmul_precision(), "commit": commit()},
        "load": load(),
    }


def measured(chosen):
    """Everything, saved as soon as it is known: the workloads take the longest."""
    rounds = QUICK_ROUNDS if chosen.quick else ROUNDS
    about = facts(rounds, chosen.quick)
    cores = min(2, len(os.sched_getaffinity(0)))
    results = {str(threads): child(threads, chosen.only, rounds) for threads in range(1, cores + 1)}
    found = {"facts": about, "results": results, "figures": None}
    save(chosen.output, found)
    if not chosen.only:
        found["figures"] = figures.all_figures(chosen.quick)
        save(chosen.output, found)
    return found


def added(chosen):
    """The last measurement, with the workloads that it lacks: new ones, measured now on the same machine."""
    found = json.loads((chosen.output / "versus.json").read_text())
    now, before = facts(ROUNDS, False), found["facts"]
    if now["machine"] != before["machine"]:
        raise SystemExit(f"versus: --add: the last measurement is of another machine, {before['machine']}")
    found["facts"] = {**before, "versions": now["versions"], "load": max(before["load"], now["load"])}
    order = {w.name: i for i, w in enumerate(WORKLOADS)}
    for threads, rows in found["results"].items():
        rows += child(threads, chosen.only, ROUNDS, [row["name"] for row in rows])
        rows[:] = sorted((row for row in rows if row["name"] in order), key=lambda row: order[row["name"]])
    save(chosen.output, found)
    return found


def save(folder, found):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "versus.json").write_text(json.dumps(found, indent=1))


def rewrite_pages(found):
    for name, part in report.PARTS.items():
        path = HERE.parent / name
        path.write_text(report.replace_part(path.read_text(), part(**found)))


def wrong_gradients(results):
    return [f"{row['name']}: {row['wrong']}" for rows in results.values() for row in rows if row["wrong"]]


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE / "results")
    parser.add_argument("--only", default="", help="only workloads with this in their name, and no other figures")
    parser.add_argument("--quick", action="store_true", help="few rounds and short chains, to try things out")
    parser.add_argument("--readme", action="store_true", help="rewrite the tables of README.md and docs/benchmarks.md")
    parser.add_argument("--history", action="store_true", help="keep the times in bench/history, for compare.py")
    parser.add_argument("--note", default="", help="a remark that is kept with them")
    parser.add_argument("--add", action="store_true", help="measure only what the last measurement lacks")
    parser.add_argument("--again", action="store_true", help="measure nothing: write the last measurement again")
    chosen = parser.parse_args()
    if chosen.only and (chosen.readme or chosen.history):
        parser.error("--readme and --history take all workloads, and do not go with --only")
    return chosen


def main():
    chosen = options()
    if chosen.again:
        found = json.loads((chosen.output / "versus.json").read_text())
    else:
        found = added(chosen) if chosen.add else measured(chosen)
    text = report.page(**found)
    (chosen.output / "versus.md").write_text(text)
    if chosen.readme:
        rewrite_pages(found)
    if chosen.history:
        print(f"versus: kept in {history.save(history.record(found, chosen.note))}", file=sys.stderr)
    print(text)
    wrong = wrong_gradients(found["results"])
    for line in wrong:
        print(f"versus: gradients differ from steep's: {line}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
