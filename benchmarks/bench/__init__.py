"""`make bench`: what hw4 costs on this machine, next to what it could cost. `__main__` runs it."""
