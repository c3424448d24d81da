"""What `launcher exec` runs: an init for one command.  It decides nothing that the command could decide itself."""
