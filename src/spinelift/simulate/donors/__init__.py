"""Libraries of vertebrae of real people: how they are made, stored and read."""
