"""What several files of tests of dask collections share; the cluster itself is a fixture in conftest.py."""

import os
import signal


class Deadly:
    """A block function that kills its worker at some of its calls, which files count."""

    def __init__(self, folder, *calls):
        self.folder, self.calls = str(folder), calls

    def __call__(self, block):
        for call in range(10_000):
            try:
                os.close(os.open(f"{self.folder}/{call}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            if call in self.calls:
                os.kill(os.getpid(), signal.SIGKILL)
            return block
        raise AssertionError("called too often")
