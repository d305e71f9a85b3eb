"""How good a model is: metrics, baselines, intervals, tables."""
