"""The compiled kernels: plain loops over register tiles. Nothing here validates; `npconv.plan` calls them with geometry that is right."""
