"""What every stage does around its work: parameters, inputs, outputs, tracking and costs."""
