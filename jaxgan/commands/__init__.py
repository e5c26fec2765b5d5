"""The verbs of the command line, one file each; each is a function of Python too."""
