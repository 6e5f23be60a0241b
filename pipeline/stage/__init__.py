"""What every stage does around its work: parameters, inputs, outputs, memory and costs."""
