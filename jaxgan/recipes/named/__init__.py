"""The library's recipes, one file each and of the same form as a user's: a docstring, and a value `recipe`."""
