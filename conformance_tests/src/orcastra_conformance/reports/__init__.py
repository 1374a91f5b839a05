"""What a run showed, in the forms that people and programs read."""
