import os
import resource
import signal

import pytest

from preftune.checks.mending.copies import copy_and_log, written_together
from preftune.errors import ConfigError, ResourceError


def test_the_log_stands_beside_the_copy(tmp_path):
    paths = copy_and_log(tmp_path / "good.v2.jsonl", "data.jsonl")
    assert [path.name for path in paths] == ["good.v2.jsonl", "good.v2.changes.jsonl"]


@pytest.mark.parametrize(
    "name", ["copy.json", "copy", "copy.jsonl.gz", ".jsonl", "gone/copy.jsonl"]
)
def test_a_name_that_can_not_be_is_refused(tmp_path, name):
    with pytest.raises(ConfigError) as caught:
        copy_and_log(tmp_path / name, "data.jsonl")
    assert caught.value.code == "PT308"


@pytest.mark.parametrize("link", [os.symlink, os.link, None])
def test_the_data_itself_is_refused_through_links_too(tmp_path, link):
    data = tmp_path / "data.jsonl"
    data.write_text("{}")
    out = tmp_path / "out.jsonl" if link else data
    if link:
        link(data, out)
    with pytest.raises(ConfigError, match="the data itself"):
        copy_and_log(out, str(data))


@pytest.mark.parametrize("name", ["out.jsonl", "out.changes.jsonl"])
def test_nothing_is_written_over(tmp_path, name):
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="stands there already"):
        copy_and_log(tmp_path / "out.jsonl", "data.jsonl")


def test_both_files_or_none(tmp_path):
    paths = tmp_path / "a", tmp_path / "b"
    with pytest.raises(UnicodeEncodeError), written_together(*paths) as files:
        files[0].write("half" * 100_000 + "\ud800")
    assert list(tmp_path.iterdir()) == []
    with written_together(*paths) as files:
        for file in files:
            file.write("whole\u2028\n")
    assert [path.read_bytes() for path in paths] == [b"whole\xe2\x80\xa8\n"] * 2
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    quiet = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(ResourceError) as caught, written_together(tmp_path / "a") as (file,):
            file.write("x" * 20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, quiet)
    assert caught.value.code == "PT600"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_written_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigError) as caught, written_together(tmp_path / "gone" / "a"):
        pass
    assert caught.value.code == "PT308"
