"""The command line as a user meets it: real processes, real exit codes."""

import contextlib
import gzip
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

PAIR = {"prompt": "Is it good?", "chosen": " Yes.", "rejected": " No."}


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_help_needs_no_torch_and_shows_examples(preftune):
    heavy = {"numpy", "torch", "transformers", "datasets", "pydantic", "rich"}
    code = "import sys; from preftune.cli.main import main\n"
    code += f"try: main(['--help'])\nfinally: assert not {heavy} & set(sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "Exit codes" in shown.stdout
    for command in ("train", "show", "demo"):
        page = preftune(command, "--help").stdout
        assert page.count(f"\n  preftune {command}") >= 2
        assert len(page.splitlines()) <= 60


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["tran"], 2, "train"),
        (["train", "--modle", "x"], 2, "--model"),
        (["train", "--model", "m", "--data", "d", "--objective", "dop"], 2, "or `dpo`?"),
        (["train", "--model", "m", "--data", "d"], 2, "`objective` is missing"),
        (["train", "missing.yaml"], 2, "PT304"),
        (
            ["train", "--model", "m", "--data", "d", "--objective", "dpo", "--set", "sed=1"],
            2,
            "`seed`",
        ),
        (["explain", "PT999"], 2, "unknown code"),
    ],
)
def test_usage_mistakes_are_told_before_anything_is_loaded(
    arguments, code, said, tmp_path, preftune
):
    with contextlib.chdir(tmp_path):
        result = preftune(*arguments)
    assert result.returncode == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def broken_inputs(folder, model):
    """Name → (data, model, exit code, code, a word that the message must hold)."""
    good = write_rows(folder / "good.jsonl", [PAIR] * 3)
    packed = gzip.compress(good.read_bytes() * 200)
    (folder / "half.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    (folder / "empty.jsonl").write_bytes(b"")
    (folder / "folder").mkdir()
    long = {**PAIR, "prompt": "word " * 400}
    same = {**PAIR, "rejected": PAIR["chosen"]}
    bare = shutil.copytree(model, folder / "bare")
    for file in bare.glob("tokenizer*"):
        file.unlink()
    return {
        "wrong columns": (
            write_rows(folder / "columns.jsonl", [{"question": "a", "good": "b", "bad": "c"}]),
            model, 4, "PT103", "--map",
        ),
        "empty file": (folder / "empty.jsonl", model, 4, "PT102", "is empty"),
        "a directory": (folder / "folder", model, 4, "PT10", "folder"),
        "half-written gzip": (folder / "half.jsonl.gz", model, 4, "PT101", "half.jsonl.gz"),
        "missing file": (folder / "none.jsonl", model, 4, "PT100", "none.jsonl"),
        "identical": (write_rows(folder / "same.jsonl", [same] * 3), model, 4, "PT10", "identical"),
        "empty response": (
            write_rows(folder / "no.jsonl", [PAIR, {**PAIR, "chosen": " "}]),
            model, 4, "PT104", "no.jsonl:2",
        ),
        "prompt too long": (
            write_rows(folder / "long.jsonl", [long] * 3), model, 4, "PT106", "256 tokens",
        ),
        "missing model": (good, folder / "no-model", 2, "PT400", "no-model"),
        "no tokenizer": (good, bare, 2, "PT401", "tokenizer"),
    }  # fmt: skip


CASES = (
    "wrong columns", "empty file", "a directory", "half-written gzip", "missing file", "identical",
    "empty response", "prompt too long", "missing model", "no tokenizer",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gives_one_clear_message(case, tmp_path, tiny_model, preftune):
    data, model, exit_code, code, word = broken_inputs(tmp_path, tiny_model)[case]
    out = tmp_path / "out"
    result = preftune("train", "--model", model, "--data", data, "--objective", "dpo", "--out", out)
    assert result.returncode == exit_code, result.stderr
    assert f"error {code}" in result.stderr
    assert word in result.stderr
    assert "why:" in result.stderr
    assert "fix:" in result.stderr
    assert "Traceback" not in result.stderr
    assert not out.exists()


def test_a_model_without_a_template_is_announced_and_trained(tmp_path, tiny_model, preftune):
    rows = [{"messages": [{"role": "user", "content": f"Hello {n}"},
                          {"role": "assistant", "content": "Hi."}]} for n in range(12)]  # fmt: skip
    data = write_rows(tmp_path / "chat.jsonl", rows)
    out = tmp_path / "out"
    result = preftune(
        "train", "--model", tiny_model, "--data", data, "--objective", "sft", "--out", out,
        "--max-steps", 1, "--set", "data.held_out=0",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "transcript" in result.stderr
    assert (out / "model" / "model.safetensors").exists()


def test_a_read_only_output_is_refused(tmp_path, tiny_model, tiny_pairs, preftune):
    """Root may write anywhere, so a file in the folder's place stands for it too."""
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    place = Path("/proc/preftune") if os.geteuid() == 0 else locked / "run"
    result = preftune(
        "train", "--model", tiny_model, "--data", tiny_pairs, "--objective", "dpo", "--out", place
    )
    assert result.returncode == 2, result.stderr
    assert "error PT306" in result.stderr
    assert "Traceback" not in result.stderr


def test_json_is_one_document_on_stdout(tmp_path, tiny_model, tiny_pairs, preftune):
    result = preftune(
        "train", "--model", tiny_model, "--data", tiny_pairs, "--objective", "dpo", "--json",
        "--out", tmp_path / "out", "--max-steps", 2,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["version"] == 1
    assert document["steps"] == 2
    assert document["held_out"]["accuracy"] >= 0


def test_show_marks_prompt_and_trained(tmp_path, tiny_model, preftune):
    data = write_rows(tmp_path / "pairs.jsonl", [{**PAIR, "chosen": " \x1b[31mYes."}])
    result = preftune("show", data, "--model", tiny_model, "-n", 1)
    assert result.returncode == 0, result.stderr
    assert "prompt" in result.stdout
    assert "trained" in result.stdout
    assert "\x1b" not in result.stdout
    document = json.loads(preftune("show", data, "--model", tiny_model, "--json").stdout)
    kinds = {token["kind"] for token in document["rows"][0]["sides"][0]["tokens"]}
    assert kinds == {"trained"}


def test_a_closed_pipe_is_silent(tmp_path, tiny_model, tiny_pairs):
    command = f"{sys.executable} -m preftune show {tiny_pairs} --model {tiny_model} -n 60 | head -1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "Traceback" not in result.stderr
    assert "error" not in result.stderr


def test_a_full_disk_is_named_and_the_run_resumes(tmp_path, tiny_model, tiny_pairs):
    """A limit on file size stands for the full disk: the same failed write."""
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "preftune", "train", "--model", str(tiny_model), "--data",
        str(tiny_pairs), "--objective", "dpo", "--out", str(out), "--max-steps", "2",
        "--set", "optimizer.pairs_per_step=4",
    ]  # fmt: skip
    limited = "import resource,signal,sys,runpy\n"
    limited += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
    limited += "sys.argv = ['preftune', *sys.argv[1:]]\n"
    limited += "runpy.run_module('preftune', run_name='__main__')"
    full = subprocess.run(
        [sys.executable, "-c", limited, *command[3:]], capture_output=True, text=True, check=False
    )
    assert full.returncode == 3, full.stderr
    assert "error PT600" in full.stderr
    assert "Traceback" not in full.stderr
    assert not list(out.glob("checkpoints/step-*"))
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert (out / "model" / "model.safetensors").exists()
