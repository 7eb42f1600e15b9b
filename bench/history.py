"""Results of versus.py that are kept: one small JSON per run in bench/history, with its machine, versions and mode.

``record`` makes one of what versus.py has measured, ``save`` writes it, ``load`` reads and checks it; compare.py says
what has moved between two. Times are microseconds, [minimum, median] over the rounds, by threads, workload
and peer. Start reading at ``record``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "history"
FORMAT = 1
DIGITS = 4  # significant ones of a time, a tenth of a per mille
FIELDS = {"format", "date", "machine", "versions", "mode", "load", "note", "rows", "figures"}
COLUMNS = {"steep": "eager"}  # of measure.py's names those that a reader would misunderstand


def short(number):
    """The number with as many digits as are kept."""
    return float(f"{number:.{DIGITS}g}")


def rows_of(results):
    """The times of versus.py without the single rounds, by threads, workload and peer."""
    return {
        threads: {
            row["name"]: {
                COLUMNS.get(peer, peer): [short(times["min"]), short(times["median"])]
                for peer, times in row["times"].items()
            }
            for row in rows
        }
        for threads, rows in results.items()
    }


def record(found, note=""):
    """What is kept of a run: ``found`` is versus.py's."""
    facts = found["facts"]
    kept = {key: facts[key] for key in ("date", "machine", "versions", "mode", "load")}
    return {"format": FORMAT, **kept, "note": note, "rows": rows_of(found["results"]), "figures": found["figures"]}


def kind(run):
    """The kind of machine: runs of one kind are compared by default."""
    return tuple(sorted(run["machine"].items()))


def file_name(run):
    """Date and machine, so that files sort by age and show what they are of."""
    machine = "-".join(str(value) for value in run["machine"].values())
    words = re.sub(r"[^a-z0-9]+", "-", f"{run['date']} {machine}".lower())
    return f"{words.strip('-')}.json"


def text(run):
    """JSON with one line per workload, so that a difference of two files can be read."""
    rows = ",\n".join(
        f'  "{threads}": {{\n'
        + ",\n".join(f"   {json.dumps(name)}: {json.dumps(times)}" for name, times in table.items())
        + "\n  }"
        for threads, table in run["rows"].items()
    )
    rest = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in run.items() if key != "rows"]
    return "{\n" + ",\n".join([*rest, f' "rows": {{\n{rows}\n }}']) + "\n}\n"


def save(run, folder=FOLDER):
    """The path of the file that is written; a run of the same minute and machine is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(run)
    path.write_text(text(run))
    return path


def load(path):
    """The run in a file. Raises ValueError naming the file if it is none."""
    try:
        run = json.loads(Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    missing = FIELDS - run.keys() if isinstance(run, dict) else FIELDS
    if missing or run["format"] != FORMAT:
        raise ValueError(f"{path} is not a run of format {FORMAT} that versus.py --history has written")
    return run


def latest(folder=FOLDER):
    """The paths of the newest run, and of the one before it on the same kind of machine.

    Raises ValueError if there are no two.
    """
    runs = sorted(((load(path), path) for path in folder.glob("*.json")), key=lambda pair: pair[0]["date"])
    for at in range(len(runs) - 1, 0, -1):
        for before, path in reversed(runs[:at]):
            if kind(before) == kind(runs[at][0]):
                return path, runs[at][1]
    raise ValueError(f"{folder} has no two runs of one kind of machine: make bench adds one")
