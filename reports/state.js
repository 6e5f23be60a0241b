[window.checkedOut = "b08788deeb8c12ef"]
