"""Messages beside those of share groups, as values: producing, reading logs, topics and their settings."""
