[window.checkedOut = "cf621d8ce869e0e7"]
