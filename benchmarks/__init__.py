"""Measurements of speed and accuracy. Not part of the installed package."""
