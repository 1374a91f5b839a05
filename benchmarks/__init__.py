"""How fast, beside what the store could do: ``make bench``."""
