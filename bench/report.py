"""Results as text: the whole page (versus.md), and the parts of docs/benchmarks.md and README.md between two markers.

A ratio is how many times faster steep is: the peer's time by steep's within a round, the median over rounds, or the
ratio of their minima where that is smaller, so that a peer's unlucky rounds do not flatter steep. Start reading at
``page`` and ``PARTS``.
"""

from __future__ import annotations

import statistics

from measure import PEERS, STEEP
from workloads import MODEL_ROWS, WORKLOADS

BEGIN, END = "<!-- measured: begin (python bench/versus.py --readme) -->", "<!-- measured: end -->"
BUSY = 0.3  # processes that ran before the first row
README_THREADS = "1"
README_ROWS = (  # of each kind of workload one; all of them are in docs/benchmarks.md
    "overhead per op, 4 elements",
    "MLP 784-128-10 relu, batch 32, step",
    "MLP 784-1024-1024-10 relu, batch 256, step",
    "elementwise chain, n=1e6",
    "CNN 3-32-64 on 32x32, batch 32, step",
    "SqueezeNet 1.1 at 227x227, batch 1, forward + gradient with respect to the input",
    "VGG16 trunk at 224x224, batch 1, forward + gradient with respect to the input",
    "matmul 1024x1024x1024 alone, float32",
)
OTHERS = tuple(name for name in PEERS if name not in STEEP)


def duration(us):
    """Three digits and a unit."""
    for limit, factor, unit in ((1, 1e3, "ns"), (1e3, 1, "us"), (1e6, 1e-3, "ms")):
        if us < limit:
            value = us * factor
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return f"{us / 1e6:.3g} s"


def ratio(row, mine, peer):
    """How many times faster `mine` is than `peer`; "-" where one of them was not measured."""
    times = row["times"]
    if mine not in times or peer not in times:
        return "-"
    pairs = zip(times[peer]["rounds"], times[mine]["rounds"], strict=True)
    usual = statistics.median(theirs / ours for theirs, ours in pairs)
    return f"{min(usual, times[peer]['min'] / times[mine]['min']):.2f}"


def spread(row, name):
    """Minimum and median."""
    times = row["times"].get(name)
    return f"{duration(times['min'])} / {duration(times['median'])}" if times else "-"


def rate(row, name):
    """GFLOP/s, where the work is known."""
    return f"{row['flop'] / row['times'][name]['median'] / 1e3:.0f}" if row["flop"] else ""


def lines_of(head, rows):
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def present(rows, names):
    return [name for name in names if any(name in row["times"] for row in rows)]


def title(threads):
    return f"### {threads} thread{'' if threads == '1' else 's'}"


def full_table(threads, rows):
    """Ratios of both columns of steep, then everybody's minimum and median."""
    others, everyone = present(rows, OTHERS), present(rows, PEERS)
    head = ["workload", *(f"captured x {p}" for p in others), *(f"eager x {p}" for p in others)]
    head += [f"{'eager' if p == 'steep' else p} min / median" for p in everyone] + ["GFLOP/s captured"]
    body = []
    for row in rows:
        ratios = [ratio(row, mine, p) for mine in ("captured", "steep") for p in others]
        body.append([row["name"], *ratios, *(spread(row, p) for p in everyone), rate(row, "captured")])
    return "\n".join([title(threads), "", *lines_of(head, body), ""])


def short_table(rows):
    """For readers: ratios of the captured step, one of the eager one, and steep's medians."""
    others = present(rows, OTHERS)
    head = ["workload", *(f"x {p}" for p in others), "eager x torch", "captured", "eager", "GFLOP/s"]
    body = []
    for row in rows:
        medians = [duration(row["times"][mine]["median"]) for mine in ("captured", "steep")]
        ratios = [*(ratio(row, "captured", p) for p in others), ratio(row, "steep", "torch")]
        body.append([row["name"], *ratios, *medians, rate(row, "captured")])
    return "\n".join([*lines_of(head, body), ""])


