"""A pytest plugin for tools/sanitize.sh: what the sanitizers cannot run, with the reason. Start reading at LEFT_OUT."""

from __future__ import annotations

import os

import pytest

# By sanitizer: a part of a test's name, and why it is left out. AddressSanitizer keeps freed memory a while to catch
# its use, maps terabytes of addresses, and makes what measures memory or limits it meaningless.
LEFT_OUT = {
    "address": {
        "test_memory_does_not_grow": "measures resident memory",
        "test_fifty_thousand_steps_grow_by_less_than_a_byte_each": "measures resident memory",
        "test_errors_of_replays_and_recordings_leave_nothing_behind": "measures resident memory",
        "test_random_calls_never_crash": "limits the addresses of a process",
        "test_a_read_outside_is_noticed": "reads outside of memory on purpose",
        "test_hostile_sizes_are_refused": "limits the addresses of a process",
        "test_extreme_arguments_that_mean_something_work": "limits the addresses of a process",
    },
    "thread": {
        "test_fifty_thousand_steps_grow_by_less_than_a_byte_each": "measures resident memory",
        "test_errors_of_replays_and_recordings_leave_nothing_behind": "measures resident memory",
    },
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves them out, and says so in pytest's count."""
    names = LEFT_OUT[os.environ["STEEP_SANITIZER"]]
    left_out = [item for item in items if any(name in item.nodeid for name in names)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
