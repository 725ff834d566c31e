"""How much sooner an answer comes that was given before."""