def by_peers(rows):
    """Rows that have peers of their own in tables of their own: forward passes, and models."""
    kinds = {w.name: w.kind for w in WORKLOADS}
    models = {w.name for w in MODEL_ROWS}

    def table_of(row):
        return 1 if kinds.get(row["name"]) in ("forward", "zoo_forward") else 2 if row["name"] in models else 0

    tables = ([row for row in rows if table_of(row) == number] for number in range(3))
    return [table for table in tables if table]


def best_ratio(row):
    """How many times faster the compiled step is than the best peer, by minima; None where nobody else ran."""
    theirs = [times["min"] for name, times in row["times"].items() if name not in STEEP]
    return min(theirs) / row["times"]["captured"]["min"] if theirs else None


def model_lines(results):
    """The geometric mean over the rows of models as people write them (workloads.MODEL_ROWS), by threads."""
    names = {w.name for w in MODEL_ROWS}
    lines = []
    for threads, rows in results.items():
        found = [r for r in (best_ratio(row) for row in rows if row["name"] in names) if r]
        if found:
            mean = statistics.geometric_mean(found)
            lines.append(f"- Models on {threads} thread(s), over the best peer of each: {mean:.2f} (geometric mean)")
    return lines


def count_text(n):
    return f"1e{len(str(n)) - 1}"


def node_text(name, costs):
    """One peer's cost per node: for the shortest and longest chain, and the bytes for the longest."""
    if not costs:
        return f"{name} -"
    counts = sorted(costs, key=int)
    times = ", ".join(f"{costs[n]['ns']:.0f} ns at {count_text(n)}" for n in counts)
    size = costs[counts[-1]]["bytes"]
    return f"{name} {times}{f'; {size:.0f} bytes' if size else ''}"


def figure_lines(figures):
    """What is not a workload, as a list."""
    named = {"steep": "eager", "captured": "captured"}
    memory = ", ".join(f"{named.get(p, p)} {mb:.0f} MB" for p, mb in figures["memory_mb"].items() if mb is not None)
    imports = ", ".join(f"{module} {ms:.0f} ms" for module, ms in figures["import_ms"].items())
    size = ", ".join(f"{what} {mb:.1f} MB" for what, mb in figures["size_mb"].items())
    return [
        "- A node of a chain, built, differentiated and freed: "
        + " · ".join(node_text(name, costs) for name, costs in figures["nodes"].items()),
        f"- Peak memory of training 784-1024-1024-10 at batch 256, beyond the import: {memory}",
        f"- Import, beyond NumPy's: {imports}",
        f"- Size: {size}",
    ]


def heading(facts):
    """Machine, date, versions; a warning if the machine had other work, which no ratio survives."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    busy = " **Measured on a busy machine: not to be quoted.**" if facts["load"] > BUSY else ""
    return f"{facts['processor']}, {facts['date'][:10]}, {versions}.{busy}"


def page(results, facts, figures):
    """The whole of versus.md."""
    parts = [heading(facts), "", "'x peer': how many times faster steep is.", ""]
    parts += [full_table(threads, rows) for threads, rows in results.items()]
    parts += model_lines(results)
    return "\n".join(parts + (figure_lines(figures) if figures else [])) + "\n"


def benchmarks_part(results, facts, figures):
    """What stands between the markers of docs/benchmarks.md: every row."""
    parts = [heading(facts), ""]
    for threads, rows in results.items():
        parts += [title(threads), "", *(short_table(table) for table in by_peers(rows))]
    parts += model_lines(results)
    return "\n".join(parts + (figure_lines(figures) if figures else []))


def readme_part(results, facts, figures):
    """What stands between README's markers: a few rows, with one thread."""
    rows = [row for row in results[README_THREADS] if row["name"] in README_ROWS]
    return "\n".join([heading(facts), "", title(README_THREADS), "", short_table(rows).rstrip()])


PARTS = {"README.md": readme_part, "docs/benchmarks.md": benchmarks_part}


def replace_part(text, part):
    """The text of a page with the part between its markers replaced. Raises ValueError if it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page must contain the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{part}\n{END}{after}"
