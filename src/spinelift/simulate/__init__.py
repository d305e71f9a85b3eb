"""People who do not exist: spines, anatomy, X-ray and MR physics, posture, the files of real archives."""
