"""Analytics has no tables of its own: its rows are in its store, and here are the kernel's."""

from martech.kernel.db import module_metadata

metadata = module_metadata("analytics")
