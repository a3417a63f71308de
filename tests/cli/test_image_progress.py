from __future__ import annotations

import io

from segdiff.cli.progress import ImageProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_come_now_and_then():
    quiet, chatty = io.StringIO(), io.StringIO()
    for stream, every in ((quiet, 3600.0), (chatty, 0.0)):
        with ImageProgress(stream, every) as progress:
            for done in (0, 0.5, 1, 2):
                progress(done, 2, "slide.png")
    assert quiet.getvalue() == ""
    lines = chatty.getvalue().splitlines()
    assert len(lines) == 4 and lines[1].startswith("image 1/2  slide.png  25%") and lines[0].endswith("? left")
    assert lines[3].startswith("image 2/2  slide.png  100%  0:00 left")


def test_a_terminal_gets_a_bar_with_the_time_left():
    stream = Terminal()
    with ImageProgress(stream) as progress:
        for done in range(5):
            progress(done, 4, "slide.png")
        progress._bar.refresh()
    assert "slide.png" in stream.getvalue() and "100%" in stream.getvalue() and "<00:00" in stream.getvalue()
