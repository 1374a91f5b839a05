"""The classic lane: a consumer group whose members settle in any order."""
