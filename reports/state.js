[window.checkedOut = "efe273c8f95675d5"]
