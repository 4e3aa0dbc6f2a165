"""Tables read by :mod:`emkit.datasets`; origin and licence are in each loader's ``DESCR``."""
