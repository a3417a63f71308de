"""Train on a folder of images and masks, score the model on the held-out images, segment one of them.

    python examples/train_on_a_folder.py                                      examples/nuclei, a minute or two
    python examples/train_on_a_folder.py my_data runs/mine trainer.max_minutes=10

The folder holds images/ and masks/ with the same names (docs/datasets.md has the other layouts). Further words are
settings, as on the command line. Run it again and it goes on where it stopped.
"""

import csv
import json
import sys
from pathlib import Path

import segdiff
from segdiff.data.datasets import build_dataset
from segdiff.data.images import read_image
from segdiff.data.protocols import get_protocol
from segdiff.workflows.evaluate import evaluate
from segdiff.workflows.outputs import save_prediction

NUCLEI = Path(__file__).parent / "nuclei"


def main(data: str = str(NUCLEI), folder: str = "runs/example", *settings: str) -> None:
    # The settings of `make demo`: small crops, 300 steps. For a real task leave out
    # experiment=demo, and take more time.
    result = segdiff.train(
        "experiment=demo", "dataset=folder", f"dataset.root={data}", "resume=auto", *settings, folder=folder
    )
    with (Path(folder) / "metrics.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    print(f"loss: {losses[0]:.3f} at first, {losses[-1]:.3f} in the end; all curves: {folder}/curves.png")

    predictor = segdiff.load(result["model"])
    held_out = build_dataset("folder", data, "val")
    scores = evaluate(predictor, held_out, get_protocol("native", "folder"))
    for row in scores["per_image"]:
        print(f"{row['name']}: Dice {row['dice']:.3f}")
    (Path(folder) / "scores.json").write_text(json.dumps(scores, indent=2))

    image_path, _ = held_out.files(0)
    image = read_image(image_path)
    prediction = predictor.predict(image)
    paths = save_prediction(prediction, Path(folder) / "prediction", image_path.stem, image=image, overwrite=True)
    print("\n".join(str(path) for path in paths.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
