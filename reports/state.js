[window.checkedOut = "3c6c17dcec946f26"]
