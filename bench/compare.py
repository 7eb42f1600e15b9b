"""What has moved between two runs of versus.py: ``python bench/compare.py [OLD NEW]``, or ``make bench-compare``.

Without arguments they are the last two of bench/history on the same kind of machine. Each row of steep has two ratios,
new over old: of the minima, which other work on the machine disturbs least, and of the medians; and the noise of each
run, by how much its median is above its minimum. A row is flagged if a ratio differs from 1 by more than ``LIMIT``.
What the peers' times did in the same row, their versions being the same, the machine did: the ratios divided by theirs
are beside, with a flag of their own. Nothing is measured here. Start reading at ``verdict`` and ``page``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import history
from report import duration, lines_of, title

LIMIT = 0.03
OURS = ("captured", "eager")
FLAG = 7  # the column of a line with the flag


def direction(ratio):
    """-1 for faster, 1 for slower, 0 within the limit."""
    return (ratio > 1 + LIMIT) - (ratio < 1 / (1 + LIMIT))


def ratios(old, new):
    """New over old, of the minima and of the medians."""
    return new[0] / old[0], new[1] / old[1]


def verdict(by_min, by_median):
    """What a reader should make of two ratios: "slower", "faster", "unclear" or nothing."""
    directions = {direction(by_min), direction(by_median)}
    if directions == {0}:
        return ""
    return {1: "slower", -1: "faster"}[directions.pop()] if len(directions) == 1 else "unclear"


def noise(times):
    """By how much the median is above the minimum."""
    return f"{times[1] / times[0] - 1:.0%}"


def beside_peers(old, new, found):
    """``found`` over the same two ratios of the peers in a row, their medians; None for a row without peers."""
    peers = [ratios(old[peer], new[peer]) for peer in new.keys() & old.keys() - set(OURS)]
    if not peers:
        return None
    return tuple(mine / statistics.median(theirs) for mine, theirs in zip(found, zip(*peers, strict=True), strict=True))


def line(name, column, old_row, new_row):
    """One row of the table."""
    old, new = old_row[column], new_row[column]
    found = ratios(old, new)
    beside = beside_peers(old_row, new_row, found)
    times = f"{duration(old[0])} / {duration(old[1])}", f"{duration(new[0])} / {duration(new[1])}"
    words = [f"{ratio:.3f}" for ratio in found]
    others = [*(f"{ratio:.3f}" for ratio in beside), verdict(*beside)] if beside else ["-", "-", ""]
    return [name, column, *times, *words, f"{noise(old)}, {noise(new)}", verdict(*found), *others]


def table(old, new):
    """The rows that both runs have, of one number of threads."""
    return [
        line(name, column, old[name], new[name])
        for name in new
        if name in old
        for column in OURS
        if column in old[name] and column in new[name]
    ]


def peers_moved(old, new):
    """The peers' own ratio, the median over all rows: what moved there moved by the machine or by their versions."""
    found = {}
    for threads in new["rows"].keys() & old["rows"].keys():
        for name, times in new["rows"][threads].items():
            before = old["rows"][threads].get(name, {})
            for peer in times.keys() & before.keys() - set(OURS):
                found.setdefault(peer, []).append(ratios(before[peer], times[peer])[0])
    return {peer: statistics.median(values) for peer, values in sorted(found.items())}


def differences(old, new):
    """A line for each thing beside the times that differs between the runs, so that it is not taken for steep's."""
    lines = [
        f"- {field}: {old[field]} -> {new[field]}" for field in ("machine", "mode", "load") if old[field] != new[field]
    ]
    for name in sorted(old["versions"].keys() | new["versions"].keys()):
        before, after = old["versions"].get(name, "-"), new["versions"].get(name, "-")
        lines += [f"- {name}: {before} -> {after}"] if before != after else []
    for run, which in ((old, "old"), (new, "new")):
        lines += [f"- note of the {which} run: {run['note']}"] if run["note"] else []
    return lines


def only_one(old, new):
    """Workloads that one run has and the other has not."""
    names = [{(t, name) for t, rows in run["rows"].items() for name in rows} for run in (old, new)]
    return [
        f"- only in the {which} run, {threads} thread(s): {name}"
        for which, some, others in (("old", *names), ("new", *reversed(names)))
        for threads, name in sorted(some - others)
    ]


def counted(verdicts):
    """How many rows have moved."""
    return ", ".join(f"{verdicts.count(word)} {word}" for word in ("slower", "faster", "unclear"))


def page(old, new, everything=False):
    """The comparison as text; without ``everything`` only the rows that are flagged."""
    parts = [f"{old['date']} -> {new['date']}; a ratio above 1 is slower, and above 1 + {LIMIT:g} it is flagged.", ""]
    head = ["workload", "column", "old min / median", "new min / median", "x min", "x median", "noise", ""]
    head += ["x min beside peers", "x median beside peers", ""]
    for threads in sorted(new["rows"].keys() & old["rows"].keys()):
        rows = table(old["rows"][threads], new["rows"][threads])
        shown = rows if everything else [row for row in rows if row[FLAG] or row[-1]]
        beside = counted([row[-1] for row in rows])
        parts += [
            title(threads),
            "",
            f"{len(rows)} rows: {counted([row[FLAG] for row in rows])}; beside the peers: {beside}",
            "",
        ]
        parts += [*lines_of(head, shown), ""] if shown else []
    moved = ", ".join(f"{peer} {ratio:.3f}" for peer, ratio in peers_moved(old, new).items())
    parts += [f"- the peers' own times, median ratio of the minima: {moved}"] if moved else []
    return "\n".join(parts + differences(old, new) + only_one(old, new)) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="the old run and the new one")
    parser.add_argument("--all", action="store_true", help="also the rows that have not moved")
    chosen = parser.parse_args()
    if len(chosen.files) not in (0, 2):
        parser.error(f"two files are compared, or the last two of bench/history; got {len(chosen.files)}")
    try:
        old, new = (history.load(path) for path in chosen.files or history.latest())
    except (OSError, ValueError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    print(page(old, new, chosen.all), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
