"""Where the spine is in a whole-body image: the network and what is made of its maps."""
