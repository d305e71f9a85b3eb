"""Writers of simulated archives, as UK Biobank's are."""
