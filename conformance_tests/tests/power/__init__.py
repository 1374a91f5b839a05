"""The suite's own power: brokers that are broken on purpose, and brokers that are merely odd."""
