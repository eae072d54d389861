"""The demo: three sample agents, a web page that turns one of them, and the proof that it was stopped."""
