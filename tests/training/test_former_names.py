"""Former names of settings are taken with a note, and runs that were begun under them go on."""

import pytest
import torch
import yaml
from small_runs import TINY, assert_same_run, config, quiet

from segdiff.cli.main import main
from segdiff.errors import ConfigError
from segdiff.training.checkpoint import load_checkpoint
from segdiff.training.configs import compose, conf_folder
from segdiff.training.former_names import CHOICES, MOVED, rename_overrides, rename_settings
from segdiff.training.identity import run_identity
from segdiff.training.run import run_training


@pytest.mark.parametrize("former", MOVED)
@pytest.mark.parametrize("change", ["", "+", "++"])
def test_an_override_is_renamed_with_a_note(former, change):
    notes = []
    given = ["-m", f"{change}{former}=a,b=c", "seed=1", f"run.name={former}"]
    renamed = rename_overrides(given, notes.append)
    assert renamed == ["-m", f"{change}{MOVED[former]}=a,b=c", "seed=1", f"run.name={former}"]
    assert notes == [f"{former} is now {MOVED[former]}"]


def test_a_choice_is_renamed_with_a_note():
    notes = []
    given = ["augmentation=paper", "-m", "augmentation=paper_small,none", "run.name=paper", "trainer=paper"]
    renamed = ["augmentation=published", "-m", "augmentation=published_small,none", *given[3:]]
    assert rename_overrides(given, notes.append) == renamed
    assert notes == [
        "augmentation=paper is now augmentation=published",
        "augmentation=paper_small is now augmentation=published_small",
    ]
    for group, names in CHOICES.items():
        for former, now in names.items():
            assert not (conf_folder() / group / f"{former}.yaml").exists()
            assert (conf_folder() / group / f"{now}.yaml").is_file()


def test_new_names_are_left_as_they_are():
    notes = []
    given = [*(f"{now}=x" for now in MOVED.values()), "model.initial=3", "model=fast", "~model.init2", "a=b=c,d", "x"]
    assert rename_overrides(given, notes.append) == given and not notes


@pytest.mark.parametrize("former", MOVED)
def test_both_names_compose_the_same(former):
    notes = []
    group, key = MOVED[former].split(".")
    base = ["dataset.root=x", "model=smp"]
    old, new = compose([*base, f"{former}=y"], notes.append), compose([*base, f"{MOVED[former]}=y"], notes.append)
    assert old == new and old[group][key] == "y" and len(notes) == 1


def test_a_former_name_that_is_null_undoes_what_an_experiment_chose():
    chosen = ["dataset.root=x", "experiment=finetune"]
    assert compose(chosen)["trainer"]["init_from"] == "nuclei"
    assert compose([*chosen, "model.init=null"], quiet)["trainer"]["init_from"] is None


def test_settings_of_files_are_moved():
    notes = []
    given = {"model": {"kind": "fast", "init": "nuclei", "encoder_weights": None}, "seed": 0}
    moved = rename_settings(given, notes.append)
    assert moved == {"model": {"kind": "fast"}, "trainer": {"init_from": "nuclei"}, "seed": 0}
    assert notes == ["model.init is now trainer.init_from"] and given["model"]["init"] == "nuclei"
    assert rename_settings(moved) == moved
    with pytest.raises(ConfigError, match=r"model.init=nuclei and trainer.init_from=other: these are one setting"):
        rename_settings({**given, "trainer": {"init_from": "other"}})


def test_the_command_line_takes_a_former_name(tmp_path, monkeypatch, capsys, pictures, whole):
    monkeypatch.chdir(tmp_path)
    overrides = [*TINY, f"dataset.root={pictures}", "run.name=a", "diffusion=x_0", "sampling.steps=2"]
    code = main(["train", *overrides, f"model.init={whole[1]['model']}"])
    assert code == 0 and capsys.readouterr().err.count("note: model.init is now trainer.init_from") == 1
    recorded = yaml.safe_load((tmp_path / "runs" / "a" / "config.yaml").read_text())
    assert recorded["trainer"]["init_from"] == whole[1]["model"] and "init" not in recorded["model"]


def as_before(folder, former):
    """Turn a run into one that was begun when the settings bore their former names: the record and the checkpoints."""
    recorded = yaml.safe_load((folder / "config.yaml").read_text())
    old = {**recorded, "model": {**recorded["model"], **former}, "trainer": dict(recorded["trainer"])}
    for now in MOVED.values():
        old["trainer"].pop(now.partition(".")[2], None)
    (folder / "config.yaml").write_text(yaml.safe_dump(old, sort_keys=False))
    for path in (folder / "checkpoints").glob("*.pt"):
        saved = load_checkpoint(path)
        assert saved["identity"] == run_identity(recorded)
        torch.save({**saved, "identity": run_identity(old)}, path)
    return run_identity(old)


