"""The stages, a verb each: from artifacts to an artifact. One whose result is there returns it.

torch and its like are imported inside, so that reading the board stays instant.
"""
