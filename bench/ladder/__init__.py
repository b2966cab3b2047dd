"""From the naive loop to the peak: one layer, computed again and again, and each time one thing is changed."""
