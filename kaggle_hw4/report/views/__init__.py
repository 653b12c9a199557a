"""From the results of a section to its sentences, tables and figures: a module for each section."""
