"""A look at a data set: what is found, and what not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fakes import picture
from made import make_cityscapes, make_vaihingen
from PIL import Image

from segdiff.cli.main import main
from segdiff.errors import ConfigError
from segdiff.workflows.check.look import check_data

NUCLEI = Path(__file__).resolve().parents[2] / "examples" / "nuclei"


@pytest.fixture
def root(tmp_path):
    """Six pictures to train and two to validate, each with a disc."""
    rows, columns = np.mgrid[:40, :50]
    for number in range(8):
        folder = tmp_path / ("train" if number < 6 else "val")
        disc = (rows - 15 - number) ** 2 + (columns - 20 - number) ** 2 < 64
        write(folder / "images" / f"p{number}.png", picture(40, 50, seed=number))
        write(folder / "masks" / f"p{number}.png", disc.astype(np.uint8) * 255)
    return tmp_path


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def change_mask(root, number, change):
    path = root / "train" / "masks" / f"p{number}.png"
    write(path, change(np.array(Image.open(path))))


def said(report, severity):
    return [finding.line() for finding in report.findings if finding.severity == severity]


def test_nothing_is_wrong_with_good_data(root):
    report = check_data("folder", root, mpp=0.5)
    assert not report.breaks_training and said(report, "warning") == []
    assert said(report, "note") == ["note: no split test"]
    train = report.splits["train"]
    assert train["images"] == 6 and train["sizes"]["median"] == [40, 50] and train["unreadable"] == 0
    assert train["objects"]["count"] == 6 and 15 < train["objects"]["median_diameter_px"] < 17
    assert train["objects"]["median_diameter_um"] == pytest.approx(train["objects"]["median_diameter_px"] / 2, abs=0.1)
    assert train["foreground"]["median"] == pytest.approx(0.1, abs=0.01)
    assert (train["channels"], train["types"], train["formats"]) == ({"3": 6}, {"uint8": 6}, {".png": 6})
    assert report.sheet.dtype == np.uint8 and report.sheet.shape[2] == 3
    assert json.loads(json.dumps(report.content()))["splits"]["val"]["images"] == 2


def test_every_file_without_partner_is_listed_and_the_others_are_looked_at(root):
    for number in (0, 3):
        (root / "train" / "masks" / f"p{number}.png").unlink()
    write(root / "train" / "masks" / "stray.png", np.zeros((40, 50), np.uint8))
    report = check_data("folder", root)
    (line,) = said(report, "error")
    assert all(name in line for name in ("p0.png", "p3.png", "stray.png", "3 file(s)"))
    assert report.splits["train"]["images"] == 4 and report.breaks_training


def test_every_unusable_image_is_listed(root):
    path = root / "train" / "images" / "p1.png"
    path.write_bytes(path.read_bytes()[:200])
    change_mask(root, 2, lambda mask: mask[1:])
    report = check_data("folder", root)
    (line,) = said(report, "error")
    assert "2 of 6 images cannot be used" in line and "p1.png" in line and "39 x 50" in line
    assert report.splits["train"]["images"] == 4 and report.splits["train"]["unreadable"] == 2


def test_masks_that_look_wrong(root):
    change_mask(root, 0, lambda mask: 255 - mask)
    change_mask(root, 1, lambda mask: mask // 255)
    change_mask(root, 2, np.zeros_like)
    change_mask(root, 3, lambda mask: np.full_like(mask, 255))
    change_mask(root, 4, lambda mask: np.where(mask > 0, np.arange(50, dtype=np.uint8), 0))
    report = check_data("folder", root)
    warnings, notes = said(report, "warning"), said(report, "note")
    assert any("1 of 6 masks look inverted" in line and "p0" in line for line in warnings)
    assert any("1 of 6 masks are object everywhere: p3" in line for line in warnings)
    assert any("1 of 6 masks hold 0 and 1" in line for line in notes)
    assert any("1 of 6 masks are empty: p2" in line for line in notes)
    assert any("1 of 6 masks hold several values, read as numbered objects" in line for line in notes)
    assert not report.breaks_training


def test_what_nothing_can_be_learned_from_is_an_error(root, capsys):
    for number in range(6):
        change_mask(root, number, np.zeros_like)
    assert said(check_data("folder", root), "error")[0].startswith("error: train: every mask is empty")
    run = root / "run"
    assert main(["train", "dataset=folder", f"dataset.root={root}", "model=segdiff_tiny", f"run.dir={run}"]) == 2
    assert "every mask is empty" in capsys.readouterr().err


def test_specks(root):
    def dotted(mask):
        mask[::4, ::4] = 255
        return mask

    change_mask(root, 5, dotted)
    (line,) = said(check_data("folder", root), "warning")
    assert "have 3 pixels or fewer: p5" in line


def test_a_picture_in_two_splits(root):
    image = np.array(Image.open(root / "train" / "images" / "p2.png"))
    write(root / "val" / "images" / "p6.png", image)
    write(root / "val" / "images" / "p7.png", np.array(Image.open(root / "train" / "images" / "p1.png"))[::-1])
    (line,) = said(check_data("folder", root), "warning")
    assert "2 pair(s) of the same picture in different splits, 1 to the last bit" in line
    assert "train/p2 = val/p6" in line and "train/p1 = val/p7 (nearly)" in line


def test_a_mask_under_two_names_and_a_mask_that_is_the_picture(root):
    shutil.copy(root / "train" / "masks" / "p0.png", root / "train" / "masks" / "p1.png")
    shutil.copy(root / "train" / "images" / "p3.png", root / "train" / "masks" / "p3.png")
    report = check_data("folder", root)
    assert any("have the same mask: train/p0 = train/p1" in line for line in said(report, "warning"))
    assert any("p3: its mask is the very picture" in line for line in said(report, "error"))


def test_every_mask_inverted_breaks_training(root, tmp_path, capsys):
    for number in range(6):
        change_mask(root, number, lambda mask: 255 - mask)
    assert "6 of 6 masks look inverted" in said(check_data("folder", root), "error")[0]
    data = ["--dataset", "folder", "--root", str(root)]
    assert main(["check-data", *data]) == 2
    assert main(["train", "dataset=folder", f"dataset.root={root}", "model=segdiff_tiny", f"run.dir={tmp_path}/r"]) == 2
    assert "6 of 6 masks look inverted" in capsys.readouterr().err
    folders = [str(root / "train" / "masks"), str(tmp_path / "pred")]
    shutil.copytree(*folders)
    pair = ["--pred", folders[1], "--truth", folders[0]]
    assert main(["score", *pair]) == 2
    assert "truths: 6 of 6 masks look inverted" in capsys.readouterr().err
    assert main(["score", *pair, "--no-check"]) == 0
    assert "warning: truths: 6 of 6 masks look inverted" in capsys.readouterr().err


def test_large_objects_are_not_inverted(root):
    def most(mask):  # background that reaches the border, or holes in numbered objects
        mask[:] = 255
        mask[:9, :40] = 0
        return mask

    for number in range(6):
        change_mask(root, number, most)
    report = check_data("folder", root)
    assert not report.breaks_training and not any("inverted" in line for line in said(report, "warning"))


def test_different_kinds_of_images_are_noted(root):
    grey = np.array(Image.open(root / "train" / "images" / "p4.png").convert("L"))
    write(root / "train" / "images" / "p4.png", grey)
    assert any("channels: 3 (5), 1 (1): p4" in line for line in said(check_data("folder", root), "note"))


def test_a_folder_that_is_none(tmp_path):
    report = check_data("folder", tmp_path / "gone")
    assert len(report.findings) == 1 and report.breaks_training and report.sheet is None
    with pytest.raises(ConfigError):
        check_data("folder", tmp_path, folds=1)


@pytest.mark.parametrize(("kind", "make"), [("vaihingen", make_vaihingen), ("cityscapes", make_cityscapes)])
def test_data_without_a_file_an_image(kind, make, tmp_path):
    make(tmp_path)
    report = check_data(kind, tmp_path)
    assert set(report.splits) == {"train", "val", "test"} and not report.breaks_training


def test_command(root, tmp_path, capsys):
    sheet, told = tmp_path / "sheet.png", tmp_path / "told.json"
    command = ["check-data", "--dataset", "folder", "--root", str(root)]
    assert main([*command, "--sheet", str(sheet), "--json", str(told)]) == 0
    out = capsys.readouterr().out
    assert "train: 6 image(s) of 40 x 50" in out and "nothing that would break training" in out
    with Image.open(sheet) as picture_of_all:
        assert picture_of_all.size[0] > 500
    assert json.loads(told.read_text())["findings"]
    (root / "train" / "masks" / "p0.png").unlink()
    assert main([*command, "--split", "train"]) == 2
    assert "p0.png" in capsys.readouterr().out
    assert main(["check-data", "--dataset", "monusge", "--root", str(root)]) == 2


def test_shipped_pictures_are_in_order():
    report = check_data("folder", NUCLEI)
    assert said(report, "warning") == said(report, "error") == []


def test_monuseg_is_in_order(shared_data):
    report = check_data("monuseg", shared_data / "data" / "monuseg", splits=["val"])
    assert said(report, "warning") == said(report, "error") == []
    assert report.splits["val"]["objects"]["median_diameter_um"] == pytest.approx(4.5, abs=0.5)
