"""The networks that find the spine in a Dixon MRI: training and evaluation."""
