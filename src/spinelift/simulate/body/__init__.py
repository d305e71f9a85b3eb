"""A simulated person: physique, spine, bones and soft parts as closed solids."""
