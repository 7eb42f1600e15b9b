"""The guarantees of docs/trust.md as a table: what each row runs, quickly and in full, and where its figure is from.

A row is a list of commands. A command that is a script of this folder prints the figure as its last line; one that is
part of the test suite gives the number of tests passed. run.py runs them. Start reading at ``ROWS``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SCRIPT, TESTS = "script", "tests"


@dataclass(frozen=True)
class Command:
    """A script with its quick and full size, or a part of the suite, with environment variables of its sizes."""

    kind: str
    what: str
    quick: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    more: dict[str, tuple[str, str]] = field(default_factory=dict)

    def arguments(self, full: bool) -> list[str]:
        return list(self.full if full else self.quick)

    def environment(self, full: bool) -> dict[str, str]:
        return {name: sizes[full] for name, sizes in self.more.items()}


@dataclass(frozen=True)
class Row:
    number: int
    guarantee: str
    commands: tuple[Command, ...]


def script(path: str, quick: str = "", full: str = "") -> Command:
    return Command(SCRIPT, path, tuple(quick.split()), tuple(full.split()))


def tests(what: str, **more: tuple[str, str]) -> Command:
    return Command(TESTS, what, more=more)


ROWS = (
    Row(1, "deep graphs do not overflow the stack", (script("trust/graphs.py", "1e6", "1e7"),)),
    Row(2, "misuse is an error that names the rule", (tests("bindings/test_errors.py"), tests("graph/test_graph.py"))),
    Row(
        3,
        "editing a saved tensor: no silent wrong gradient",
        (tests("trust/test_trust.py -k 'editing or exported or array_behind or elses'"),),
    ),
    Row(
        4,
        "overlapping views equal copy semantics",
        (tests("trust/test_trust.py -k overlaps", STEEP_OVERLAPS=("20000", "100000")),),
    ),
    Row(5, "hostile arguments", (script("fuzz_ops.py", "30000 1", "1000000 1"), tests("ops/test_hostile.py"))),
    Row(6, "sizes that overflow", (tests("trust/test_limits.py"),)),
    Row(7, "bad indices", (tests("bindings/test_indexing.py"),)),
    Row(8, "out of memory: MemoryError at every k", (script("trust/out_of_memory.py"),)),
    Row(
        9,
        "exceptions inside a parallel region",
        (tests("project/test_architecture.py"), tests("trust/test_limits.py -k ctrl_c")),
    ),
    Row(
        10,
        "fork after parallel work",
        (tests("trust/test_trust.py -k fork", STEEP_FORKS=("100", "1000")), tests("trust/test_process.py -k fork")),
    ),
    Row(11, "two OpenMP runtimes in one process", (script("trust/imports.py"),)),
    Row(
        12,
        "threads",
        (
            tests("trust/test_trust.py -k share_a_leaf", STEEP_GRAPHS=("300", "100000")),
            tests("trust/test_process.py -k 'threads or modes'"),
        ),
    ),
    Row(
        13,
        "sub-interpreters, exit with daemon threads",
        (tests("trust/test_trust.py -k 'interpreters or daemon or end_with'"),),
    ),
    Row(
        14,
        "Ctrl-C inside a long op",
        (script("trust/interrupts.py", "3e6", "3e7"), tests("trust/test_limits.py -k ctrl_c")),
    ),
    Row(15, "floating-point state untouched", (script("trust/floating_point.py"),)),
    Row(
        16,
        "where the NaN came from",
        (tests("graph/test_graph.py -k anomaly"), tests("compiling/test_compile_rules.py -k anomal")),
    ),
    Row(
        17,
        "the same bits for any threads and batch split",
        (tests("trust/test_bits.py"), script("fuzz_compile.py", "3000 1", "1000000 1")),
    ),
    Row(
        18,
        "old processors",
        (
            script("trust/old_processors.py"),
            tests("trust/test_trust.py -k instruction"),
            tests("ops/test_stale_memory.py -k instruction"),
        ),
    ),
    Row(19, "memory growth", (script("trust/growth.py", "20000", "1000000"),)),
    Row(20, "malformed safetensors", (script("fuzz_files.py", "20000 1 a.safetensors", "1000000 1 a.safetensors"),)),
    Row(
        21,
        "no code runs on load",
        (tests("zoo/test_pickles.py"), script("fuzz_files.py", "10000 1 pickle torch", "1000000 1 pickle torch")),
    ),
    Row(22, "malformed ONNX", (script("fuzz_onnx.py", "60 1", "3600 1"), tests("onnx/test_onnx_trust.py"))),
    Row(
        23,
        "torn checkpoints",
        (script("trust/kills.py", "50", "1000"), script("fuzz_files.py", "5000 1 checkpoint", "1000000 1 checkpoint")),
    ),
    Row(24, "a resumed run is the same run", (tests("io/test_io.py -k resumed"), tests("training/test_recipes.py"))),
    Row(
        25,
        "a rank dies",
        (
            tests("distributed/test_ranks.py -k 'lost or end'"),
            tests("distributed/test_mpi.py -k 'ends_one or goes_on'"),
        ),
    ),
    Row(26, "supply chain", (script("trust/binary.py"), tests("project/test_supply_chain.py"))),
)
