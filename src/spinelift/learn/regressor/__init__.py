"""The networks that turn a crop into six curves: training, calibration, export to a bundle."""
