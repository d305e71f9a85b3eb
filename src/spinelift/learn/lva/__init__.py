"""The network that finds the column in a lateral vertebral view: training, export."""
