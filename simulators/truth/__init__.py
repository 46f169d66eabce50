"""The hidden truth: what breaks open where, and who finds and mends it. Only evaluation may read it."""
