"""The synthetic corpus: simulated speakers and sessions in the official layout."""
