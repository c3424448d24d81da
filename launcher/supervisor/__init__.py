"""What PID 1 runs: standard library only, one thread, never application code."""
