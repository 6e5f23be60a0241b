[window.checkedOut = "6f7f1582ab25a2cb"]
