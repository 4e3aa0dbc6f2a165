"""Fit a mixture to a Parquet file that is larger than the memory that the process may have.

The rows are those of Old Faithful, again and again with a little noise. Needs pyarrow,
and Linux for the limit.
"""

import os
import resource
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emkit import EMGaussianMixture
from emkit.datasets import load_old_faithful

MB = 2**20
SPARE = 128 * MB  # bytes beyond those of Python and its libraries
with open("/proc/self/statm", encoding="ascii") as file:
    used = int(file.read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + SPARE, used + SPARE))

eruptions = load_old_faithful().data
path = os.path.join(tempfile.mkdtemp(), "eruptions.parquet")
rng = np.random.default_rng(0)


def row_group():
    rows = np.tile(eruptions, (100, 1))
    rows += rng.normal(scale=[0.05, 0.5], size=rows.shape)
    return pa.table({"duration": rows[:, 0], "waiting": rows[:, 1]})


plain = {"compression": "none", "use_dictionary": False}
with pq.ParquetWriter(path, row_group().schema, **plain) as writer:
    for _ in range(400):
        writer.write_table(row_group())


def row_groups():
    """Called once for each pass of EM."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number).to_pandas()


mixture = EMGaussianMixture(n_components=2, random_state=0).fit(row_groups)
print(mixture.means_.round(2))

try:
    pq.read_table(path)
except MemoryError:
    size = os.path.getsize(path)
    print(f"Read at once, {size // MB} MB do not fit into {SPARE // MB} MB.")
