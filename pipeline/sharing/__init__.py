"""The last mile: a release in the forms that others take, and on a hub when somebody says so."""
