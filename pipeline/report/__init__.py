"""The comparison table, the plots and the page."""
