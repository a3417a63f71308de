"""Files that mean harm, or are of another time: refused in a line, and nothing in them is ever run."""

import io
import json
import pickle
import struct
import zipfile

import pytest
import torch
import yaml
from fakes import TINY_MODEL, change_config, make_artifact
from safetensors.torch import save_file

from segdiff.artifacts.folder import load_artifact
from segdiff.cli.main import main
from segdiff.data.augment import build_augmentation
from segdiff.errors import ArtifactError, ConfigError, UserError
from segdiff.models.build import build_segmenter
from segdiff.training.checkpoint import load_checkpoint
from segdiff.workflows.load import load_predictor

DOTTED = ["os.system", "builtins.eval", "torch.nn.Linear", "segdiff.models.segdiff.SegDiff", "__import__('os').system"]
TAGS = [
    "!!python/object/apply:builtins.open ['{trap}', 'w']",
    "!!python/object/new:builtins.open ['{trap}', 'w']",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object:segdiff.artifacts.folder.Artifact {{}}",
    "!trap {{}}",
]


class Hostile:
    def __init__(self, trap):
        self.trap = trap

    def __reduce__(self):
        return open, (str(self.trap), "w")


@pytest.fixture
def trap(tmp_path):
    """A file that hostile content would make, were it run."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists()


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("key", ["format_version", "model", "training"])
def test_yaml_tags(folder, trap, tag, key):
    lines = (folder / "config.yaml").read_text()
    rest = yaml.safe_load(lines)
    del rest[key]
    (folder / "config.yaml").write_text(f"{key}: {tag.format(trap=trap)}\n" + yaml.safe_dump(rest))
    with pytest.raises(ArtifactError, match="not plain YAML") as error:
        load_artifact(folder)
    assert "\n" not in str(error.value)


def test_yaml_references_that_swell(folder):
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (folder / "config.yaml").write_text("\n".join(levels))
    with pytest.raises(ArtifactError, match="a reference"):
        load_artifact(folder)


def test_yaml_without_end_of_depth(folder):
    (folder / "config.yaml").write_text("format_version: " + "[" * 20_000)
    with pytest.raises(ArtifactError, match="not plain YAML"):
        load_artifact(folder)


@pytest.mark.parametrize("dotted", DOTTED)
def test_dotted_paths_are_only_words(folder, dotted):
    """Wherever a name chooses something it is looked up in a table."""
    whole = yaml.safe_load((folder / "config.yaml").read_text())
    places = [
        {"model": {**whole["model"], "kind": dotted}},
        {"model": {**whole["model"], "_target_": dotted}},
        {"model": {**whole["model"], "channels": dotted}},
        {"diffusion": {**whole["diffusion"], "schedule": dotted}},
        {"diffusion": {**whole["diffusion"], "prediction": dotted}},
        {"normalisation": {**whole["normalisation"], "kind": dotted}},
        {"sampling": {**whole["sampling"], "sampler": dotted}},
        {"sampling": {**whole["sampling"], "times": dotted}},
        {"inference": {**whole["inference"], "weights": dotted}},
        {"_target_": dotted},
    ]
    for values in places:
        (folder / "config.yaml").write_text(yaml.safe_dump(whole))
        change_config(folder, **values)
        with pytest.raises(UserError) as error:
            load_predictor(folder, device="cpu")
        assert "\n" not in str(error.value)
    with pytest.raises(ConfigError):
        build_augmentation({"_target_": dotted})
    with pytest.raises(ConfigError):
        build_segmenter({**TINY_MODEL, "kind": dotted}, whole["diffusion"])


def hostile_files(trap):
    """The same trap as a bare pickle, in torch's old form and in its zip form."""
    payload = pickle.dumps({"step": 1, "model": Hostile(trap)})
    bare, legacy, zipped = io.BytesIO(payload), io.BytesIO(), io.BytesIO()
    torch.save({"step": Hostile(trap)}, legacy, _use_new_zipfile_serialization=False)
    torch.save({"step": Hostile(trap)}, zipped)
    trap.unlink(missing_ok=True)
    return {"bare": bare.getvalue(), "legacy": legacy.getvalue(), "zip": zipped.getvalue()}


