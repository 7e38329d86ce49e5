"""Where a model lies: a folder, or a repository of the hub. Looked up before anything is loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from preftune.errors import ConfigError

HUB_TIMEOUT = 10.0
"""Seconds to wait for the hub's answer."""

WEIGHTS = ".safetensors"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
TOKENIZERS = {
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
}


@dataclass(frozen=True, slots=True)
class Location:
    """A place that `from_pretrained` loads from, and the names of the files at its top."""

    name: str
    """A folder's path or a hub name."""
    files: frozenset[str]

    @property
    def is_adapter(self) -> bool:
        """Whether an adapter lies here, as peft writes it, and not a whole model."""
        return ADAPTER_CONFIG in self.files

    def require_model(self) -> None:
        """Refuse places without a configuration or without safetensors, and ambiguous ones.

        Raises:
            ConfigError: PT400 or PT402.
        """
        whole = {name for name in self.files if name.endswith(WEIGHTS) and name != ADAPTER_WEIGHTS}
        if self.is_adapter:
            if whole and "config.json" in self.files:
                problem = "both a whole model and an adapter lie here."
                fix = f"move {ADAPTER_CONFIG} or the whole model elsewhere."
                raise unusable(self.name, problem, fix)
            if ADAPTER_WEIGHTS not in self.files:
                raise self._without_weights()
            return
        if "config.json" not in self.files:
            raise unusable(self.name, "there is no config.json: this is not a model.", self._hint())
        if not whole:
            raise self._without_weights()

    def _without_weights(self) -> ConfigError:
        pickles = sorted(name for name in self.files if name.endswith(PICKLES))
        if not pickles:
            return unusable(self.name, "there are no weights.", "download the model again.")
        return ConfigError(
            "PT402",
            f"the weights are pickles: {', '.join(pickles[:3])}.",
            where=self.name,
            why="loading a pickle can run code; preftune reads safetensors only.",
            fix="save it again with `save_pretrained`, which writes safetensors.",
        )

    @property
    def has_tokenizer(self) -> bool:
        """Whether there are files of a tokenizer."""
        return bool(self.files & TOKENIZERS)

    def require_tokenizer(self) -> None:
        """Refuse places without tokenizer files.

        Raises:
            ConfigError: PT401.
        """
        if not self.has_tokenizer:
            raise without_tokenizer(self.name, "there are no tokenizer files.")

    def fetch(self, file: str) -> Path:
        """One of its files on this machine: downloaded where the place is a repository."""
        if Path(self.name).is_dir():
            return Path(self.name) / file
        import huggingface_hub

        return Path(cast(str, cast(Any, huggingface_hub).hf_hub_download(self.name, file)))

    def _hint(self) -> str:
        inner = Path(self.name) / "model"
        if holds_model(inner):
            return f"name the model inside: {inner}."
        if "run.yaml" in self.files:
            return "this run is not finished: repeat its command."
        return "name a folder written by `save_pretrained`, or a hub name such as org/model."


def locate(name: str, *, endpoint: str | None = None, cache: Path | None = None) -> Location:
    """Find a model: a path is never asked of the hub, and the hub is asked once and quickly.

    Args:
        name: A folder, a finished run's folder (its `model/` is meant) or a hub name.
        endpoint: The hub's address; by default what the environment says.
        cache: Where its files are kept; by default what the environment says.

    Raises:
        ConfigError: PT400, with the cause: no such folder, no such hub name, no network.
    """
    if not name.strip():
        raise unusable(repr(name), "this is no name.", "name a folder or a hub model.")
    path = as_path(name)
    if path.is_dir():
        return _folder(path / "model" if _is_finished_run(path) else path)
    if path.exists():
        raise unusable(name, "this is a file, not a folder.", "name the folder it lies in.")
    if _is_path(name):
        raise unusable(name, "there is no such folder.", "check the path.")
    return _on_hub(name, endpoint, cache)


def as_path(name: str) -> Path:
    """The path that a name would be, which can then be asked whether it is there.

    Raises:
        ConfigError: PT400, a name too long for any path, or below the home of nobody.
    """
    fix = "name a folder or a hub model."
    try:
        path = Path(name).expanduser()
        path.exists()
    except OSError as error:
        raise unusable(name[:60] + "…", "this is no name.", fix) from error
    except RuntimeError as error:
        home = name.partition("/")[0]
        raise unusable(name, f"there is no home folder {home}.", fix) from error
    return path


def unusable(name: str, problem: str, fix: str) -> ConfigError:
    """PT400 about the place `name`."""
    why = "without the model nothing can be scored or trained."
    return ConfigError("PT400", problem, where=name, why=why, fix=fix)


def first_line(error: BaseException) -> str:
    """What a library says, in one line: the end of a problem."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(": ")


def without_tokenizer(name: str, problem: str) -> ConfigError:
    """PT401 about the place `name`."""
    return ConfigError(
        "PT401",
        problem,
        where=name,
        why="text becomes tokens only through the tokenizer that the model was trained with.",
        fix="copy the tokenizer's files of the model into the folder.",
    )


def _is_finished_run(path: Path) -> bool:
    """A run folder of ours stands for the model that came out of it."""
    return (path / "run.yaml").is_file() and holds_model(path / "model")


def holds_model(path: Path) -> bool:
    """Whether a whole model or an adapter was saved in this folder."""
    return any((path / name).is_file() for name in ("config.json", ADAPTER_CONFIG))


def _is_path(name: str) -> bool:
    if name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1:
        return True
    # `models/mine` could be either: a folder `models` here settles it.
    return "/" in name and Path(name).parent.is_dir()


def _folder(path: Path) -> Location:
    return Location(str(path), frozenset(entry.name for entry in path.iterdir()))


def _on_hub(name: str, endpoint: str | None, cache: Path | None) -> Location:
    import huggingface_hub
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        files = huggingface_hub.HfApi(endpoint).model_info(name, timeout=HUB_TIMEOUT).siblings or []
        return Location(name, frozenset(file.rfilename for file in files))
    except HFValidationError as error:
        fix = "name a folder, or a hub name such as org/model."
        raise unusable(name, "there is no such folder, nor can it be a hub name.", fix) from error
    except RepositoryNotFoundError as error:
        fix = "check the spelling; for a private model log in with `hf auth login`."
        problem = "there is no such folder, and the hub has no public model of that name."
        raise unusable(name, problem, fix) from error
    # The hub's client speaks through httpx, httpx2 or requests, whose errors share no base.
    except Exception as error:  # noqa: BLE001
        unreachable = error
    try:
        fetch = cast(Any, huggingface_hub).snapshot_download
        cached = fetch(name, local_files_only=True, cache_dir=cache)
        return _folder(Path(cached))
    except LocalEntryNotFoundError:
        problem = (
            "there is no such folder, no copy in the hub's cache, and the hub can't be reached "
            f"({type(unreachable).__name__})."
        )
        fix = "check the path or the network, or download the model where there is one."
        raise unusable(name, problem, fix) from unreachable
