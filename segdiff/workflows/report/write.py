"""A report written: sources read, pictures made small, one page and, where it would be large, files beside it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from segdiff.data.writers import atomic
from segdiff.errors import ConfigError, OutputError
from segdiff.version import __version__
from segdiff.workflows.progress import Progress
from segdiff.workflows.report.content import content_of, details_of
from segdiff.workflows.report.layers import Shown, prepare
from segdiff.workflows.report.page import data_json, data_url, render, sidecar
from segdiff.workflows.report.rows import FAILED, Source
from segdiff.workflows.report.sources import joined, read_source

INLINE = 32 * 2**20  # characters of details that the page takes into itself
SIDECAR = re.compile(r"\d{5,}\.js")


@dataclass(frozen=True)
class ReportOptions:
    """How a report is made.

    Attributes:
        title: of the page; None: of what it shows.
        size: pixels of the longest side of a picture in full view, 64 to 8192; larger pictures are made small.
        pictures: a folder that predicted pictures were moved to.
        single_file: all in one file, however large.
        overwrite: replace a report that is there.
    """

    title: str | None = None
    size: int = 1024
    pictures: str | Path | None = None
    single_file: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 64 <= self.size <= 8192:
            raise ConfigError(f"size={self.size}: a full view has 64 to 8192 pixels")
        if self.pictures is not None and not Path(self.pictures).is_dir():
            raise ConfigError(f"{self.pictures} is not a folder of pictures")


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        page: the HTML file.
        beside: the folder of details; None where the page holds them.
        pictures, failed, warned: how many there are, and of these how many failed or have warnings.
    """

    page: Path
    beside: Path | None
    pictures: int
    failed: int
    warned: int


def write_report(
    paths: Sequence[str | Path],
    out: str | Path | None = None,
    options: ReportOptions | None = None,
    progress: Progress | None = None,
) -> Written:
    """Write a page that shows predictions, an evaluation, a training, or several of these of the same pictures.

    Args:
        paths: folders that `segdiff predict` or `segdiff train` wrote, JSON files of `segdiff evaluate` or `score`.
        out: an HTML file; None: report.html in the first folder, scores_report.html beside a scores.json.
        options: None: the defaults.
        progress: told how far it is.
    Raises:
        MissingError, DataError: paths that are not there or nothing of that kind.
        ConfigError: the report is there already, or cannot be one. OutputError: it cannot be written.
    """
    options = options or ReportOptions()
    pictures = None if options.pictures is None else Path(options.pictures)
    source = joined([read_source(path, pictures) for path in paths])
    page = _page_of(paths, out)
    beside = page.with_name(f"{page.stem}_files")
    _refuse_existing(page, beside, options.overwrite)
    title = options.title or source.title
    identity = _identity(paths, source)
    shown: list[Shown] = []
    thumbnails: list[str | None] = []
    with _Details(beside, identity, None if options.single_file else INLINE) as details:
        for one in _prepared(source, options.size, progress):
            thumbnails.append(None if one.thumbnail is None else data_url("image/webp", one.thumbnail))
            details.add(details_of(one))
            one.thumbnail, one.layers, one.objects = None, {}, {}  # a thousand pictures are not kept in memory
            shown.append(one)
        content = content_of(source, shown, lambda path: _address(path, page.parent))
        about = {"id": identity, "title": title, "files": details.folder_name, "version": __version__}
        with atomic(page) as file:
            for piece in render(title, {**about, **content}, thumbnails, details.inline()):
                file.write(piece)
            details.settle()  # before the page takes its name
    failed = sum(row.status == FAILED for row in source.rows)
    warned = sum(bool(one.row.warnings or one.notes) for one in shown)
    return Written(page, beside if details.spilled else None, len(shown), failed, warned)