@pytest.mark.parametrize("form", ["bare", "legacy", "zip"])
def test_pickles(folder, trap, form, tmp_path, capsys):
    content = hostile_files(trap)[form]
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError, match="does not fit"):
        load_artifact(folder)
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(UserError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "last.pt")
    argv = ["import-official", str(tmp_path / "last.pt"), "--preset", "monuseg", "--out", str(tmp_path / "out")]
    assert main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "last.pt" in line and not (tmp_path / "out").exists()


def test_other_files_of_a_folder_are_never_read(folder, trap):
    for name in ("pytorch_model.bin", "model.pt", "model.pkl"):
        (folder / name).write_bytes(hostile_files(trap)["bare"])
    (folder / "segdiff.py").write_text(f"open({str(trap)!r}, 'w')")
    (folder / "__init__.py").write_text(f"open({str(trap)!r}, 'w')")
    load_artifact(folder)


def test_a_header_of_tensors_that_lies(folder):
    size = (folder / "model.safetensors").stat().st_size
    headers = [
        {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, size * 2]}},
        {"a": {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4]}},
    ]
    for header in headers:
        text = json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 16)
        with pytest.raises(ArtifactError, match="does not fit"):
            load_artifact(folder)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**60))
    with pytest.raises(ArtifactError, match="does not fit"):
        load_artifact(folder)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"channels": 10**9}, "model.channels=1000000000: 1 to"),
        ({"channels": 0}, "model.channels=0: 1 to"),
        ({"channels": -8}, "model.channels=-8"),
        ({"rrdb_blocks": 10**9}, "model.rrdb_blocks"),
        ({"channel_mult": [1] * 40}, "40 levels"),
        ({"channel_mult": [1, 10**6]}, "model.channel_mult=1000000"),
        ({"channels": 4096, "channel_mult": [1, 4, 16, 64], "norm_groups": 1}, "GB of memory"),
        ({"dropout": float("nan")}, "finite number"),
        ({"dropout": 1.5}, "model.dropout"),
    ],
)
def test_sizes_that_would_take_the_machine(folder, values, said):
    change_config(folder, model={**TINY_MODEL, **values})
    with pytest.raises(ArtifactError, match=said):
        load_artifact(folder)


def test_a_zip_of_nothing_is_no_checkpoint(tmp_path):
    with zipfile.ZipFile(tmp_path / "last.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"step": 1}))
    with pytest.raises(UserError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "last.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="not a checkpoint of segdiff training"):
        load_checkpoint(tmp_path / "list.pt")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (3, "this segdiff reads 2: update segdiff"),
        (0, "never was"),
        (-1, "never was"),
        ("1", "never was"),
        (1.0, "never was"),
        (True, "never was"),
        (None, "never was"),
    ],
)
def test_format_versions(folder, version, said):
    change_config(folder, format_version=version)
    with pytest.raises(ArtifactError, match=said):
        load_artifact(folder)


def test_types_of_numbers_that_are_not_those_of_the_network(folder):
    wanted = make_artifact().segmenter.state_dict()
    save_file({name: value.double() for name, value in wanted.items()}, folder / "model.safetensors")
    loaded = load_artifact(folder).segmenter.state_dict()
    assert all(value.dtype == wanted[name].dtype for name, value in loaded.items())


@pytest.mark.parametrize(
    "values",
    [
        {"inference": {"window": 32, "overlap": "a", "weights": "gaussian", "threshold": 0.5}},
        {"inference": {"window": "big", "overlap": 0.2, "weights": "gaussian", "threshold": 0.5}},
        {"inference": {"window": 32, "overlap": 0.2, "weights": "gaussian", "threshold": 0.5, "grid": 5}},
        {"model": None},
        {"model": {"kind": ["x"]}},
        {"diffusion": 3},
        {"scale": {"mpp": "x", "object_diameter_px": None}},
        {"scale": {"mpp": 0, "object_diameter_px": None}},
        {"scale": {"mpp": float("nan"), "object_diameter_px": None}},
    ],
)
def test_values_of_other_types(folder, values):
    change_config(folder, **values)
    with pytest.raises(UserError):
        load_predictor(folder, device="cpu")
