"""The report of a run: the comparison table, the plots and the page."""
