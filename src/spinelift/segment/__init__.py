"""Where the spine lies on a DXA and in an MRI, by networks that are already trained."""
