"""`make lecture`: the claims of the lecture notes, measured. `__main__` runs it."""