@pytest.mark.parametrize("goes_on", [False, True])
def test_rule_3_a_run_of_before_is_gone_on_with(pictures, whole, tmp_path, goes_on):
    """Bit for bit, under the identity that it has; also a third and a fourth time."""
    start = {"init_from": whole[1]["model"]} if goes_on else {}
    settings = config(pictures, **start)
    reference = tmp_path / "reference"
    run_training(settings, reference, say=quiet)
    cut = tmp_path / "cut"
    run_training(config(pictures, **start, max_minutes=0), cut, say=quiet)
    identity = as_before(cut, {"init": whole[1]["model"] if goes_on else None, "encoder_weights": None})
    assert identity != run_identity(settings)
    for minutes in (0, None, None):
        run_training({**config(pictures, **start, max_minutes=minutes), "resume": "auto"}, cut, say=quiet)
        recorded = yaml.safe_load((cut / "config.yaml").read_text())
        assert run_identity(recorded) == load_checkpoint(cut / "checkpoints" / "last.pt")["identity"] == identity
        assert recorded["trainer"]["max_minutes"] == minutes and recorded["resume"] == "auto"
    assert_same_run(reference, cut)
    with pytest.raises(ConfigError, match=r"other settings \(optimizer.lr=0.002 there, 0.5 here\)"):
        run_training({**settings, "optimizer": {**settings["optimizer"], "lr": 0.5}, "resume": "auto"}, cut, say=quiet)


def test_a_setting_that_came_later_has_its_default(pictures, tmp_path):
    """A configuration that names a default is that of the run which did not; one that names another value is not."""
    folder = tmp_path / "run"
    run_training(config(pictures, max_minutes=0), folder, say=quiet)
    for group, key, default, other in (
        ("trainer", "patience", None, 3),
        ("optimizer", "betas", [0.9, 0.999], [0.8, 0.999]),
        ("sampling", "views", 1, 2),
        ("inference", "temperature", 1.0, 2.0),
        ("diffusion", "noise_draws", 1, 2),
        ("augmentation", "rotation", 0, 5),
    ):
        settings = {**config(pictures, max_minutes=0), "resume": "auto"}
        settings[group] = {**settings[group], key: other}
        with pytest.raises(ConfigError, match=rf"{group}.{key}=.* there, .* here\)"):
            run_training(settings, folder, say=quiet)
        settings[group] = {**settings[group], key: default}
        said = []
        run_training(settings, folder, say=said.append)
        assert any(line.startswith("going on with") or "is finished" in line for line in said)


def test_named_mask_channels_are_a_target(pictures, tmp_path):
    notes = []
    base = [*TINY, f"dataset.root={pictures}"]
    old = compose([*base, "model.mask_channels=2", "inference.channels=[mask, core]"], notes.append)
    assert old["target"] == {"kind": "instances"} and "channels" not in old["inference"]
    assert len(notes) == 2 and "inference.channels=[mask, core] is now target=instances" in notes
    assert rename_settings(old) == compose([*base, "target=instances"])
    assert rename_settings(compose([*base, "inference.channels=[mask]"], notes.append)) == compose(base)
    # A number of channels that is not the target's is no longer silently another thing than was asked for.
    with pytest.raises(ConfigError, match="mask_channels=2 does not go with target=mask, which has 1"):
        run_training(compose([*base, "model.mask_channels=2"], quiet), tmp_path, say=quiet)
    for wrong in ("[core]", "[core,mask]", "[mask,edge]", "[]"):
        with pytest.raises(ConfigError, match=r"\[mask, core\]"):
            compose([*base, f"inference.channels={wrong}"], quiet)


def test_a_run_of_before_there_were_targets_goes_on(pictures, tmp_path):
    settings = {**config(pictures, max_steps=4), "target": {"kind": "instances"}}
    whole = run_training(settings, tmp_path / "whole", say=quiet)
    cut = run_training(settings | {"trainer": {**settings["trainer"], "max_minutes": 0}}, tmp_path / "cut", say=quiet)
    assert whole["finished"] and not cut["finished"]
    # As the run's folder was written then: its checkpoint bears the hash of that configuration.
    record = tmp_path / "cut" / "config.yaml"
    old = yaml.safe_load(record.read_text())
    del old["target"]
    old["model"]["mask_channels"], old["inference"]["channels"] = 2, ["mask", "core"]
    record.write_text(yaml.safe_dump(old, sort_keys=False))
    for path in (tmp_path / "cut" / "checkpoints").glob("*.pt"):
        torch.save({**torch.load(path, weights_only=True), "identity": run_identity(old)}, path)
    run_training({**settings, "resume": "auto"}, tmp_path / "cut", say=quiet)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    other = config(pictures, max_steps=4)
    with pytest.raises(ConfigError, match="target.kind=instances there, mask here"):
        run_training({**other, "resume": "auto"}, tmp_path / "cut", say=quiet)
