"""``asyncjobs worker --reload``: starts the worker anew when the program's source changes, for development."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from asyncjobs.cli.beside import beside
from asyncjobs.cli.loading import is_installed
from asyncjobs.cli.supervisor import RECYCLED, Child, Supervisor
from asyncjobs.core.package import install_command
from asyncjobs.errors import ConfigurationError

__all__ = ["Reloader", "source_folders", "watching"]

_log = logging.getLogger("asyncjobs.worker")

# How long a process may take to give its jobs back before it is killed.
_END_S = 5.0

# Two signals: its handlers are cancelled at once.
_SIGNALS = 2

_MAX_SHOWN = 3


class Reloader(Supervisor):
    """A supervisor whose processes are replaced when ``reload`` is called; one that ends by itself waits for that."""

    def __init__(self, arguments: list[str], count: int) -> None:
        super().__init__(arguments, count, shutdown_timeout=0.0, ends_when_done=False)
        self._asked = 0
        # By process: how many reloads have been done, and since when it is being ended.
        self._done = dict.fromkeys(self._children, 0)
        self._since: dict[Child, float] = {}

    def reload(self) -> None:
        """Start all processes anew; from any thread."""
        self._asked += 1

    def _stop(self) -> None:
        """Stop the processes; the first call lets them wait for no handler, as a reload does, the second kills them."""
        if not self._signals:
            self._signals, self._kills_at = _SIGNALS - 1, math.inf
        super()._stop()

    def _look_after(self, child: Child) -> bool:
        if self._signals or self._done[child] == self._asked:
            return super()._look_after(child)
        child.poll()
        if child.is_running:
            since = self._since.setdefault(child, time.monotonic())
            if time.monotonic() - since < _END_S:
                child.stop(_SIGNALS)
            else:
                child.kill()
            return True
        self._since.pop(child, None)
        self._done[child] = self._asked
        child.start_anew()
        return super()._look_after(child)

    def _goes_on_after(self, child: Child, code: int) -> bool:
        """Let the next process of ``child`` wait for a change: what ended this one, if no limit, would end it too."""
        if code == RECYCLED:
            return super()._goes_on_after(child, code)
        child.pause()
        _log.warning("%s; another starts when a file changes", child.last_end)
        return True


def source_folders(modules: Iterable[str]) -> list[Path]:
    """Return the working directory, and the folders from which ``modules`` would be imported, unless pip has made them.

    What is installed in place, as by ``pip install -e``, lies in its source folder. Nothing is imported.
    """
    folders = set()
    for module in modules:
        # An import finds it where it would find its package.
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(module.partition(".")[0])
            if spec is not None:
                places = spec.submodule_search_locations or [spec.origin or ""]
                folders |= {Path(place).resolve().parent for place in places if os.path.exists(place)}
    own = {Path.cwd(), *(folder for folder in folders if not is_installed(str(folder)))}
    return sorted(folder for folder in own if own.isdisjoint(folder.parents))


@contextlib.contextmanager
def watching(reloader: Reloader, folders: Sequence[Path]) -> Iterator[None]:
    """Reload inside the block whenever a Python file below one of ``folders`` changes.

    Raises:
        ConfigurationError: watchfiles is not installed.
    """
    try:
        import watchfiles
    except ImportError:
        raise ConfigurationError(f"--reload needs watchfiles: {install_command('reload')}") from None

    # It counts changes, which the line that names them does too.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)

    def watch(ended: threading.Event) -> None:
        try:
            reload_at_changes(ended)
        except Exception as error:
            # The system has no watch left, or a folder can't be read, say. watchfiles can ignore the latter, but then
            # leaves out some of the other folders too, and tells nobody.
            _log.error("changes of files are not seen any more: %s; mend that, and start the command anew", error)

    def reload_at_changes(ended: threading.Event) -> None:
        changes = watchfiles.watch(
            *folders, watch_filter=watchfiles.PythonFilter(), stop_event=ended, raise_interrupt=False
        )
        for some in changes:
            files = sorted({os.path.relpath(path) for _, path in some})
            more = f" and {len(files) - _MAX_SHOWN} more" if len(files) > _MAX_SHOWN else ""
            _log.info("the worker starts anew: changed are %s%s", ", ".join(files[:_MAX_SHOWN]), more)
            reloader.reload()

    with beside("asyncjobs-reload", watch):
        yield
