"""Models by name: one that comes with segdiff, a folder here, or a repository of the Hugging Face hub."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TypeVar

from segdiff.artifacts.folder import CARD, CONFIG, PANEL, WEIGHTS, Artifact, load_artifact, save_artifact
from segdiff.artifacts.members import EnsembleArtifact, is_ensemble, load_ensemble
from segdiff.artifacts.names import SHIPPED, known_names, shipped_folder
from segdiff.errors import ArtifactError, MissingError

FILES = [WEIGHTS, CONFIG, CARD, PANEL]
# All that is ever fetched: nothing else of a repository is looked at. In folders: the members of an ensemble.
FETCHED, NOT_FETCHED = [*FILES, *(f"*/{name}" for name in FILES)], ["*/*/*"]
LOG = logging.getLogger("segdiff")
SHIPPED_NAMES = f"models that come with segdiff: {known_names()} (segdiff models)"
NON_COMMERCIAL = re.compile(r"\bnc\b|non-?commercial", re.IGNORECASE)
Loaded = TypeVar("Loaded", Artifact, EnsembleArtifact, Artifact | EnsembleArtifact)
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def from_pretrained(name: str | Path, revision: str | None = None) -> Artifact:
    """Load a trained model by the name of its folder or of its repository.

    A licence that does not let everybody use it for everything is told whenever it is loaded.

    Args:
        name: of a model that comes with segdiff (`segdiff.artifacts.names`); a model folder (`./nuclei` where it is
            called as one of these); or "owner/name" on the Hugging Face hub, which is fetched once and kept in the
            hub's own cache. With `HF_HUB_OFFLINE=1` in the environment only the cache is asked.
        revision: branch, tag or commit of the repository.
    Raises:
        MissingError: there is neither such a folder nor such a repository, or it cannot be reached; or it is an
            ensemble, whose members have folders of their own.
        ArtifactError: it is there and is refused, see `load_artifact`.
    """
    return _telling(load_artifact(locate(name, revision)))


def any_from_pretrained(name: str | Path, revision: str | None = None) -> Artifact | EnsembleArtifact:
    """As `from_pretrained`, of one model or of an ensemble in a folder (`segdiff.artifacts.members`)."""
    folder = locate(name, revision)
    return _telling(load_ensemble(folder) if is_ensemble(folder) else load_artifact(folder))


def _telling(artifact: Loaded) -> Loaded:
    """The artifact, of which a licence that does not let everybody use it for everything was told, and of members."""
    told = set()
    for one in (artifact, *getattr(artifact, "members", {}).values()):
        licence = str(one.training.get("license") or "")
        if NON_COMMERCIAL.search(licence) and licence not in told:
            LOG.warning("%s is under the licence %s: not for commercial use", one.identity.partition("@")[0], licence)
            told.add(licence)
    return artifact


def save_pretrained(artifact: Artifact, folder: str | Path) -> Path:
    """Write the model folder: `save_artifact` by the name that users of the hub know."""
    return save_artifact(artifact, folder)


def push_to_hub(folder: str | Path, repository: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a model folder to the Hugging Face hub; the repository is made if it is not there.

    Args:
        folder: of a model; it is loaded first, so that nothing broken is published.
        repository: "owner/name".
        private: when the repository is made: only its owner sees it.
        token: of the hub; None: the one that `hf auth login` or `HF_TOKEN` gave.
    Returns:
        The address of the commit.
    Raises:
        MissingError, ArtifactError: not a model folder that can be loaded.
        ArtifactError: a name that cannot be, or the hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    if not REPOSITORY.fullmatch(repository):
        raise ArtifactError(f"repository {repository!r}: it is written owner/name")
    if is_ensemble(folder):
        members = load_ensemble(folder).members
    else:
        load_artifact(folder)
        members = {}
    files = FILES + [f"{member}/{name}" for member in members for name in FILES]
    api = HfApi(token=token)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository, folder_path=folder, allow_patterns=files, commit_message="Upload a segdiff model"
        )
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError) as error:
        raise ArtifactError(f"{repository} was not uploaded: {_first_line(error)} (hf auth login?)") from error
    return str(commit.commit_url)


def locate(name: str | Path, revision: str | None = None) -> Path:
    """The folder of a model; one of the hub is fetched. Arguments and errors as `from_pretrained`."""
    shipped = shipped_folder(name) if isinstance(name, str) else None
    if shipped is not None:
        return shipped
    if not str(name).strip():
        raise MissingError(f"a model has a name, and none is given; {SHIPPED_NAMES}")
    path = Path(name).expanduser()
    # A name whose first part is a folder here is meant as a path: a slip in it is not sent to the hub.
    if path.exists() or not REPOSITORY.fullmatch(str(name)) or path.parent.is_dir():
        if not path.is_dir():
            raise MissingError(f"no model folder {path}{_hint(path)}")
        return path
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(
            str(name),
            revision=revision,
            allow_patterns=FETCHED,
            ignore_patterns=NOT_FETCHED,
            library_name="segdiff",
        )
        return Path(found)
    except LocalEntryNotFoundError as error:
        raise MissingError(
            f"no model folder {name}, and the hub was not asked (offline) or not reached; it is not in its cache"
            f"{_hint(Path(path.name))}"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise MissingError(
            f"no model folder {name}, and none on the hub: {_first_line(error)}{_hint(Path(path.name))}"
        ) from error


def _hint(path: Path) -> str:
    """What else may have been meant by a name that is no folder; nothing for a path into some folder."""
    if str(path) in {model.name for model in SHIPPED}:
        return f"; the model that comes with segdiff is called {path}: text, without a slash"
    return f"; {SHIPPED_NAMES}" if path.parent == Path() else ""


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
