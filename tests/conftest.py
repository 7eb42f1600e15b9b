"""Fixtures of several test files: ``command`` runs the command line in this process."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Runs ``steep`` with the given words in a folder of its own and gives exit code, stdout and stderr.

    The number of threads is what it was afterwards.
    """
    pytest.importorskip("typer")
    pytest.importorskip("rich")
    import steep
    from steep.cli.app import run

    threads = steep.get_num_threads()
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["steep", *map(str, words)])
        code = run()
        text = capsys.readouterr()
        return code, text.out, text.err

    yield call
    steep.set_num_threads(threads)
