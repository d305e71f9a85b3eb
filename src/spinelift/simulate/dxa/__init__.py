"""What a DXA scanner makes of a simulated person."""
