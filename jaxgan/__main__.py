"""`python -m jaxgan` is `jaxgan`."""

from jaxgan.cli import main

main()
