"""Which times a chain visits."""

from __future__ import annotations

from segdiff.errors import ConfigError


def respace(spec: str, steps: int) -> list[int]:
    """The times that a published respacing string keeps of `steps`, ascending.

    "25" keeps 25 evenly spaced times, both ends among them; "10,10,5" divides the steps into three equal sections
    (the first ones longer by one where they do not divide) and keeps so many of each; "ddim25" keeps every k-th time
    from 0 with the integer stride k that gives exactly 25. A section of one keeps its first time.

    Raises:
        ConfigError: not such a string, more times than a section has, or no integer stride that gives so many.
    """
    if spec.startswith("ddim"):
        wanted = _count(spec[len("ddim") :], spec)
        for stride in range(1, steps):
            if len(range(0, steps, stride)) == wanted:
                return list(range(0, steps, stride))
        raise ConfigError(f"respacing {spec!r}: no integer stride over {steps} steps gives {wanted} times")
    counts = [_count(part, spec) for part in spec.split(",")]
    size, extra = divmod(steps, len(counts))
    times: list[int] = []
    start = 0
    for i, count in enumerate(counts):
        length = size + (i < extra)
        if count > length:
            raise ConfigError(f"respacing {spec!r}: a section of {length} steps cannot keep {count}")
        stride_f = (length - 1) / (count - 1) if count > 1 else 1.0
        position = 0.0
        for _ in range(count):  # added up and rounded half to even, as published: another order of rounding differs
            times.append(start + round(position))
            position += stride_f
        start += length
    return times


def _count(text: str, spec: str) -> int:
    if not text.strip().isdigit() or int(text) < 1:
        raise ConfigError(f'respacing {spec!r}: expected "25", "10,10,5" or "ddim25"')
    return int(text)


def trailing(count: int, steps: int) -> list[int]:
    """`count` times from steps - 1 downwards at stride steps / count, ascending: (3, 100) -> [32, 66, 99].

    It always begins at the most noise, with one step too; source: Lin et al. 2024, arXiv:2305.08891, section 3.3.
    """
    if not 1 <= count <= steps:
        raise ConfigError(f"{count} sampling steps were asked for; the schedule has {steps}: use 1 to {steps}")
    return sorted(round(steps - i * steps / count) - 1 for i in range(count))