def _page_of(paths: Sequence[str | Path], out: str | Path | None) -> Path:
    if out is not None:
        page = Path(out).expanduser()
        if page.suffix.lower() not in (".html", ".htm"):
            raise ConfigError(f"{page}: a report is an HTML file, such as report.html")
        return page
    first = Path(paths[0]).expanduser()
    return first / "report.html" if first.is_dir() else first.with_name(f"{first.stem}_report.html")


def _refuse_existing(page: Path, beside: Path, overwrite: bool) -> None:
    for path in (page, beside):
        if path.exists() and not overwrite:
            raise ConfigError(f"{path} exists: choose another --out, or --overwrite")
    if page.is_dir():
        raise ConfigError(f"{page} is a folder: choose another --out")
    if beside.exists() and not _is_ours(beside):
        raise ConfigError(f"{beside} holds files that no report wrote: choose another --out")


def _is_ours(beside: Path) -> bool:
    return beside.is_dir() and all(SIDECAR.fullmatch(path.name) for path in beside.iterdir())


def _identity(paths: Sequence[str | Path], source: Source) -> str:
    """What decisions are kept by in a browser: the same places and settings, whichever pictures were added.

    Another model's masks in the same folder are other masks, about which nothing was decided.
    """
    places = [str(Path(path).expanduser().resolve()) for path in paths]
    settings = [f"{key}={text}" for key, text in source.settings if not key.startswith("versions.")]
    told = "\0".join([source.kind, *sorted(places), *settings])
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _prepared(source: Source, size: int, progress: Progress | None) -> Iterator[Shown]:
    """The pictures made small, in order."""
    total = len(source.rows)
    workers = max(1, min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))
    with ThreadPoolExecutor(workers) as pool:
        ahead = 2 * workers  # pictures in memory at a time, beside those that the page keeps
        waiting = [pool.submit(prepare, row, size) for row in source.rows[:ahead]]
        for index, row in enumerate(source.rows):
            if progress is not None:
                progress(index, total, row.name)
            one = waiting.pop(0).result()
            if index + ahead < total:
                waiting.append(pool.submit(prepare, source.rows[index + ahead], size))
            yield one


def _address(path: Path, folder: Path) -> str:
    """A link from a page in `folder` to a file: relative, so that both may be moved together."""
    try:
        return quote(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())
    except ValueError:  # another drive
        return path.resolve().as_uri()


class _Details:
    """Details of pictures: kept for the page as long as they are small, else in files of a folder beside it.

    Files lie in a folder of another name until `settle`; an error leaves nothing.
    """

    def __init__(self, folder: Path, report: str, most: int | None) -> None:
        self._folder, self._report, self._most = folder, report, most
        self._unfinished = folder.with_name(f".{uuid.uuid4().hex}.tmp")
        self._kept: list[str] = []
        self._size = self._count = 0
        self.spilled = False

    @property
    def folder_name(self) -> str | None:
        """Of the folder as the page names it; None where all is in the page."""
        return self._folder.name if self.spilled else None

    def add(self, details: dict[str, Any]) -> None:
        """Take those of the next picture."""
        text = data_json(details)
        self._size += len(text)
        if not self.spilled:
            self._kept.append(text)
            if self._most is not None and self._size > self._most:
                self.spilled = True
                for index, kept in enumerate(self._kept):
                    self._write(index, kept)
                self._kept = []
        else:
            self._write(self._count, text)
        self._count += 1

    def inline(self) -> Iterator[tuple[int, str]]:
        """What the page takes into itself."""
        yield from enumerate(self._kept)

    def settle(self) -> None:
        """Put the files, where there are any, in the place of earlier ones."""
        try:
            if self._folder.exists() and _is_ours(self._folder):
                shutil.rmtree(self._folder)
            if self.spilled:
                self._unfinished.rename(self._folder)
        except OSError as error:
            raise OutputError.of(self._folder, error) from error

    def _write(self, index: int, text: str) -> None:
        with atomic(self._unfinished / f"{index:05}.js") as file:
            file.write(sidecar(self._report, index, text))

    def __enter__(self) -> _Details:
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self._unfinished, ignore_errors=True)
