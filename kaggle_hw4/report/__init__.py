"""The report: everything a workspace holds, as one self-contained HTML page; it changes nothing."""
