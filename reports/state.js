[window.checkedOut = "e39b3dcf3b89137b"]
