"""Yardsticks: people whose truth is known or measured and from whom nothing is ever trained or calibrated."""

from benchmarks.yardsticks.case import YardstickCase, load_cases, save_cases

__all__ = ["YardstickCase", "load_cases", "save_cases"]
