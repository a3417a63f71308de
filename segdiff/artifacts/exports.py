"""The files of other runtimes beside a model: `onnx/` in its folder."""

from __future__ import annotations

from pathlib import Path

from segdiff.artifacts.folder import EXPORTS, Artifact
from segdiff.artifacts.whole import whole_folder
from segdiff.errors import ArtifactError, MissingError
from segdiff.models.export import DENOISER, ENCODER, NETWORK, export_onnx

OF = "model.txt"  # which model the files are of


def save_onnx(artifact: Artifact, folder: str | Path | None = None) -> list[Path]:
    """Write the ONNX files of a loaded artifact; files that are there are replaced when the new ones are whole.

    folder: None: `onnx` in the model's folder, where `load_onnx` looks.

    Raises:
        ArtifactError: the folder holds something else. OutputError: it cannot be written.
    """
    target = (_folder(artifact) if folder is None else Path(folder)).resolve()
    if target.is_file() or (target.is_dir() and not all(_ours(path) for path in target.iterdir())):
        raise ArtifactError(f"{target} exists and holds other things than an exported model: choose another name")
    with whole_folder(target) as new:
        written = export_onnx(artifact.segmenter, new)
        (new / OF).write_text(artifact.identity + "\n", encoding="utf-8")
    return [target / path.name for path in written]


def find_onnx(artifact: Artifact) -> Path:
    """The folder of a model's ONNX files.

    Raises:
        MissingError: there is none. ArtifactError: the files are of another model.
    """
    folder = _folder(artifact)
    if not (folder / OF).is_file():
        raise MissingError(
            f"{folder} is not there: segdiff export --model {artifact.path} --format onnx makes it, for other runtimes"
        )
    of = (folder / OF).read_text(encoding="utf-8").strip()
    if of.rpartition("@")[2] != artifact.identity.rpartition("@")[2]:
        raise ArtifactError(f"{folder} is of another model than {artifact.path}: export it again")
    return folder


def has_onnx(artifact: Artifact) -> bool:
    """Whether `find_onnx` would find files."""
    return artifact.path is not None and (artifact.path / EXPORTS / OF).is_file()


def _folder(artifact: Artifact) -> Path:
    if artifact.path is None:
        raise MissingError("the model was not loaded from a folder: save it first")
    return artifact.path / EXPORTS


def _ours(path: Path) -> bool:
    return path.name in (ENCODER, DENOISER, NETWORK, OF)
