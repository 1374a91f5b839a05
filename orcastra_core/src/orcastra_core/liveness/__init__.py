"""The two ways a backend's session stays alive without the caller's event loop."""
