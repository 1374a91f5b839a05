"""Client and worker, written once for every broker."""
