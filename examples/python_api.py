"""What a trained model says of a picture, and how sure it is.

python examples/python_api.py runs/demo/model picture.png         after `make demo`
"""

import sys
from pathlib import Path

import numpy as np

import segdiff


def main(model: str, picture: str, output: str = "out") -> None:
    predictor = segdiff.load(model)
    image = segdiff.read_image(picture)  # (H, W) or (H, W, C), of any type that pictures have

    # The model's own sampling. Several chains start from different noise; their mean is the probability.
    prediction = predictor.predict(image)
    print(f"{image.shape}: {prediction.mask.mean():.1%} object by {prediction.sampling.chains} chains")

    # Where the chains disagree, look twice.
    probability, deviation = prediction.probability, prediction.uncertainty
    row, column = np.unravel_index(deviation.argmax(), deviation.shape)
    print(f"least sure at row {row}, column {column}: {probability[row, column]:.2f} +- {deviation.max():.2f}")

    # More chains cost little, since the picture is encoded once; the first ones stay what they were.
    more = predictor.predict(image, chains=16, keep_chains=True)
    areas = (more.chains > predictor.inference.threshold).mean(axis=(1, 2))
    print(f"area by chain: {areas.min():.1%} to {areas.max():.1%}")

    # The same seed gives the same answer to rounding (1e-7 in float32, 1e-3 in bf16), whatever the batches or order.
    again = predictor.predict(image, seed=0, batch_size=1)
    print(f"largest difference of a second run: {np.abs(again.probability - prediction.probability).max():.1e}")

    # Objects here are twice as large as those the model was trained on: halve the picture for the network.
    half = predictor.predict(image, scale=0.5)
    print(f"at half the scale: {half.mask.mean():.1%} object, still {half.mask.shape}")

    # A picture that does not fit memory: hand in anything with a shape that takes slices, and a place for results.
    Path(output).mkdir(exist_ok=True)
    np.save(Path(output) / "picture.npy", image)
    on_disk = predictor.predict(np.load(Path(output) / "picture.npy", mmap_mode="r"))
    print(f"from disk the same: {np.array_equal(on_disk.mask, prediction.mask)}")

    for path in segdiff.save_prediction(prediction, output, "picture", image=image, overwrite=True).values():
        print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
