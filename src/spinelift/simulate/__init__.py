"""People who do not exist: shapes of spines, anatomy, X-ray physics, posture, and the files of real archives."""
