[window.checkedOut = "61b7f9ea203d3ef6"]
