"""Engine adapters: pure translators between potluck's words and one engine's flags and metrics. They never spawn."""
