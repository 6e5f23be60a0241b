"""The same results faster or in less memory: skip this on first reading.

Each function here has a plain twin that says what it computes, named in the docstring of its module, and a test in
`tests/kernels/` that holds it against that twin: values and gradients, up to rounding where nothing else is said.
"""
