"""The judge: whether a convolution that somebody else computed is right, with a proof where it is wrong."""
