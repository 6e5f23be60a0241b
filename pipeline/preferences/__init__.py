"""The preference pair, and where pairs come from: samples that a judge ranked, the data, the votes of people."""
