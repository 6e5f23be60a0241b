"""A row of the page's table of decisions, by the beginning of its label."""

from pipeline.report.page_decision import decide


def row_of(inputs, label):
    return next(row for row in decide(inputs).rows if row.label.startswith(label))
