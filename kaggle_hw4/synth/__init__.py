"""The embedded corpus: synthetic speakers in the official layout."""
