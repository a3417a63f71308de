"""What `import segdiff` shows: all of it exists, none of it is loaded before it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import segdiff

SECONDS = 0.05  # of a processor that the import may take, beside starting Python
IMPORT = "import sys, time; before = set(sys.modules); began = time.process_time(); import segdiff; "
SAID = "print(time.process_time() - began, *sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"


def imported():
    """Seconds of a processor for `import segdiff` in a new process, and the top names of what it imports."""
    said = subprocess.check_output([sys.executable, "-c", IMPORT + SAID], text=True, timeout=60).split()
    return float(said[0]), set(said[1:])


def test_the_import_takes_no_time():
    """The best of three: other work on the machine makes any one of them slower."""
    times = []
    for _ in range(3):
        seconds, names = imported()
        assert not names - sys.stdlib_module_names - {"segdiff"}, "nothing but Python's own is imported"
        times.append(seconds)
    assert min(times) < SECONDS, times


def test_tab_shows_the_public_interface():
    assert dir(segdiff) == sorted(segdiff.__all__)
    wanted = {"load", "train", "predict", "evaluate", "score", "read_image", "Predictor", "Prediction", "Sampling"}
    assert wanted < set(dir(segdiff))


@pytest.mark.parametrize("name", segdiff.__all__)
def test_every_name_exists_and_says_what_it_is(name):
    value = getattr(segdiff, name)
    assert name == "__version__" or (value.__module__.startswith("segdiff") and value.__doc__)
    assert getattr(segdiff, name) is value


def test_type_checkers_see_the_same_names():
    """The imports for type checkers, which do not follow a table, are those of the table."""
    source = ast.parse(Path(segdiff.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in source.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            if (node.module or "").startswith("segdiff"):
                name = alias.asname or alias.name
                seen[name] = f"{node.module}:{alias.name}" if alias.asname else node.module
    assert seen == segdiff._HOMES
    assert {*seen, "load", "train", "__version__"} == set(segdiff.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'predcit'"):
        _ = segdiff.predcit
    assert not hasattr(segdiff, "os")
