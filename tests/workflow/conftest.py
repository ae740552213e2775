"""Projects to run the workflow in; the whole run is made once for all tests."""

import pytest

from tests.workflow.project import ROOT, Project, copied


@pytest.fixture
def source(tmp_path) -> Project:
    """The project without results."""
    return copied(ROOT, tmp_path / "project", everything=False)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The project after a run of the tiny config."""
    project = copied(ROOT, tmp_path_factory.mktemp("finished") / "project", everything=False)
    done = project.run()
    assert done.returncode == 0, done.stdout
    return project


@pytest.fixture
def done(finished, tmp_path) -> Project:
    """A copy of the finished project, to change."""
    return copied(finished.folder, tmp_path / "project")
