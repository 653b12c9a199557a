"""The notebook for Kaggle and Colab runs as it is, on the tiny corpus, and resumes a session."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.conftest import TINY

NOTEBOOK = Path(__file__).parents[1] / "examples" / "hw4-on-kaggle.ipynb"


class ThisPython(AsyncKernelManager):
    """A kernel of the Python that runs the tests, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, language="python")


def execute(folder: Path, **parameters: Any) -> str:
    """Run the notebook with these parameters in `folder`, and return what it printed."""
    notebook = nbformat.read(NOTEBOOK, 4)
    [cell] = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
    names = re.findall(r"^([A-Z]+) =", cell.source, re.MULTILINE)
    assert set(parameters) <= set(names)
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
    client = NotebookClient(
        notebook, kernel_manager_class=ThisPython, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output.get("text", "") for output in outputs)


@pytest.fixture
def parameters(synthetic: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "SOURCE": "",
        "DATASET": str(synthetic / "Dataset"),
        "WORK": str(tmp_path / "working" / "hw4"),
        "BEFORE": str(tmp_path / "none"),
        "VARIANTS": ["strong"],
        "FOLDS": 2,
        "SETTINGS": list(TINY),
    }


def test_the_notebook_ends_in_a_checked_submission(
    parameters: dict[str, Any], tmp_path: Path
) -> None:
    printed = execute(tmp_path, **parameters)
    work = Path(parameters["WORK"])
    assert (work / "submissions" / "output_Strong_V1.csv").is_file()
    assert len(list(work.glob("runs/*/*/run.json"))) == 2
    assert "not sent" in printed
    assert "Strong_V1 is valid" in printed
    assert (work / "report.html").is_file()


def test_a_session_that_ends_too_early_is_resumed_by_the_next(
    parameters: dict[str, Any], tmp_path: Path
) -> None:
    parameters["SETTINGS"] += ["schedule.steps=400", "schedule.validate_every=400"]  # over a second
    printed = execute(tmp_path, **parameters, HOURS=0.0)
    first = Path(parameters["WORK"])
    assert "The time is over" in printed
    assert len(list(first.glob("runs/*/*/run.json"))) < 2
    second = tmp_path / "next" / "hw4"
    execute(tmp_path, **parameters | {"WORK": str(second), "BEFORE": str(first)})
    assert len(list(second.glob("runs/*/*/run.json"))) == 2
    tables = [(place / "folds" / "session2.csv").read_bytes() for place in (first, second)]
    assert tables[0] == tables[1]


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
