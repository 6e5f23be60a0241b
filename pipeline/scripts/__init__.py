"""Steps of stage scripts that take several calls of the library, such as loading what is trained."""
