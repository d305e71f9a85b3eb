"""What a Dixon MRI makes of a simulated person."""
