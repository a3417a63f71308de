"""The programs in examples/, run as a reader would."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def run(folder, name, *arguments):
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "examples" / name), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "SEGDIFF_DEBUG": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_train_on_a_folder_and_what_the_model_says(tmp_path):
    nuclei = REPOSITORY / "examples" / "nuclei"
    settings = ["trainer.max_steps=60", "trainer.batch_size=4", "augmentation.crop=64", "sampling.chains=3"]
    said = run(tmp_path, "train_on_a_folder.py", nuclei, "mine", *settings)
    assert "loss: " in said and said.count(": Dice 0.") == 3  # of two images, and what the training says of them
    assert (tmp_path / "mine" / "model" / "model.safetensors").is_file()
    assert len(list((tmp_path / "mine" / "prediction").glob("*_mask.png"))) == 1
    again = run(tmp_path, "train_on_a_folder.py", nuclei, "mine", *settings)
    assert "mine is finished, at step 60" in again

    (picture,) = (nuclei / "val" / "images").glob("a31*.png")
    said = run(tmp_path, "python_api.py", "mine/model", picture)
    assert "(256, 320, 3): " in said and "by 3 chains" in said and "from disk the same: True" in said
    assert (tmp_path / "out" / "picture_uncertainty.tif").is_file()


def test_no_program_is_left_out():
    tested = Path(__file__).read_text()
    assert all(f'"{path.name}"' in tested for path in (REPOSITORY / "examples").glob("*.py"))
