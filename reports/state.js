[window.checkedOut = "a84bdaeb783fe970"]
