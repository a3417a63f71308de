"""`segdiff import-official`: a checkpoint of the published code becomes a model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segdiff.cli.options import Parser
from segdiff.errors import ConfigError

PROG = "segdiff import-official"
# As segdiff.workflows.import_official knows them (a test compares): importing it would import torch.
PRESETS = ("monuseg", "vaihingen", "cityscapes")


def build_parser() -> Parser:
    """Build the parser of its options."""
    parser = Parser(
        prog=PROG,
        description="Make a model folder of a checkpoint of the published SegDiff code.",
        epilog="The network is read from the tensors; steps, schedule, variance and clipping from args.json beside\n"
        "the checkpoint, where it is; all else is that of experiment=published_PRESET (conf/experiment).",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="ema*.pt or model*.pt: a bare state dict")
    parser.add_argument("--preset", required=True, choices=PRESETS, help="the data set it was trained on")
    parser.add_argument("--out", required=True, metavar="DIR", help="the model folder to make")
    parser.add_argument("--args", metavar="FILE", help="args.json, if it does not lie beside the checkpoint")
    parser.add_argument("--overwrite", action="store_true", help="replace the model folder that is there")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when the folder is there."""
    args = build_parser().parse(argv)
    out = Path(args.out)
    if out.exists() and not args.overwrite:
        raise ConfigError(f"{out} exists: choose another --out, or --overwrite")

    from segdiff.artifacts.folder import save_artifact
    from segdiff.training.configs import compose
    from segdiff.workflows.import_official import import_official

    experiment = f"published_{args.preset}"
    config = compose([f"experiment={experiment}", "dataset.root=unused"])
    artifact, notes = import_official(args.checkpoint, config, experiment, args.args)
    save_artifact(artifact, out)
    parameters = sum(p.numel() for p in artifact.segmenter.parameters())
    sampling = artifact.sampling
    print(
        f"{args.checkpoint}: {parameters:,} parameters; {sampling.sampler} over "
        f"{len(sampling.visited(artifact.diffusion['steps']))} of {artifact.diffusion['steps']} steps, "
        f"variance {sampling.variance}, {'clipped' if sampling.clip else 'unclipped'}, {sampling.chains} chains"
    )
    for note in notes:
        print(f"note: {note}")
    print(f"model: {out}")
    return 0
