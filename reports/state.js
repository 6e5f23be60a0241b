[window.checkedOut = "c9a9b5dd88b13bd2"]
