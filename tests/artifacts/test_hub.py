"""Models by name, with a hub that is made up: nothing here touches a network."""

import shutil

import huggingface_hub
import pytest
import torch
from fakes import make_artifact
from huggingface_hub.errors import LocalEntryNotFoundError

from segdiff.artifacts.folder import save_artifact
from segdiff.artifacts.hub import FETCHED, FILES, NOT_FETCHED, from_pretrained, locate, push_to_hub, save_pretrained
from segdiff.artifacts.members import EnsembleArtifact, save_ensemble
from segdiff.errors import ArtifactError, MissingError


@pytest.fixture
def folder(tmp_path):
    return save_artifact(make_artifact(), tmp_path / "model")


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """A hub that has one model, nuclei of somebody; what it is asked is kept."""
    asked = []

    def download(name, **options):
        asked.append((name, options))
        if name != "somebody/nuclei":
            raise LocalEntryNotFoundError("not in the cache")
        return str(tmp_path / "cache")

    save_artifact(make_artifact(), tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return asked


def test_a_folder_is_a_name(folder, asked):
    same = from_pretrained(folder).segmenter.state_dict()
    assert all(torch.equal(value, same[name]) for name, value in make_artifact().segmenter.state_dict().items())
    assert asked == []


def test_a_repository_is_a_name_and_only_the_files_of_a_model_are_fetched(asked):
    assert from_pretrained("somebody/nuclei", revision="v1").sampling == make_artifact().sampling
    ((name, options),) = asked
    assert name == "somebody/nuclei" and options["revision"] == "v1"
    assert options["allow_patterns"] == FETCHED and options["ignore_patterns"] == NOT_FETCHED


def test_the_files_of_members_are_fetched_and_nothing_else():
    from huggingface_hub.utils import filter_repo_objects

    there = ["model.safetensors", "fine/config.yaml", "fine/README.md"]
    others = ["code.py", "fine/weights.pt", "fine/code.py", "checkpoints/last/model.safetensors"]
    found = filter_repo_objects(there + others, allow_patterns=FETCHED, ignore_patterns=NOT_FETCHED)
    assert list(found) == there


def test_saving_by_the_hubs_word(tmp_path):
    assert from_pretrained(save_pretrained(make_artifact(), tmp_path / "m")).sampling == make_artifact().sampling


@pytest.mark.parametrize("name", ["nuclie", "./nuclei", "/nowhere/nuclei", "a/b/c", "known/nuclei", "~/nuclei", ""])
def test_what_looks_like_a_path_is_not_sent_to_the_hub(name, asked, tmp_path, monkeypatch):
    (tmp_path / "known").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingError):
        from_pretrained(name)
    assert asked == []


def test_a_repository_that_cannot_be_had_is_a_line(asked):
    with pytest.raises(MissingError, match="somebody/else.*offline") as error:
        locate("somebody/else")
    assert "\n" not in str(error.value)


def test_offline_is_honoured(tmp_path, monkeypatch):
    """The hub's own library, without a network and with an empty cache: an answer at once."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingError, match="no model folder somebody/nuclei, and the hub was not asked"):
        locate("somebody/nuclei")


class Api:
    """What of `HfApi` is used; `refused` makes it refuse."""

    refused = False
    uploaded: list = []

    def __init__(self, token=None):
        pass

    def create_repo(self, name, private, exist_ok):
        if self.refused:
            raise OSError("403 Forbidden\nmore")

    def upload_folder(self, *, repo_id, folder_path, allow_patterns, commit_message):
        self.uploaded.append((repo_id, folder_path, allow_patterns))
        return type("Commit", (), {"commit_url": f"hub/{repo_id}"})()


def test_uploading(folder, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(Api, "uploaded", [])
    assert push_to_hub(folder, "somebody/nuclei") == "hub/somebody/nuclei"
    assert Api.uploaded == [("somebody/nuclei", folder, FILES)]
    with pytest.raises(ArtifactError, match="owner/name"):
        push_to_hub(folder, "nuclei")
    monkeypatch.setattr(Api, "refused", True)
    with pytest.raises(ArtifactError, match="somebody/nuclei was not uploaded: 403 Forbidden"):
        push_to_hub(folder, "somebody/nuclei")


def test_of_an_ensemble_its_members_are_uploaded_and_nothing_else(tmp_path, monkeypatch):
    pair = save_ensemble(EnsembleArtifact({"a": make_artifact(), "b": make_artifact(seed=1)}), tmp_path / "pair")
    shutil.copytree(pair / "a", pair / "notes")
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(Api, "uploaded", [])
    push_to_hub(pair, "somebody/pair")
    ((_, _, patterns),) = Api.uploaded
    assert {"config.yaml", "a/model.safetensors", "b/README.md"} <= set(patterns) and len(patterns) == 3 * len(FILES)


def test_what_cannot_be_loaded_is_not_uploaded(folder, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(Api, "uploaded", [])
    shutil.copy(folder / "config.yaml", folder / "model.safetensors")
    with pytest.raises(ArtifactError):
        push_to_hub(folder, "somebody/nuclei")
    assert Api.uploaded == []
