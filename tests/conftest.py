"""How the property tests search: the same cases each time. A search that goes on is asked for, and no build hangs on it.

pytest --hypothesis-profile open            # other cases each time, as ``make test-all`` does
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import signal
import tempfile

import browser
import forked
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

# How long a case takes says something of the machine, and nothing of the law.
_any_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("open", _any_machine, print_blob=True)
settings.register_profile("same cases", _any_machine, derandomize=True)
settings.load_profile("same cases")

# Hypothesis (6.131 and later) also draws the constants that stand in the modules of this folder which happen to be loaded, so that what a
# test tries would depend on which others ran before it in the same process. pyproject.toml names the one version of it that is used.
providers._get_local_constants = lambda: providers.Constants()

# Where Python is told to write no bytecode, as in many containers, each process that the tests start would compile the whole package
# anew. It is kept for as long as the tests last, and nothing is left beside the sources.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(prefix="bytecode-")
    atexit.register(shutil.rmtree, os.environ["PYTHONPYCACHEPREFIX"], ignore_errors=True)

# A shell without job control starts what runs in its background deaf to Ctrl-C, and so would all be that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# ``nohup`` does the same with a hangup. Tests go on; what they start hears it, since a handler of Python's ends with the program.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Tests of one ``xdist_group`` go to one worker, so that what they share is made once.

    pytest-xdist (3.8) tells its scheduler the group by the end of a test's name, and puts it where pytest from 9.2 on does not look for it:
    each worker would make everything anew.
    """
    if not config.getoption("loadgroup", False):
        return
    for item in items:
        groups = sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")})
        ending = f"@{'_'.join(groups)}"
        if groups and hasattr(item, "_id") and not item.nodeid.endswith(ending):
            item._id = type(item._id).parse(item.nodeid + ending)


@pytest.fixture(autouse=True, scope="session")
def _no_memory_of_other_runs(tmp_path_factory):
    """What devices turned out to be like is remembered from run to run; tests neither read nor write what a user's runs learned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        # Nor do the user's own hardware profiles go before those that ship.
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        # Nor are the user's runs searched, and none are put beside them.
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _nobody_left_waiting():
    """The interpreter from which commands are forked ends with the tests."""
    yield
    forked.close()


@pytest.fixture
def pydantic_of_the_schemas():
    """The published schemas are compared word by word, and pydantic before 2.13 words the same ones otherwise."""
    import pydantic

    if tuple(int(part) for part in pydantic.VERSION.split(".")[:2]) < (2, 13):
        pytest.skip(f"pydantic {pydantic.VERSION} words the published schemas otherwise")


@pytest.fixture(scope="session")
def running_browser():
    """One browser for all tests of pages, which stand in one group so that no other worker starts a second."""
    if browser.path() is None:
        if browser.REQUIRED:
            pytest.fail("there is no browser. Install Debian's: apt-get install chromium")
        pytest.skip("there is no browser: apt-get install chromium")
    found = browser.Browser()
    yield found
    found.close()


@pytest.fixture
def page(running_browser):
    """An empty page of a real browser (``tests/fakes/browser.py``). Tests that use it are marked ``xdist_group("browser")``."""
    with running_browser.page() as found:
        yield found


_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _no_memory_of_other_tests(_no_memory_of_other_runs, monkeypatch):
    """A test's runs know nothing of those of the tests before it, so that their order does not matter."""
    monkeypatch.setenv("XDG_CACHE_HOME", f"{os.environ['XDG_CACHE_HOME']}/{next(_numbers)}")


@pytest.fixture
def run_cli(capsys):
    """Calls a command as a user's shell would: its exit code, and what it said on either side."""
    from energy_rating.cli import main

    def call(*arguments):
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code or 0
        told = capsys.readouterr()
        return code, told.out, told.err

    return call
