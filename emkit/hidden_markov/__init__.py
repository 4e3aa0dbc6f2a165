"""Hidden Markov models: `reading.py` turns what the user gives into the whole sequences of `sequences.py`."""
