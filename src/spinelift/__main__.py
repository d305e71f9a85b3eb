"""``python -m spinelift`` is the command ``spinelift``."""

from spinelift.cli import main

main()
