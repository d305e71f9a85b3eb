"""The training loop of all networks: time budget, exact resume, averaged weights."""
