"""What stage scripts do in several calls of the library, most of it shared by two or more of them."""
