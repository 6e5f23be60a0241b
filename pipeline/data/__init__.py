"""From raw rows to validated records and token batches."""
