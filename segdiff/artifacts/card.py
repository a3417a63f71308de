"""The model card: the README of a model folder, in the form that model hubs read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Facts with a place of their own in the card; others are listed.
PLACED = ("name", "license", "summary", "scores", "recipe", "limits", "pictures")


def model_card(facts: Mapping[str, Any], scale: Mapping[str, Any] | None = None, members: Sequence[str] = ()) -> str:
    """The text of the card.

    Args:
        facts: of an artifact's `training`; all may lack. "name"; "license", an identifier of the hub; "summary", a
            sentence; "scores", a list of {"on", "protocol", "images", "values": {metric: mean}, "intervals": {metric:
            [low, high]}, "command"}; "recipe", a list of commands; "limits", a list of sentences; "pictures", a list of
            {"file", "text"}. Any other is told as it is.
        scale: micrometres per pixel and object diameter that the model was trained at.
        members: of an ensemble: the folders of its models, which have cards of their own.
    """
    name = facts.get("name")
    lines = ["---", "library_name: segdiff", "pipeline_tag: image-segmentation"]
    if facts.get("license"):
        lines.append(f"license: {facts['license']}")
    lines += ["---", "", f"# {name or 'A segdiff model'}", ""]
    if facts.get("summary"):
        lines += [str(facts["summary"]), ""]
    lines += ["```sh", f"segdiff predict --image PICTURE.png --model {name or 'THIS_FOLDER'}", "```", ""]
    for picture in facts.get("pictures") or []:
        lines += [f"![{picture['text']}]({picture['file']})", "", f"*{picture['text']}*", ""]
    told = {key: value for key, value in facts.items() if key not in PLACED and value is not None}
    told |= {key: value for key, value in (scale or {}).items() if value is not None}
    lines += [f"- {key.replace('_', ' ')}: {_said(value)}" for key, value in told.items()]
    if members:
        linked = ", ".join(f"[{member}]({member}/README.md)" for member in members)
        lines += [
            "",
            f"An ensemble: the mean of what its members say. Each is a model with a card of its own: {linked}.",
            "",
        ]
    else:
        lines += ["", "Settings of the network, its diffusion, normalisation and sampling: `config.yaml`.", ""]
    if facts.get("scores"):
        lines += ["## Scores", "", *_table(facts["scores"]), ""]
    if facts.get("recipe"):
        lines += ["## How it was made", "", "```sh", *facts["recipe"], "```", ""]
    if facts.get("limits"):
        lines += ["## Where it fails", "", *[f"- {sentence}" for sentence in facts["limits"]], ""]
    return "\n".join(lines)


def _table(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for score in scores for name in score["values"]))
    lines = [
        f"| on | protocol | images | {' | '.join(names)} |",
        f"| --- | --- | --- |{' --- |' * len(names)}",
    ]
    for score in scores:
        cells = [_cell(score, name) for name in names]
        lines.append(f"| {score['on']} | {score['protocol']} | {score['images']} | {' | '.join(cells)} |")
    lines += ["", "In brackets: 95 % intervals over images, by bootstrap. Made by", "", "```sh"]
    return [*lines, *dict.fromkeys(str(score["command"]) for score in scores if score.get("command")), "```"]


def _cell(score: Mapping[str, Any], name: str) -> str:
    if name not in score["values"]:
        return ""
    low_high = (score.get("intervals") or {}).get(name)
    interval = f" [{low_high[0]:.3f}, {low_high[1]:.3f}]" if low_high else ""
    return f"{score['values'][name]:.4f}{interval}"


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
